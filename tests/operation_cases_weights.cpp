// Cases of p and W, quantised p and the first layer in node space (tests/operation_cases.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::multiply;

namespace {

constexpr double unit = std::numeric_limits<real>::epsilon();
constexpr double rho = 1.5, nu = 0.25, mu = 0.75;  // exact in float

Cells<Controls> controls(Workbench& bench) { return bench.cells("controls", std::vector<Controls>{{real(rho), real(nu), real(mu), 0, 0}}); }

/// Layer l's step size, of both signs.
std::vector<real> steps(Index batch) {
    std::vector<real> values;
    for (Index l = 0; l < batch; ++l) values.push_back(static_cast<real>(l % 3 == 2 ? -1 : 0.5 + 0.25 * static_cast<double>(l)));
    return values;
}

/// Multiples of 1/8, so that sums and products with a few bits are exact.
std::vector<Array> eighths(Workbench& bench, Index rows, Index cols, Index batch, double most) {
    std::vector<Array> layers(static_cast<std::size_t>(batch), Array(rows, cols));
    for (Array& a : layers)
        for (double& x : a.values) x = std::clamp(std::round(8 * bench.normal()) / 8, -most, most);
    return layers;
}

OperationCase coupling_case(const OperationShape& s) {
    return {"coupling_gradient_" + text(s), 3.0 * static_cast<double>(s.n * s.N * s.batch), 4.0 * static_cast<double>(s.n * s.N * s.batch) * sizeof(real),
            [=](Workbench& bench) {
                Stack u = bench.stack("u", s.n, s.N, s.batch), p = bench.stack("p", s.n, s.N, s.batch), q = bench.stack("q", s.n, s.N, s.batch),
                      g = bench.stack("g", s.n, s.N, s.batch);
                const auto k = controls(bench);
                return Prepared{[&bench, u, p, q, g, k] { bench.backend.coupling_gradient(u.view, p.view, q.view, k.data, g.view); },
                                [&bench, u, p, q, g]() mutable {
                                    std::vector<Array> e = u.before, m = u.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size(); ++i) {
                                            const double a = p.before[l].values[i], b = q.before[l].values[i];
                                            m[l].values[i] = std::fabs(e[l].values[i]) + rho * (std::fabs(a) + std::fabs(b));
                                            e[l].values[i] += rho * (a - b);
                                        }
                                    bench.expect(g, e, m, 2);
                                }};
            }};
}

OperationCase decay_case(const OperationShape& s) {
    return {"decay_gradient_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack W = bench.stack("W", s.n, s.m, s.batch), G = bench.stack("G", s.n, s.m, s.batch);
                const auto k = controls(bench);
                return Prepared{[&bench, W, G, k] { bench.backend.decay_gradient(W.view, k.data, G.view); },
                                [&bench, W, G]() mutable {
                                    std::vector<Array> e = W.before, m = W.before;
                                    for (std::size_t l = 0; l < e.size(); ++l) {
                                        for (double& x : e[l].values) x *= mu;
                                        m[l] = absolute(e[l]);
                                    }
                                    bench.expect(G, e, m, 1);
                                }};
            }};
}

OperationCase step_case(const OperationShape& s, Backend::Variable variable, StepSpec spec, double scale, const char* name) {
    return {fmt::format("step_size_{}_{}_{}", variable == Backend::Variable::p ? "p" : "W", name, text(s)), 0, 0, [=](Workbench& bench) {
                Stack g = bench.stack("g", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch, scale);
                if (s.batch > 2) {  // a layer at its stationary point
                    std::vector<Array> with_zero = g.before;
                    std::fill(with_zero[1].values.begin(), with_zero[1].values.end(), 0);
                    g = bench.from("g with a zero layer", with_zero);
                }
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                const auto k = controls(bench);
                return Prepared{[&bench, variable, spec, g, h, k, inverse] { bench.backend.step_size(variable, g.view, h.view, k.data, spec, inverse.data); },
                                [&bench, variable, spec, g, h, inverse]() mutable {
                                    const std::vector<real> now = bench.read(inverse);
                                    for (std::size_t l = 0; l < now.size(); ++l) {
                                        const double gg = dot(g.before[l], g.before[l]), hh = dot(h.before[l], h.before[l]);
                                        const double kappa = variable == Backend::Variable::p ? rho : mu;
                                        const double e = gg > 0 ? reference::inverse_step(spec, nu * hh / gg + kappa) : 0;
                                        bench.expect(fmt::format("inverse of layer {}", l), static_cast<double>(now[l]), e, (4 * unit + 1e-13) * e);
                                    }
                                }};
            }};
}

