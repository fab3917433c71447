// Cases of p and W and the first layer in node space (tests/backend/operation_cases.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::multiply;

namespace {

/// norm_sq of every layer against the expected gradient's.
void expect_norms(Workbench& bench, Cells<double>& norms, const std::vector<Array>& gradient,
                  const std::vector<Array>& magnitude) {
    const std::vector<double> now = bench.read(norms);
    for (std::size_t l = 0; l < now.size(); ++l)
        bench.expect(fmt::format("|gradient|^2 of layer {}", l), now[l], dot(gradient[l], gradient[l]),
                     (8 * unit + 1e-13) * dot(magnitude[l], magnitude[l]));
}

OperationCase p_gradient_case(const OperationShape& s, bool with_norm) {
    return {fmt::format("p_gradient_{}{}", with_norm ? "" : "without_norm_", text(s)),
            5.0 * static_cast<double>(s.n * s.N * s.batch),
            5.0 * static_cast<double>(s.n * s.N * s.batch) * sizeof(real), [=](Workbench& bench) {
                Stack u = bench.stack("u", s.n, s.N, s.batch), p = bench.stack("p", s.n, s.N, s.batch),
                      q = bench.stack("q", s.n, s.N, s.batch), g = bench.stack("g", s.n, s.N, s.batch);
                const auto k = controls(bench);
                auto norms = bench.cells("norm_sq", std::vector<double>(static_cast<std::size_t>(s.batch), 9));
                return Prepared{[&bench, u, p, q, g, k, norms, with_norm] {
                                    bench.backend.p_gradient(u.view, p.view, q.view, k.data, g.view,
                                                             with_norm ? norms.data : nullptr);
                                },
                                [&bench, u, p, q, g, norms, with_norm]() mutable {
                                    std::vector<Array> e = g.before, m = g.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size(); ++i) {
                                            const double Wr = nu * e[l].values[i], dual = u.before[l].values[i],
                                                         a = p.before[l].values[i], b = q.before[l].values[i];
                                            m[l].values[i] =
                                                std::fabs(Wr) + std::fabs(dual) + rho * (std::fabs(a) + std::fabs(b));
                                            e[l].values[i] = Wr + dual + rho * (a - b);
                                        }
                                    bench.expect(g, e, m, 3);
                                    if (with_norm) expect_norms(bench, norms, e, m);
                                }};
            }};
}

/// 1 where element i of a square matrix with `rows` rows is on its diagonal and the decay is to the identity.
double decay_target(DecayTo decay, Index rows, std::size_t i) {
    return decay == DecayTo::identity && static_cast<Index>(i) % (rows + 1) == 0 ? 1 : 0;
}
const char* suffix(DecayTo decay) { return decay == DecayTo::identity ? "_from_identity_" : "_"; }

OperationCase W_gradient_case(const OperationShape& s, DecayTo decay) {
    return {fmt::format("W_gradient{}{}", suffix(decay), text(s)), 0, 0, [=](Workbench& bench) {
                const Index cols = decay == DecayTo::identity ? s.n : s.m;
                Stack W = bench.stack("W", s.n, cols, s.batch), G = bench.stack("G", s.n, cols, s.batch);
                const auto k = controls(bench);
                auto norms = bench.cells("norm_sq", std::vector<double>(static_cast<std::size_t>(s.batch), 9));
                return Prepared{[&bench, W, decay, G, k, norms] {
                                    bench.backend.W_gradient(W.view, decay, k.data, G.view, norms.data);
                                },
                                [&bench, W, decay, G, norms]() mutable {
                                    std::vector<Array> e = G.before, m = G.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size(); ++i) {
                                            const double rp = nu * e[l].values[i], w = W.before[l].values[i],
                                                         to = decay_target(decay, W.view.rows, i);
                                            e[l].values[i] = rp + mu * (w - to);
                                            m[l].values[i] = std::fabs(rp) + mu * (std::fabs(w) + to);
                                        }
                                    bench.expect(G, e, m, 2);
                                    expect_norms(bench, norms, e, m);
                                }};
            }};
}

/// W where it is drawn to and G = 0: the gradient and its norm are zero exactly, and step_size() then keeps W. (mu is
/// no sum of a few powers of two, so that sums of its squares are rounded.)
OperationCase W_gradient_at_identity_case(const OperationShape& s) {
    return {"W_gradient_at_identity_" + text(s), 0, 0, [=](Workbench& bench) {
                std::vector<Array> identity(static_cast<std::size_t>(s.batch), Array(s.n, s.n));
                for (Array& a : identity)
                    for (Index i = 0; i < s.n; ++i) a(i, i) = 1;
                Stack W = bench.from("W", identity),
                      G = bench.from("G", std::vector<Array>(identity.size(), Array(s.n, s.n)));
                const auto k = bench.cells("controls", std::vector<Controls>{{real(rho), real(nu), real(0.3), 0, 0}});
                auto norms = bench.cells("norm_sq", std::vector<double>(identity.size(), 9));
                return Prepared{[&bench, W, G, k, norms] {
                                    bench.backend.W_gradient(W.view, DecayTo::identity, k.data, G.view, norms.data);
                                },
                                [&bench, G, norms]() mutable {
                                    bench.expect(G, G.before, G.before, 0);
                                    for (const double norm : bench.read(norms))
                                        bench.expect("|gradient|^2", norm, 0, 0);
                                }};
            }};
}

