// Cases of the closed forms of p and W (tests/backend/operation_cases.hpp): sums over nodes in one range and in many,
// centring, inverses, the descent test of quantised moves, and the first layer in node space.
#include <fmt/format.h>

#include <cmath>

#include "tests/backend/block_references.hpp"
#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::multiply;

namespace {

/// Enough nodes for 16 ranges: of equal lengths, and with a last one that is shorter.
std::vector<OperationShape> shapes_with_ranges() {
    std::vector<OperationShape> shapes = operation_shapes();
    for (const OperationShape& s : {OperationShape{3, 5, 4096, 2}, OperationShape{6, 2, 4999, 1}}) shapes.push_back(s);
    return shapes;
}

OperationCase node_product_case(const OperationShape& s, bool gram) {
    return {fmt::format("node_product{}_{}", gram ? "_gram" : "", text(s)), 0, 0, [=](Workbench& bench) {
                const Index rows = gram ? s.n : s.m;
                Stack A = bench.stack("A", s.n, s.N, s.batch, 1, s.n % 2),
                      other = bench.stack("B", rows, s.N, s.batch, 1, 3);  // B: some rows of more
                Stack C = bench.from("C", std::vector<Array>(static_cast<std::size_t>(s.batch), Array(s.n, rows)));
                const Stack& B = gram ? A : other;
                return Prepared{
                    [&bench, a = CMat(A.view), b = CMat(B.view), C] {
                        bench.backend.node_product(a, b, C.view, Precision::full);
                    },
                    [&bench, A, B, C]() mutable {
                        std::vector<Array> e, m;
                        for (std::size_t l = 0; l < A.before.size(); ++l) {
                            e.push_back(multiply(A.before[l], false, B.before[l], true));
                            m.push_back(multiply(absolute(A.before[l]), false, absolute(B.before[l]), true));
                        }
                        bench.expect(C, e, m, 8 + 0.5 * std::sqrt(static_cast<double>(A.view.cols)));
                    }};
            }};
}

/// Y is X centred; X was formed from values of these magnitudes.
void expect_centred(Workbench& bench, Stack& Y, const std::vector<Array>& X, const std::vector<Array>& magnitudes) {
    std::vector<Array> e, m;
    for (const Array& x : X) e.push_back(Centred(x).value);
    for (const Array& size : magnitudes) m.push_back(Centred(size).magnitude);
    bench.expect(Y, e, m, 2);
}

/// `range`: nodes of one, where it is not by their number.
OperationCase center_case(const OperationShape& s, Index range = 0) {
    return {fmt::format("center_{}_{}", text(s), range), 0, 0, [=](Workbench& bench) {
                Stack X = bench.stack("X", s.n, s.N, s.batch, 3), Y = bench.stack("Y", s.n, s.N, s.batch);
                X.view.range = Y.view.range = range;
                return Prepared{[&bench, X, Y] { bench.backend.center(X.view, Y.view); },
                                [&bench, X, Y]() mutable { expect_centred(bench, Y, X.before, X.before); }};
            }};
}

OperationCase node_space_target_case(const OperationShape& s, double decay, DecayTo to) {
    return {fmt::format("node_space_target{}{}_{}", decay > 0 ? "" : "_without_decay",
                        to == DecayTo::identity ? "_to_identity" : "", text(s)),
            0, 0, [=](Workbench& bench) {
                Stack z = bench.stack("z", s.n, s.N, s.batch), r = bench.stack("r", s.n, s.N, s.batch),
                      y = bench.stack("y", s.n, s.N, s.batch), p = bench.stack("p", s.n, s.N, s.batch);
                const auto k = controls_with(bench, decay);
                return Prepared{[&bench, p, z, r, y, k, to] {
                                    bench.backend.node_space_target(k.data, to, to == DecayTo::zero ? CMat() : p.view,
                                                                    z.view, r.view, y.view);
                                },
                                [&bench, p, z, r, y, decay, to]() mutable {
                                    std::vector<Array> wanted = r.before, size = r.before;
                                    for (std::size_t l = 0; decay > 0 && l < wanted.size(); ++l)
                                        for (std::size_t i = 0; i < wanted[l].size(); ++i) {
                                            const double of_p = to == DecayTo::zero ? 0 : p.before[l].values[i];
                                            wanted[l].values[i] = of_p - z.before[l].values[i];
                                            size[l].values[i] = std::fabs(of_p) + std::fabs(z.before[l].values[i]);
                                        }
                                    expect_centred(bench, y, wanted, size);
                                }};
            }};
}

/// A move along which phi changes by C (f^2/2 - share f) of the way f: it descends up to f = 2 share.
OperationCase descent_check_case(const OperationShape& s, Codec codec, double share, const char* name) {
    return {fmt::format("descent_check_{}_{}_{}", codec == Codec::grid ? "grid" : "difference", name, text(s)), 0, 0,
            [=](Workbench& bench) {
                Stack d = bench.stack("d", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch);
                for (Array& a : d.before) a.values[0] += a.values[0] == 0 ? 1 : 0;  // there is a move
                d = bench.from("d", d.before);
                std::vector<Array> gradients;
                for (std::size_t l = 0; l < d.before.size(); ++l) {
                    const Array& move = d.before[l];
                    const double dd = dot(move, move), curvature = nu * dot(h.before[l], h.before[l]) + rho * dd;
                    Array g(s.m, s.N);
                    for (double& x : g.values) x = bench.normal();
                    const double shift = (-share * curvature - dot(g, move)) / dd;
                    for (std::size_t i = 0; i < g.size(); ++i) g.values[i] += shift * move.values[i];
                    gradients.push_back(g);
                }
                Stack g = bench.from("g", gradients);
                const auto k = controls(bench);
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), real(0.5)));
                auto headers = bench.cells(
                    "headers", std::vector<MessageHeader>(static_cast<std::size_t>(s.batch), {real(0.25), 1}));
                std::vector<std::int32_t> trials(static_cast<std::size_t>(s.batch), 12);
                if (s.batch > 1) trials[1] = 2;  // the last trial: then p is snapped in place
                if (s.batch > 2) trials[2] = 0;  // decided before
                auto pending = bench.cells("pending", trials);
                const Quantizer quantizer{codec, 4, nullptr, 0};
                return Prepared{
                    [&bench, quantizer, g, d, h, k, inverse, pending, headers] {
                        bench.backend.descent_check(quantizer, g.view, d.view, h.view, k.data, inverse.data,
                                                    pending.data, headers.data);
                    },
                    [&bench, inverse, pending, headers, trials, codec, share]() mutable {
                        const std::vector<real> steps_now = bench.read(inverse);
                        const std::vector<std::int32_t> left = bench.read(pending);
                        const std::vector<MessageHeader> messages = bench.read(headers);
                        double factor = 1;
                        while (factor > 2 * share && factor > 0) factor = factor > 1.0 / 1024 ? factor / 2 : 0;
                        for (std::size_t l = 0; l < left.size(); ++l) {
                            const bool grid = codec == Codec::grid, decided = trials[l] == 0, accepted = 1 <= 2 * share;
                            const bool last = trials[l] == 2;
                            bench.expect("pending", left[l],
                                         !grid                 ? trials[l]
                                         : decided || accepted ? 0
                                                               : trials[l] - 1,
                                         0);
                            bench.expect("inverse", static_cast<double>(steps_now[l]),
                                         !grid                 ? -factor
                                         : decided || accepted ? 0.5
                                         : last                ? 0
                                                               : 0.25,
                                         0);
                            bench.expect("width", static_cast<double>(messages[l].width), 0.25, 0);
                            bench.expect("factor", static_cast<double>(messages[l].factor), grid ? 1 : factor, 0);
                        }
                    }};
            }};
}