OperationCase descend_case(const OperationShape& s, bool both) {
    return {(both ? "descend_with_r_" : "descend_") + text(s), 0, 0, [=](Workbench& bench) {
                Stack g = bench.stack("g", s.m, s.N, s.batch), x = bench.stack("x", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch),
                      r = bench.stack("r", s.n, s.N, s.batch);
                const auto inverse = bench.cells("inverse", steps(s.batch));
                return Prepared{[&bench, both, g, x, h, r, inverse] {
                                    both ? bench.backend.descend(inverse.data, g.view, x.view, h.view, r.view)
                                         : bench.backend.descend(inverse.data, g.view, x.view);
                                },
                                [&bench, both, g, x, h, r, step = steps(s.batch)]() mutable {
                                    const auto check = [&](Stack& moved, const Stack& along) {
                                        std::vector<Array> e = moved.before, m = moved.before;
                                        for (std::size_t l = 0; l < e.size(); ++l)
                                            for (std::size_t i = 0; i < e[l].size(); ++i) {
                                                const double d = static_cast<double>(step[l]) * along.before[l].values[i];
                                                e[l].values[i] -= d;
                                                m[l].values[i] = std::fabs(m[l].values[i]) + std::fabs(d);
                                            }
                                        bench.expect(moved, e, m, 1);
                                    };
                                    check(x, g);
                                    if (both) check(r, h);
                                }};
            }};
}

const std::vector<double> levels = {-1, -0.5, 0, 0.25, 1, 2.5};

Quantizer grid(Workbench& bench) {
    const auto table = bench.cells("levels", std::vector<real>(levels.begin(), levels.end()));
    return {Codec::grid, 4, table.data, static_cast<std::int32_t>(levels.size())};
}

double snapped_level(double x) { return levels[reference::nearest(levels, x)]; }

OperationCase grid_move_case(const OperationShape& s) {  // eighths: every tie between two levels is exact
    return {"grid_move_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack p = bench.from("p", eighths(bench, s.m, s.N, s.batch, 4)), g = bench.from("g", eighths(bench, s.m, s.N, s.batch, 4)),
                      d = bench.stack("d", s.m, s.N, s.batch);
                const auto inverse = bench.cells("inverse", steps(s.batch));
                std::vector<std::int32_t> left;
                for (Index l = 0; l < s.batch; ++l) left.push_back(l == 1 ? 0 : 12 - static_cast<std::int32_t>(l));
                const auto pending = bench.cells("pending", left);
                const Quantizer q = grid(bench);
                return Prepared{[&bench, q, p, g, d, inverse, pending] { bench.backend.grid_move(q, p.view, g.view, inverse.data, pending.data, d.view); },
                                [&bench, p, g, d, left, step = steps(s.batch)]() mutable {
                                    std::vector<Array> e = d.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size() && left[l] > 0; ++i) {
                                            const double x = p.before[l].values[i];
                                            e[l].values[i] = snapped_level(x - static_cast<double>(step[l]) * g.before[l].values[i]) - x;
                                        }
                                    bench.expect(d, e, e, 0);
                                }};
            }};
}

OperationCase snap_case(const OperationShape& s) {
    return {"snap_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack x = bench.from("x", eighths(bench, s.m, s.N, s.batch, 4));
                const Quantizer q = grid(bench);
                return Prepared{[&bench, q, x] { bench.backend.snap(q, x.view); },
                                [&bench, x]() mutable {
                                    std::vector<Array> e = x.before;
                                    for (Array& a : e)
                                        for (double& v : a.values) v = snapped_level(v);
                                    bench.expect(x, e, e, 0);
                                }};
            }};
}

