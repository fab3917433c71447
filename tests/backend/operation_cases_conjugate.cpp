// Cases of conjugate gradients on the first layer (tests/backend/operation_cases.hpp), over a true X and W1.
#include <fmt/format.h>

#include <cmath>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::multiply;

namespace {

/// scale_a a + scale_b b, and what it is made of.
struct Sum {
    Array value, size;
    Sum(const Array& a, double scale_a, const Array& b, double scale_b) : value(a), size(a) {
        for (std::size_t i = 0; i < a.size(); ++i) {
            value.values[i] = scale_a * a.values[i] + scale_b * b.values[i];
            size.values[i] = std::fabs(scale_a * a.values[i]) + std::fabs(scale_b * b.values[i]);
        }
    }
};

OperationCase gradient_case(const OperationShape& s) {
    return {"dual_gradient_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack S = bench.stack("S", s.n, s.N, 1), R = bench.stack("R", s.n, s.N, 1);
                const auto k = controls(bench);
                return Prepared{[&bench, S, R, k] { bench.backend.dual_gradient(S.view, k.data, R.view); },
                                [&bench, S, R]() mutable {
                                    const Sum now(R.before[0], nu, S.before[0], -mu);
                                    bench.expect(R, {now.value}, {now.size}, 2);
                                }};
            }};
}

OperationCase weight_case(const OperationShape& s, bool first) {
    return {(first ? "conjugate_weight_first_" : "conjugate_weight_") + text(s), 0, 0, [=](Workbench& bench) {
                Stack R = bench.stack("R", s.n, s.N, 1),
                      T = bench.from("T", {Sum(R.before[0], 2, R.before[0], 0).value});
                auto scalars = bench.cells("scalars", std::vector<ConjugateScalars>{{4, 7}});
                return Prepared{[&bench, R, T, scalars, first] {
                                    bench.backend.conjugate_weight(R.view, T.view, first, scalars.data);
                                },
                                [&bench, R, T, scalars, first]() mutable {
                                    const ConjugateScalars now = bench.read(scalars)[0];
                                    const double square = dot(R.before[0], T.before[0]);
                                    bench.expect("|G|^2", now.gradient_sq, square, 1e-12 * square);
                                    bench.expect("weight", now.weight, first ? 0 : square / 4, 1e-12 * square);
                                }};
            }};
}

/// Along E X_c' with U = E K_c, from W1 with V = W1 X_c: the step is the minimum of nu/2 |W X_c - t|^2 + mu/2 |W|^2.
/// Without weight E and U may hold anything.
OperationCase direction_case(const OperationShape& s, double weight) {
    return {
        fmt::format("conjugate_direction{}_{}", weight > 0 ? "" : "_first", text(s)), 0, 0, [=](Workbench& bench) {
            const Array X = bench.stack("X", s.m, s.N, 1).before[0], W = bench.stack("W", s.n, s.m, 1).before[0];
            const auto image = [X](const Array& a) { return multiply(multiply(a, false, X, true), false, X, false); };
            Array nothing(s.n, s.N);
            for (double& x : nothing.values) x = NAN;
            Stack R = bench.stack("R", s.n, s.N, 1), T = bench.from("T", {image(R.before[0])}),
                  V = bench.from("V", {multiply(W, false, X, false)});
            const Array old = bench.stack("E before", s.n, s.N, 1).before[0];
            Stack E = bench.from("E", {weight > 0 ? old : nothing}),
                  U = bench.from("U", {weight > 0 ? image(old) : nothing});
            const auto scalars = bench.cells("scalars", std::vector<ConjugateScalars>{{4, weight}});
            auto inverse = bench.cells("inverse", std::vector<real>{9});
            auto weights = bench.cells("weights", std::vector<NodeSpaceScalars>{{0.5, dot(W, W)}});
            auto figures = bench.cells("figures", std::vector<LayerFigures>{{1, 2, 3, 4, 5, 6}});
            const auto k = controls(bench);
            return Prepared{[&bench, R, T, V, E, U, k, scalars, inverse, weights, figures] {
                                bench.backend.conjugate_direction(R.view, T.view, V.view, k.data, scalars.data, E.view,
                                                                  U.view, inverse.data, weights.data, figures.data);
                            },
                            [&bench, R, T, E, U, W, X, old, weight, image, inverse, weights, figures]() mutable {
                                const Sum e(R.before[0], 1, old, weight), u(T.before[0], 1, image(old), weight);
                                bench.expect(E, {e.value}, {e.size}, 2);
                                bench.expect(U, {u.value}, {u.size}, 4);
                                const Array D = multiply(e.value, false, X, true), DX = multiply(D, false, X, false),
                                            G = multiply(R.before[0], false, X, true);
                                const double curvature = nu * dot(DX, DX) + mu * dot(D, D);
                                const double step = curvature > 0 ? dot(G, D) / curvature : 0;
                                const double size = dot(absolute(R.before[0]), u.size) + dot(e.size, u.size);
                                const double noise = 64 * unit * (curvature > 0 ? size / curvature : 0);
                                bench.expect("inverse", static_cast<double>(bench.read(inverse)[0]), step,
                                             noise + 8 * unit * std::fabs(step));
                                Array moved = W;
                                for (std::size_t i = 0; i < W.size(); ++i) moved.values[i] -= step * D.values[i];
                                const double off = bench.read(weights)[0].weight_sq, scale = std::sqrt(dot(D, D));
                                bench.expect("|W1|^2", off, dot(moved, moved),
                                             64 * unit * (dot(W, W) + (step * step + std::fabs(step)) * size * 8) +
                                                 4 * noise * scale * (std::sqrt(dot(W, W)) + std::fabs(step) * scale) +
                                                 256 * unit * std::fabs(step) *
                                                     dot(e.size, multiply(absolute(W), false, absolute(X), false)));
                                bench.expect("|W1|^2 in the figures", bench.read(figures)[0].weight_sq, off, 0);
                            }};
        }};
}