OperationCase step_case(const OperationShape& s, Backend::Variable variable, StepSpec spec, double scale,
                        const char* name) {
    return {fmt::format("step_size_{}_{}_{}", variable == Backend::Variable::p ? "p" : "W", name, text(s)), 0, 0,
            [=](Workbench& bench) {
                Stack h = bench.stack("h", s.n, s.N, s.batch, scale);
                std::vector<double> squares;
                for (Index l = 0; l < s.batch; ++l)  // layer 1 of many is at its stationary point
                    squares.push_back(
                        s.batch > 2 && l == 1 ? 0 : static_cast<double>(s.m * s.N) * (0.5 + std::fabs(bench.normal())));
                const auto norms = bench.cells("norm_sq", squares);
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                const auto k = controls(bench);
                return Prepared{[&bench, variable, spec, norms, h, k, inverse] {
                                    bench.backend.step_size(variable, norms.data, h.view, k.data, spec, inverse.data);
                                },
                                [&bench, variable, spec, squares, h, inverse]() mutable {
                                    const std::vector<real> now = bench.read(inverse);
                                    for (std::size_t l = 0; l < now.size(); ++l) {
                                        const double gg = squares[l], hh = dot(h.before[l], h.before[l]);
                                        const double kappa = variable == Backend::Variable::p ? rho : mu;
                                        const double e =
                                            gg > 0 ? reference::inverse_step(spec, nu * hh / gg + kappa) : 0;
                                        bench.expect(fmt::format("inverse of layer {}", l), static_cast<double>(now[l]),
                                                     e, (4 * unit + 1e-13) * e);
                                    }
                                }};
            }};
}

/// x - step d of every layer, and the magnitudes.
void expect_descent(Workbench& bench, Stack& moved, const Stack& along, const std::vector<real>& step) {
    std::vector<Array> e = moved.before, m = moved.before;
    for (std::size_t l = 0; l < e.size(); ++l)
        for (std::size_t i = 0; i < e[l].size(); ++i) {
            const double d = static_cast<double>(step[l]) * along.before[l].values[i];
            e[l].values[i] -= d;
            m[l].values[i] = std::fabs(m[l].values[i]) + std::fabs(d);
        }
    bench.expect(moved, e, m, 1);
}

OperationCase descend_case(const OperationShape& s) {
    return {"descend_p_and_r_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack g = bench.stack("g", s.m, s.N, s.batch), p = bench.stack("p", s.m, s.N, s.batch),
                      h = bench.stack("h", s.n, s.N, s.batch), r = bench.stack("r", s.n, s.N, s.batch);
                const auto inverse = bench.cells("inverse", steps(s.batch));
                return Prepared{[&bench, g, p, h, r, inverse] {
                                    bench.backend.descend(inverse.data, g.view, p.view, h.view, r.view);
                                },
                                [&bench, g, p, h, r, step = steps(s.batch)]() mutable {
                                    expect_descent(bench, p, g, step);
                                    expect_descent(bench, r, h, step);
                                }};
            }};
}

OperationCase descend_weights_case(const OperationShape& s, DecayTo decay) {
    return {fmt::format("descend_W{}{}", suffix(decay), text(s)), 0, 0, [=](Workbench& bench) {
                const Index cols = decay == DecayTo::identity ? s.n : s.m;
                Stack G = bench.stack("G", s.n, cols, s.batch), W = bench.stack("W", s.n, cols, s.batch);
                const auto inverse = bench.cells("inverse", steps(s.batch));
                auto figures = bench.cells(
                    "figures", std::vector<LayerFigures>(static_cast<std::size_t>(s.batch), {1, 2, 3, 4, 5, 6}));
                return Prepared{[&bench, G, W, decay, inverse, figures] {
                                    bench.backend.descend(inverse.data, G.view, W.view, decay, figures.data);
                                },
                                [&bench, G, W, decay, figures, step = steps(s.batch)]() mutable {
                                    expect_descent(bench, W, G, step);
                                    const auto now = bench.read(figures);
                                    for (std::size_t l = 0; l < now.size(); ++l) {
                                        Array e = W.before[l], m = absolute(e);
                                        for (std::size_t i = 0; i < e.size(); ++i) {
                                            const double d = static_cast<double>(step[l]) * G.before[l].values[i];
                                            const double to = decay_target(decay, e.rows, i);
                                            e.values[i] -= d + to;
                                            m.values[i] += std::fabs(d) + to;
                                        }
                                        bench.expect("weight_sq", now[l].weight_sq, dot(e, e),
                                                     (8 * unit + 1e-13) * dot(m, m));
                                        bench.expect("the others",
                                                     now[l].linear_sq + now[l].activation_sq + now[l].coupling +
                                                         now[l].primal_sq + now[l].risk,
                                                     16, 0);
                                    }
                                }};
            }};
}