/// Layers in turn: accepted, refused with trials left, refused at the last trial, snapped in place, done before.
OperationCase grid_check_case(const OperationShape& s, int first) {
    return {fmt::format("grid_check_{}_{}", first, text(s)), 0, 0, [=](Workbench& bench) {
                Stack d = bench.stack("d", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch);
                std::vector<real> before, after;
                std::vector<std::int32_t> left, then;
                for (Index l = 0; l < s.batch; ++l) {
                    const auto i = static_cast<std::size_t>(l);
                    const double dd = dot(d.before[i], d.before[i]), hh = dot(h.before[i], h.before[i]);
                    const auto fits = static_cast<real>(dd > 0 ? 1 / (nu * hh / dd + rho) : 1);  // the largest inverse that passes
                    const auto put = [&](real at, std::int32_t trials, bool accepted) {
                        const bool passes = dd > 0 ? accepted : at == 0 || hh == 0;  // dd = 0: nothing but a zero move passes
                        before.push_back(at);
                        left.push_back(trials);
                        after.push_back(trials <= 0 || passes ? at : trials > 2 ? at / 2 : 0);
                        then.push_back(trials <= 0 || passes ? 0 : trials - 1);
                    };
                    switch ((static_cast<int>(l) + first) % 5) {
                        case 0: put(fits / 2, 7, true); break;
                        case 1: put(fits * 2, 12, false); break;
                        case 2: put(fits * 2, 2, false); break;
                        case 3: put(0, 1, true); break;
                        default: put(fits * 2, 0, false);
                    }
                }
                auto inverse = bench.cells("inverse", before);
                auto pending = bench.cells("pending", left);
                const auto k = controls(bench);
                return Prepared{[&bench, d, h, k, inverse, pending] { bench.backend.grid_check(d.view, h.view, k.data, inverse.data, pending.data); },
                                [&bench, inverse, pending, after, then]() mutable {
                                    const auto now = bench.read(inverse);
                                    const auto trials = bench.read(pending);
                                    for (std::size_t l = 0; l < now.size(); ++l) {
                                        bench.expect(fmt::format("inverse of layer {}", l), static_cast<double>(now[l]), static_cast<double>(after[l]), 0);
                                        bench.expect(fmt::format("pending of layer {}", l), trials[l], then[l], 0);
                                    }
                                }};
            }};
}

OperationCase repeat_case(const OperationShape& s) {  // too long a step everywhere: all trials, then snapped in place
    return {"repeat_while_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack d = bench.from("d", std::vector<Array>(static_cast<std::size_t>(s.batch), [&] {
                                         Array ones(s.m, s.N);
                                         std::fill(ones.values.begin(), ones.values.end(), 1);
                                         return ones;
                                     }()));
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                auto pending = bench.cells("pending", std::vector<std::int32_t>(static_cast<std::size_t>(s.batch), 9));
                const auto k = controls(bench);
                return Prepared{[&bench, d, k, inverse, pending, s] {
                                    bench.backend.set_inverse(inverse.data, s.batch, 1e-6);
                                    bench.backend.reset_pending(pending.data, s.batch);
                                    bench.backend.repeat_while(pending.data, s.batch, backtracking_trials + 1, [&] {
                                        bench.backend.grid_check(d.view, d.view, k.data, inverse.data, pending.data);
                                    });
                                },
                                [&bench, inverse, pending]() mutable {
                                    for (const real x : bench.read(inverse)) bench.expect("inverse", static_cast<double>(x), 0, 0);
                                    for (const std::int32_t x : bench.read(pending)) bench.expect("pending", x, 0, 0);
                                }};
            }};
}

OperationCase reset_case(const OperationShape& s) {
    return {"set_inverse_reset_pending_" + text(s), 0, 0, [=](Workbench& bench) {
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                auto pending = bench.cells("pending", std::vector<std::int32_t>(static_cast<std::size_t>(s.batch), 9));
                return Prepared{[&bench, inverse, pending, s] {
                                    bench.backend.set_inverse(inverse.data, s.batch, 20);
                                    bench.backend.reset_pending(pending.data, s.batch);
                                },
                                [&bench, inverse, pending]() mutable {
                                    for (const real x : bench.read(inverse)) bench.expect("inverse", static_cast<double>(x), 0.05, unit * 0.05);
                                    for (const std::int32_t x : bench.read(pending)) bench.expect("pending", x, 12, 0);
                                }};
            }};
}

