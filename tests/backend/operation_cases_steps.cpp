// Cases of the operations that a backend may do tile by tile: p_step, W_b_step (tests/backend/operation_cases.hpp).
#include <fmt/format.h>

#include <cmath>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::multiply;

namespace {

/// Products of the layers, and those of their magnitudes.
struct Images {
    std::vector<Array> values, magnitudes;
};
Images product(const std::vector<Array>& A, bool turned, const std::vector<Array>& B,
               const std::vector<Array>& magnitude_of_B) {
    Images c;
    for (std::size_t l = 0; l < A.size(); ++l) {
        c.values.push_back(multiply(A[l], turned, B[l], false));
        c.magnitudes.push_back(multiply(absolute(A[l]), turned, absolute(magnitude_of_B[l]), false));
    }
    return c;
}

/// inverse[l] from |g|^2 and |h|^2, known to `units` epsilons of their magnitudes.
void expect_inverse(Workbench& bench, const std::string& what, double now, double kappa, double gg, double gg_size,
                    double hh, double hh_size, double units) {
    const double e = gg > 0 ? 1 / (nu * hh / gg + kappa) : 0;
    const double noise = gg > 0 ? units * unit * (gg_size / gg + (hh > 0 ? hh_size / hh : 0)) : 0;
    bench.expect(what, now, e, (noise + 4 * unit + 1e-12) * e);
}

OperationCase p_step_case(const OperationShape& s, bool begun) {
    return {fmt::format("p_step_{}{}", begun ? "begun_" : "", text(s)), 0, 0, [=](Workbench& bench) {
                Stack W = bench.stack("W", s.n, s.m, s.batch), r = bench.stack("r", s.n, s.N, s.batch),
                      u = bench.stack("u", s.m, s.N, s.batch), p = bench.stack("p", s.m, s.N, s.batch),
                      q = bench.stack("q", s.m, s.N, s.batch), g = bench.stack("g", s.m, s.N, s.batch),
                      h = bench.stack("h", s.n, s.N, s.batch);
                auto norms = bench.cells("norm_sq", std::vector<double>(static_cast<std::size_t>(s.batch), 9));
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                const auto k = controls(bench);
                return Prepared{
                    [&bench, W, r, u, p, q, g, h, norms, inverse, k, begun] {
                        bench.backend.p_step({W.view, begun ? CMat{} : r.view, u.view, p.view, q.view, g.view, h.view,
                                              norms.data, inverse.data},
                                             k.data, {});
                    },
                    [&bench, W, r, u, p, q, g, h, norms, inverse, begun, s]() mutable {
                        Images Wr = begun ? Images{g.before, g.before} : product(W.before, true, r.before, r.before);
                        for (std::size_t l = 0; l < Wr.values.size(); ++l)
                            for (std::size_t i = 0; i < Wr.values[l].size(); ++i) {
                                double &e = Wr.values[l].values[i], &m = Wr.magnitudes[l].values[i];
                                const double dual = u.before[l].values[i], a = p.before[l].values[i],
                                             b = q.before[l].values[i];
                                e = nu * e + dual + rho * (a - b);
                                m = nu * std::fabs(m) + std::fabs(dual) + rho * (std::fabs(a) + std::fabs(b));
                            }
                        const double units = static_cast<double>(s.n + s.m + 8);
                        bench.expect(g, Wr.values, Wr.magnitudes, units);
                        const Images Wg = product(W.before, false, Wr.values, Wr.magnitudes);
                        bench.expect(h, Wg.values, Wg.magnitudes, 2 * units);
                        const auto of_g = bench.read(norms);
                        const auto size = bench.read(inverse);
                        for (std::size_t l = 0; l < of_g.size(); ++l) {
                            const double gg = dot(Wr.values[l], Wr.values[l]),
                                         gg_size = dot(Wr.magnitudes[l], Wr.magnitudes[l]);
                            bench.expect("|g|^2", of_g[l], gg, (4 * units * unit + 1e-12) * gg_size);
                            expect_inverse(bench, "1/tau", static_cast<double>(size[l]), rho, gg, gg_size,
                                           dot(Wg.values[l], Wg.values[l]), dot(Wg.magnitudes[l], Wg.magnitudes[l]),
                                           8 * units);
                        }
                    }};
            }};
}

OperationCase W_b_step_case(const OperationShape& s, bool sized) {
    return {
        fmt::format("W_b_step_{}{}", sized ? "" : "of_known_size_", text(s)), 0, 0, [=](Workbench& bench) {
            Stack G = bench.stack("G", s.n, s.m, s.batch), p = bench.stack("p", s.m, s.N, s.batch),
                  r = bench.stack("r", s.n, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch),
                  d = bench.stack("d", s.n, 1, s.batch), b = bench.stack("b", s.n, 1, s.batch);
            std::vector<double> squares;
            for (const Array& of_layer : G.before) squares.push_back(dot(of_layer, of_layer));
            const auto norms = bench.cells("norm_sq", squares);
            auto inverse = bench.cells("inverse", steps(s.batch));
            const auto k = controls(bench);
            return Prepared{
                [&bench, G, p, r, h, d, b, norms, inverse, k, sized] {
                    bench.backend.W_b_step(
                        {G.view, p.view, r.view, h.view, d.view, b.view, sized ? norms.data : nullptr, inverse.data},
                        k.data, {});
                },
                [&bench, G, p, r, h, d, b, squares, inverse, sized, s]() mutable {
                    const double units = static_cast<double>(s.m + 8);
                    const Images H = product(G.before, false, p.before, p.before);
                    bench.expect(h, H.values, H.magnitudes, units);
                    const auto step = bench.read(inverse);
                    std::vector<Array> mean = d.before, after = b.before, m_mean = d.before, m_after = b.before;
                    for (std::size_t l = 0; l < mean.size(); ++l) {
                        const double of_step = static_cast<double>(step[l]);
                        if (sized)
                            expect_inverse(bench, "1/theta", of_step, mu, squares[l], 0, dot(H.values[l], H.values[l]),
                                           dot(H.magnitudes[l], H.magnitudes[l]), 4 * units);
                        else
                            bench.expect("a known step", of_step, static_cast<double>(steps(s.batch)[l]), 0);
                        for (Index i = 0; i < s.n; ++i) {
                            double sum = 0, size = 0;
                            for (Index j = 0; j < s.N; ++j) {
                                sum += r.before[l](i, j) - of_step * H.values[l](i, j);
                                size += std::fabs(r.before[l](i, j)) + std::fabs(of_step) * H.magnitudes[l](i, j);
                            }
                            mean[l](i, 0) = sum / static_cast<double>(s.N);
                            m_mean[l](i, 0) = size / static_cast<double>(s.N);
                            m_after[l](i, 0) = std::fabs(after[l](i, 0)) + m_mean[l](i, 0);
                            after[l](i, 0) -= mean[l](i, 0);
                        }
                    }
                    bench.expect(d, mean, m_mean, units);
                    bench.expect(b, after, m_after, units);
                }};
        }};
}

}  // namespace

std::vector<OperationCase> step_cases() {
    std::vector<OperationCase> cases;
    for (const OperationShape& s : operation_shapes())
        for (const bool flag : {false, true}) {
            cases.push_back(p_step_case(s, flag));
            cases.push_back(W_b_step_case(s, flag));
        }
    return cases;
}

}  // namespace pdadmm