/// W1 in node space from a true X, W1 and z: V, S, |W1|^2 and h are those of the direct minimiser.
OperationCase node_space_close_case(const OperationShape& s, double decay) {
    return {
        fmt::format("node_space_close{}_{}", decay > 0 ? "" : "_without_decay", text(s)), 0, 0, [=](Workbench& bench) {
            const Array X = bench.stack("X", s.m, s.N, 1).before[0], W = bench.stack("W", s.n, s.m, 1).before[0],
                        Xc = Centred(X).value;
            Array mean(s.m, 1);
            for (Index i = 0; i < s.m; ++i) mean(i, 0) = X(i, 0) - Xc(i, 0);
            Stack z = bench.stack("z", s.n, s.N, 1), r = bench.stack("r", s.n, s.N, 1), b = bench.stack("b", s.n, 1, 1),
                  S = bench.stack("S", s.n, s.N, 1), V = bench.from("V", {multiply(W, false, X, false)});
            Array target = decay > 0 ? z.before[0] : r.before[0];
            for (double& x : target.values) x *= decay > 0 ? -1 : 1;
            Stack h = bench.from("h", {Centred(target).value});
            const Array K = multiply(Xc, true, Xc, false);
            const Inverse F(K, decay);
            Stack raw = bench.from("raw", {multiply(h.before[0], false, F.value, false)});
            const Array along_mean = multiply(Xc, true, mean, false);
            Stack w = bench.from("w", {multiply(raw.before[0], false, along_mean, false)});
            const auto k = controls_with(bench, decay);
            const auto kept = bench.cells("kept", std::vector<KeptInverse>{{nu, decay, F.ridge}});
            auto scalars = bench.cells("scalars", std::vector<NodeSpaceScalars>{{0.5, dot(W, W)}});
            auto figures = bench.cells("figures", std::vector<LayerFigures>{{1, 2, 3, 4, 5, 6}});
            return Prepared{
                [&bench, raw, w, b, z, r, h, S, V, k, kept, scalars, figures] {
                    bench.backend.node_space_close({raw.view, w.view, b.view, z.view, r.view, h.view, S.view, V.view},
                                                   k.data, kept.data, scalars.data, figures.data);
                },
                [&bench, raw, b, z, r, h, S, V, W, X, Xc, K, along_mean, ridge = F.ridge, decay, scalars,
                 figures]() mutable {
                    const Array &y = h.before[0], &f = raw.before[0];
                    Array now = multiply(f, false, Xc, true);  // nu y F X_c' is taken from W1, or from 0
                    for (std::size_t i = 0; i < now.size(); ++i)
                        now.values[i] = (decay > 0 ? 0 : W.values[i]) - nu * now.values[i];
                    const Array moved = multiply(now, false, X, false);
                    Array sums = f, v_size = multiply(absolute(f), false, absolute(K), false), s_size = f, change = y,
                          h_size = y;
                    const Array w_size = multiply(absolute(f), false, absolute(along_mean), false);
                    for (std::size_t i = 0; i < f.size(); ++i) {
                        const double step = nu * f.values[i], old = decay > 0 ? 0 : S.before[0].values[i],
                                     bias = b.before[0].values[i % static_cast<std::size_t>(f.rows)];
                        sums.values[i] = old + step;
                        s_size.values[i] = std::fabs(old) + std::fabs(step);
                        v_size.values[i] =
                            std::fabs(y.values[i]) + ridge * std::fabs(f.values[i]) +
                            nu * (v_size.values[i] + w_size.values[i % static_cast<std::size_t>(f.rows)]) +
                            std::fabs(V.before[0].values[i]);
                        change.values[i] = r.before[0].values[i] - (moved.values[i] + bias - z.before[0].values[i]);
                        h_size.values[i] = std::fabs(r.before[0].values[i]) + v_size.values[i] + std::fabs(bias) +
                                           std::fabs(z.before[0].values[i]);
                    }
                    bench.expect(S, {sums}, {s_size}, 2);
                    double trace = 0;  // F, and so y F, is known to rounding times a condition of at most this
                    for (Index i = 0; i < K.rows; ++i) trace += nu * K(i, i);
                    const double of_inverse = 8 + (trace + ridge) / ridge;
                    bench.expect(V, {moved}, {v_size}, of_inverse);
                    bench.expect(h, {change}, {h_size}, of_inverse);
                    const NodeSpaceScalars scalar = bench.read(scalars)[0];
                    bench.expect("|W1|^2", scalar.weight_sq, dot(now, now),
                                 2 * of_inverse * unit * (dot(W, W) + nu * dot(absolute(f), v_size)));
                    bench.expect("|W1|^2 in the figures", bench.read(figures)[0].weight_sq, scalar.weight_sq, 0);
                    bench.expect("c", scalar.c, decay > 0 ? 0 : 0.5, 0);
                }};
        }};
}

}  // namespace

std::vector<OperationCase> block_cases() {
    std::vector<OperationCase> cases;
    cases.push_back(center_case({3, 1, 645, 2}, 16));  // more ranges than a warp has threads
    for (const Index range : {0, 16})
        cases.push_back(center_case({2500, 1, 37, 2}, range));  // summed in strips of rows
    for (const OperationShape& s : shapes_with_ranges()) {
        for (const bool gram : {false, true}) cases.push_back(node_product_case(s, gram));
        cases.push_back(center_case(s));
        for (const double decay : {mu, 0.0}) {
            for (const DecayTo to : {DecayTo::zero, DecayTo::identity})
                cases.push_back(node_space_target_case(s, decay, to));
            if (s.N < 200) cases.push_back(node_space_close_case(s, decay));
        }
        for (const Codec codec : {Codec::grid, Codec::difference})
            for (const auto& [share, name] : {std::pair{0.7, "taken"}, {0.2, "later"}, {-0.5, "never"}})
                cases.push_back(descent_check_case(s, codec, share, name));
    }
    return cases;
}

}  // namespace pdadmm