/// Widths are 1/4 and changes are eighths, so that every half is exact. Layer 1 does not change at all.
OperationCase difference_move_case(const OperationShape& s, int bits) {
    return {fmt::format("difference_move_{}bits_{}", bits, text(s)), 0, 0, [=](Workbench& bench) {
                const double top = (1 << (bits - 1)) - 1, M = top / 4;
                std::vector<Array> change = eighths(bench, s.m, s.N, s.batch, M), gradient = change;
                for (std::size_t l = 0; l < change.size(); ++l) {
                    Array& x = change[l];
                    x.values.back() = l % 2 ? -M : M;
                    if (l == 1) std::fill(x.values.begin(), x.values.end(), 0);
                    for (std::size_t i = 0; i < x.size(); ++i) gradient[l].values[i] = -x.values[i] * 2;
                }
                Stack g = bench.from("g", gradient), d = bench.stack("d", s.m, s.N, s.batch);
                const auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), real(0.5)));
                const Quantizer q{Codec::difference, bits, nullptr, 0};
                return Prepared{[&bench, q, g, d, inverse] { bench.backend.difference_move(q, g.view, inverse.data, d.view); },
                                [&bench, d, change]() mutable {
                                    std::vector<Array> e = change;
                                    for (Array& a : e)
                                        for (double& x : a.values) x = reference::half_even(x * 4) / 4;
                                    bench.expect(d, e, e, 0);
                                }};
            }};
}

/// Layers in turn: accepted at once, after three halvings, never.
OperationCase difference_check_case(const OperationShape& s, int first) {
    return {fmt::format("difference_check_{}_{}", first, text(s)), 0, 0, [=](Workbench& bench) {
                Stack d = bench.stack("d", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch);
                std::vector<real> before;
                std::vector<double> after;
                for (Index l = 0; l < s.batch; ++l) {
                    const auto i = static_cast<std::size_t>(l);
                    const double dd = dot(d.before[i], d.before[i]), hh = dot(h.before[i], h.before[i]);
                    const int kind = (static_cast<int>(l) + first) % 3;
                    const double longer = kind == 0 ? 0.7 : kind == 1 ? 6 : 3000;
                    before.push_back(static_cast<real>(dd > 0 ? longer / (nu * hh / dd + rho) : 1));
                    after.push_back(dd > 0 ? (kind == 0 ? -1 : kind == 1 ? -0.125 : 0) : 0);
                }
                auto inverse = bench.cells("inverse", before);
                const auto k = controls(bench);
                return Prepared{[&bench, d, h, k, inverse] { bench.backend.difference_check(d.view, h.view, k.data, inverse.data); },
                                [&bench, inverse, after]() mutable {
                                    const auto now = bench.read(inverse);
                                    for (std::size_t l = 0; l < now.size(); ++l)
                                        bench.expect(fmt::format("factor of layer {}", l), static_cast<double>(now[l]), after[l], 0);
                                }};
            }};
}

/// T = r X'X and V = W X of a true X and W, so that the expected step is that of the direct form. `stationary`: W is where the
/// gradient cancels, and must be kept.
OperationCase node_space_case(const OperationShape& s, bool stationary) {
    return {fmt::format("node_space_step_{}{}", stationary ? "kept_" : "", text(s)), 0, 0, [=](Workbench& bench) {
                const Array X = bench.stack("X", s.m, s.N, 1).before[0];
                Stack r = bench.stack("r", s.n, s.N, 1);
                Array W(s.n, s.m), G = multiply(r.before[0], false, X, true);
                for (std::size_t i = 0; i < W.size(); ++i) {
                    W.values[i] = stationary ? -nu / mu * G.values[i] : bench.normal();
                    G.values[i] = nu * G.values[i] + mu * W.values[i];
                }
                Stack T = bench.from("T", {multiply(multiply(r.before[0], false, X, true), false, X, false)});
                Stack V = bench.from("V", {multiply(W, false, X, false)});
                auto inverse = bench.cells("inverse", std::vector<real>{9});
                auto scalars = bench.cells("scalars", std::vector<NodeSpaceScalars>{{0.5, dot(W, W)}});
                const auto k = controls(bench);
                return Prepared{[&bench, r, T, V, k, inverse, scalars] {
                                    bench.backend.node_space_step(r.view, T.view, V.view, k.data, {}, inverse.data, scalars.data);
                                },
                                [&bench, r, T, V, W, G, X, inverse, scalars, stationary]() mutable {
                                    Array H = T.before[0], m = T.before[0];
                                    for (std::size_t i = 0; i < H.size(); ++i) {
                                        const double t = nu * T.before[0].values[i], v = mu * V.before[0].values[i];
                                        H.values[i] = t + v;
                                        m.values[i] = std::fabs(t) + std::fabs(v);
                                    }
                                    bench.expect(T, {H}, {m}, 2);
                                    const double GG = dot(G, G), e = stationary || GG == 0 ? 0 : 1 / (nu * dot(multiply(G, false, X, false), multiply(G, false, X, false)) / GG + mu);
                                    const double size = nu * nu * dot(absolute(r.before[0]), absolute(T.before[0])) +
                                                        2 * nu * mu * dot(absolute(r.before[0]), absolute(V.before[0])) + mu * mu * dot(W, W);
                                    const double noise = e > 0 ? 64 * unit * size / GG : 0;
                                    bench.expect("inverse", static_cast<double>(bench.read(inverse)[0]), e, noise * e);
                                    Array moved = W;
                                    for (std::size_t i = 0; i < W.size(); ++i) moved.values[i] -= e * G.values[i];
                                    const NodeSpaceScalars now = bench.read(scalars)[0];
                                    bench.expect("|W1|^2", now.weight_sq, dot(moved, moved), (noise + 1e-12) * (dot(W, W) + e * e * size + e * size / mu));
                                    bench.expect("c", now.c, 0.5 * (1 - mu * e), noise + 1e-12);
                                }};
            }};
}