OperationCase step_case(const OperationShape& s) {
    return {"conjugate_step_" + text(s), 0, 0, [=](Workbench& bench) {
                const auto draw = [&](const char* name) { return bench.stack(name, s.n, s.N, 1); };
                Stack E = draw("E"), U = draw("U"), S = draw("S"), V = draw("V"), r = draw("r"), R = draw("R"),
                      d = bench.stack("d", s.n, 1, 1);
                const auto inverse = bench.cells("inverse", std::vector<real>{real(0.5)});
                const auto k = controls(bench);
                return Prepared{[&bench, E, U, S, V, r, R, d, k, inverse] {
                                    bench.backend.conjugate_step(inverse.data, k.data, E.view, U.view, d.view, S.view,
                                                                 V.view, r.view, R.view);
                                },
                                [&bench, E, U, S, V, r, R, d]() mutable {
                                    Array shift = U.before[0];
                                    for (Index j = 0; j < shift.cols; ++j)
                                        for (Index i = 0; i < shift.rows; ++i) shift(i, j) = d.before[0](i, 0);
                                    const Sum change(U.before[0], 0.5, shift, 0.5);
                                    const auto expect_moved = [&](Stack& x) {
                                        Sum now(x.before[0], 1, change.value, -1);
                                        for (std::size_t i = 0; i < now.size.size(); ++i)
                                            now.size.values[i] =
                                                std::fabs(x.before[0].values[i]) + change.size.values[i];
                                        bench.expect(x, {now.value}, {now.size}, 2);
                                    };
                                    expect_moved(V);
                                    expect_moved(r);
                                    const Sum sums(S.before[0], 1, E.before[0], 0.5);
                                    bench.expect(S, {sums.value}, {sums.size}, 2);
                                    const Sum bend(U.before[0], 0.5 * nu, E.before[0], 0.5 * mu);
                                    Sum left(R.before[0], 1, bend.value, -1);
                                    for (std::size_t i = 0; i < left.size.size(); ++i)
                                        left.size.values[i] = std::fabs(R.before[0].values[i]) + bend.size.values[i];
                                    bench.expect(R, {left.value}, {left.size}, 4);
                                }};
            }};
}

}  // namespace

std::vector<OperationCase> conjugate_cases() {
    std::vector<OperationCase> cases;
    for (const OperationShape& s : operation_shapes()) {
        cases.push_back(gradient_case(s));
        for (const bool first : {false, true}) cases.push_back(weight_case(s, first));
        for (const double weight : {0.0, 0.25}) cases.push_back(direction_case(s, weight));
        cases.push_back(step_case(s));
    }
    return cases;
}

}  // namespace pdadmm