/// T = r X'X and V = W X of a true X and W, so that the expected step is that of the direct form. `stationary`: W is
/// where the gradient cancels, and must be kept.
OperationCase node_space_case(const OperationShape& s, bool stationary) {
    return {
        fmt::format("node_space_step_{}{}", stationary ? "kept_" : "", text(s)), 0, 0, [=](Workbench& bench) {
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
            auto figures = bench.cells("figures", std::vector<LayerFigures>{{1, 2, 3, 4, 5, 6}});
            const auto k = controls(bench);
            return Prepared{
                [&bench, r, T, V, k, inverse, scalars, figures] {
                    bench.backend.node_space_step(r.view, T.view, V.view, k.data, {}, inverse.data, scalars.data,
                                                  figures.data);
                },
                [&bench, r, T, V, W, G, X, inverse, scalars, figures, stationary]() mutable {
                    Array H = T.before[0], m = T.before[0];
                    for (std::size_t i = 0; i < H.size(); ++i) {
                        const double t = nu * T.before[0].values[i], v = mu * V.before[0].values[i];
                        H.values[i] = t + v;
                        m.values[i] = std::fabs(t) + std::fabs(v);
                    }
                    bench.expect(T, {H}, {m}, 2);
                    const double GG = dot(G, G),
                                 e = stationary || GG == 0
                                         ? 0
                                         : 1 / (nu * dot(multiply(G, false, X, false), multiply(G, false, X, false)) /
                                                    GG +
                                                mu);
                    const double size = nu * nu * dot(absolute(r.before[0]), absolute(T.before[0])) +
                                        2 * nu * mu * dot(absolute(r.before[0]), absolute(V.before[0])) +
                                        mu * mu * dot(W, W);
                    const double noise = e > 0 ? 64 * unit * size / GG : 0;
                    bench.expect("inverse", static_cast<double>(bench.read(inverse)[0]), e, noise * e);
                    Array moved = W;
                    for (std::size_t i = 0; i < W.size(); ++i) moved.values[i] -= e * G.values[i];
                    const NodeSpaceScalars now = bench.read(scalars)[0];
                    bench.expect("|W1|^2", now.weight_sq, dot(moved, moved),
                                 (noise + 1e-12) * (dot(W, W) + e * e * size + e * size / mu));
                    bench.expect("|W1|^2 in the figures", bench.read(figures)[0].weight_sq, now.weight_sq, 0);
                    bench.expect("c", now.c, 0.5 * (1 - mu * e), noise + 1e-12);
                }};
        }};
}

OperationCase node_descend_case(const OperationShape& s) {
    return {"node_space_descend_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack r = bench.stack("r", s.n, s.N, 1), H = bench.stack("H", s.n, s.N, 1),
                      S = bench.stack("S", s.n, s.N, 1), V = bench.stack("V", s.n, s.N, 1);
                const auto inverse = bench.cells("inverse", std::vector<real>{real(0.5)});
                const auto k = controls(bench);
                return Prepared{
                    [&bench, r, H, S, V, k, inverse] {
                        bench.backend.node_space_descend(inverse.data, r.view, H.view, k.data, S.view, V.view);
                    },
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
        for (const bool with_norm : {true, false}) cases.push_back(p_gradient_case(s, with_norm));
        cases.push_back(W_gradient_at_identity_case(s));
        for (const DecayTo decay : {DecayTo::zero, DecayTo::identity}) {
            cases.push_back(W_gradient_case(s, decay));
            cases.push_back(descend_weights_case(s, decay));
        }
        for (const Backend::Variable v : {Backend::Variable::p, Backend::Variable::W}) {
            cases.push_back(step_case(s, v, exact, 3, "exact"));
            cases.push_back(step_case(s, v, floored, 3, "floored"));
            cases.push_back(step_case(s, v, backtracking, 1, "first"));
            cases.push_back(step_case(s, v, backtracking, 40, "later"));
            cases.push_back(step_case(s, v, backtracking, 1e5, "kept"));
        }
        cases.push_back(descend_case(s));
        for (const bool stationary : {false, true}) cases.push_back(node_space_case(s, stationary));
        cases.push_back(node_descend_case(s));
        cases.push_back(scale_case(s));
    }
    return cases;
}

}  // namespace pdadmm