OperationCase node_descend_case(const OperationShape& s) {
    return {"node_space_descend_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack r = bench.stack("r", s.n, s.N, 1), H = bench.stack("H", s.n, s.N, 1), S = bench.stack("S", s.n, s.N, 1), V = bench.stack("V", s.n, s.N, 1);
                const auto inverse = bench.cells("inverse", std::vector<real>{real(0.5)});
                const auto k = controls(bench);
                return Prepared{[&bench, r, H, S, V, k, inverse] { bench.backend.node_space_descend(inverse.data, r.view, H.view, k.data, S.view, V.view); },
                                [&bench, r, H, S, V]() mutable {
                                    Array s_now = S.before[0], s_size = s_now, v_now = V.before[0], v_size = v_now;
                                    for (std::size_t i = 0; i < s_now.size(); ++i) {
                                        const double add = nu * 0.5 * r.before[0].values[i], d = 0.5 * H.before[0].values[i];
                                        s_size.values[i] = std::fabs(s_now.values[i]) + std::fabs(add);
                                        s_now.values[i] = (1 - mu * 0.5) * s_now.values[i] + add;
                                        v_size.values[i] = std::fabs(v_now.values[i]) + std::fabs(d);
                                        v_now.values[i] -= d;
                                    }
                                    bench.expect(S, {s_now}, {s_size}, 2);
                                    bench.expect(V, {v_now}, {v_size}, 1);
                                }};
            }};
}

OperationCase scale_case(const OperationShape& s) {
    return {"scale_by_c_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack A = bench.stack("A", s.n, s.N, 1);
                const auto scalars = bench.cells("scalars", std::vector<NodeSpaceScalars>{{-0.375, 1}});
                return Prepared{[&bench, A, scalars] { bench.backend.scale_by_c(scalars.data, A.view); },
                                [&bench, A]() mutable {
                                    Array e = A.before[0], m = e;
                                    for (double& x : e.values) x *= -0.375;
                                    bench.expect(A, {e}, {absolute(m)}, 1);
                                }};
            }};
}

}  // namespace

std::vector<OperationCase> weight_cases() {
    std::vector<OperationCase> cases;
    const StepSpec exact{}, floored{StepRule::exact, 1000}, backtracking{StepRule::backtracking, 0};
    for (const OperationShape& s : operation_shapes()) {
        cases.push_back(coupling_case(s));
        cases.push_back(decay_case(s));
        for (const Backend::Variable v : {Backend::Variable::p, Backend::Variable::W}) {
            cases.push_back(step_case(s, v, exact, 3, "exact"));
            cases.push_back(step_case(s, v, floored, 3, "floored"));
            cases.push_back(step_case(s, v, backtracking, 1, "first"));
            cases.push_back(step_case(s, v, backtracking, 40, "later"));
            cases.push_back(step_case(s, v, backtracking, 1e5, "kept"));
        }
        for (const bool both : {false, true}) cases.push_back(descend_case(s, both));
        cases.push_back(grid_move_case(s));
        cases.push_back(snap_case(s));
        for (int first = 0; first < 5; ++first) cases.push_back(grid_check_case(s, first));
        cases.push_back(repeat_case(s));
        cases.push_back(reset_case(s));
        for (const int bits : {2, 4, 8}) cases.push_back(difference_move_case(s, bits));
        for (int first = 0; first < 3; ++first) cases.push_back(difference_check_case(s, first));
        for (const bool stationary : {false, true}) cases.push_back(node_space_case(s, stationary));
        cases.push_back(node_descend_case(s));
        cases.push_back(scale_case(s));
    }
    return cases;
}

}  // namespace pdadmm
