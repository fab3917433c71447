// Operation cases of several labels a node: the last layer's proximal step, the gradient of the loss, the tally.
#include <fmt/format.h>

#include <cmath>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {
namespace {

using reference::Array;

/// Several labels a node, a third of them true.
std::vector<std::uint8_t> random_targets(Workbench& bench, Index count) {
    std::vector<std::uint8_t> targets;
    for (Index i = 0; i < count; ++i) targets.push_back(static_cast<std::uint8_t>(bench.random() % 3 == 0 ? 1 : 0));
    return targets;
}

OperationCase last_labels_case(const OperationShape& s, double last_nu, double size) {
    return {fmt::format("last_step_labels_nu{:g}_size{:g}_{}", last_nu, size, text(s)), 0, 0, [=](Workbench& bench) {
                Stack r = bench.stack("r", s.n, s.N, 1), h = bench.stack("h", s.n, s.N, 1),
                      d = bench.stack("d", s.n, 1, 1), z = bench.stack("z", s.n, s.N, 1, size);
                const std::vector<std::uint8_t> targets = random_targets(bench, s.n * s.N);
                const auto t = bench.cells("targets", targets);
                const auto y = bench.cells("labels", std::vector<std::int32_t>(static_cast<std::size_t>(s.N)));
                const auto inverse = bench.cells("inverse", std::vector<real>{real(0.5)});
                const auto k = bench.cells("controls", std::vector<Controls>{{1, static_cast<real>(last_nu), 0, 0, 0}});
                auto figures = bench.cells("figures", std::vector<LayerFigures>{{9, 9, 9, 9, 77, 9}});
                return Prepared{[&bench, r, h, d, z, y, t, inverse, k, figures] {
                                    bench.backend.last_step(inverse.data, h.view, d.view, {y.data, nullptr, t.data},
                                                            k.data, r.view, z.view, figures.data);
                                },
                                [&bench, r, h, d, z, targets, figures, last_nu]() mutable {
                                    const double nu = static_cast<double>(static_cast<real>(last_nu));
                                    const LayerFigures f = bench.read(figures)[0];
                                    Array e = z.before[0], e_r = e, m = e;
                                    double risk = 0, linear = 0, scale = 1;
                                    const Array residual = bench.read(r)[0], now = bench.read(z)[0];
                                    for (std::size_t i = 0; i < e.size(); ++i) {
                                        const Index row = static_cast<Index>(i) % e.rows;
                                        const double a = r.before[0].values[i] - 0.5 * h.before[0].values[i] -
                                                         d.before[0](row, 0) + z.before[0].values[i];
                                        m.values[i] = 1 + std::fabs(r.before[0].values[i]) +
                                                      std::fabs(h.before[0].values[i]) +
                                                      std::fabs(d.before[0](row, 0)) + std::fabs(z.before[0].values[i]);
                                        e.values[i] = reference::label_prox(a, targets[i] != 0, nu);
                                        m.values[i] += std::fabs(e.values[i]);  // far from a where nu is tiny
                                        e_r.values[i] = a - now.values[i];
                                        risk += reference::label_cost(e.values[i], targets[i] != 0);
                                        linear += residual.values[i] * residual.values[i];
                                        scale = std::fmax(scale, m.values[i]);
                                    }
                                    bench.expect(z, {e}, {m}, 4);
                                    bench.expect(r, {e_r}, {m}, 4);
                                    const double labels = static_cast<double>(e.size());
                                    bench.expect("risk", f.risk, risk, 1e-9 * labels + 16 * unit * scale * labels);
                                    bench.expect("linear_sq", f.linear_sq, linear, 1e-6 * linear);
                                    bench.expect("weight_sq, which stays", f.weight_sq, 77, 0);
                                    bench.expect("activation_sq, coupling and primal_sq",
                                                 f.activation_sq + f.coupling + f.primal_sq, 0, 0);
                                }};
            }};
}

OperationCase gradient_labels_case(const OperationShape& s, double size) {
    return {fmt::format("loss_gradient_labels_size{:g}_{}", size, text(s)), 0, 0, [=](Workbench& bench) {
                Stack Z = bench.stack("Z", s.n, s.N, 1, size);
                const std::vector<std::uint8_t> targets = random_targets(bench, s.n * s.N);
                const auto t = bench.cells("targets", targets);
                const auto y = bench.cells("labels", std::vector<std::int32_t>(static_cast<std::size_t>(s.N)));
                auto figures = bench.cells("figures", std::vector<LayerFigures>{{9, 9, 9, 9, 77, 9}});
                return Prepared{[&bench, Z, y, t, figures] {
                                    bench.backend.loss_gradient({y.data, nullptr, t.data}, 0.125, Z.view, figures.data);
                                },
                                [&bench, Z, targets, figures]() mutable {
                                    Array e = Z.before[0], m = e;
                                    double risk = 0;
                                    for (std::size_t i = 0; i < e.size(); ++i) {
                                        const double v = Z.before[0].values[i];
                                        e.values[i] = 0.125 * reference::label_slope(v, targets[i] != 0);
                                        m.values[i] = std::fabs(e.values[i]) + 1e-30;  // below that a float underflows
                                        risk += reference::label_cost(v, targets[i] != 0);
                                    }
                                    bench.expect(Z, {e}, {m}, 2);
                                    const LayerFigures f = bench.read(figures)[0];
                                    bench.expect("risk", f.risk, risk, 1e-12 * risk);
                                    bench.expect("weight_sq, which stays", f.weight_sq, 77, 0);
                                }};
            }};
}

OperationCase classify_labels_case(const OperationShape& s) {
    return {"classify_labels_" + text(s), 0, 0, [=](Workbench& bench) {
                const Stack z = bench.stack("logits", s.n, s.N, 1, 2);
                const std::vector<std::uint8_t> targets = random_targets(bench, s.n * s.N);
                std::vector<std::int32_t> labels;
                double correct = 3, cost = 0.5, hits = 7, marks = 9;
                for (Index j = 0; j < s.N; ++j) {
                    labels.push_back(bench.random() % 5 == 0 ? -1 : 0);  // -1: nothing is known of it
                    if (labels.back() < 0) continue;
                    bool all = true;
                    for (Index i = 0; i < s.n; ++i) {
                        const double v = z.before[0](i, j);
                        const bool t = targets[static_cast<std::size_t>(j * s.n + i)] != 0;
                        all = all && (v > 0) == t;  // a planted 0 is no label
                        hits += v > 0 && t ? 1 : 0;
                        marks += (v > 0 ? 1 : 0) + (t ? 1 : 0);
                        cost += reference::label_cost(v, t);
                    }
                    correct += all ? 1 : 0;
                }
                const auto y = bench.cells("labels", labels);
                const auto t = bench.cells("targets", targets);
                auto tally = bench.cells("tally", std::vector<Tally>{{3, 0.5, 7, 9}});
                return Prepared{[&bench, y, t, z, tally] {
                                    bench.backend.classify(z.view, {y.data, nullptr, t.data}, tally.data);
                                },
                                [&bench, tally, correct, cost, hits, marks]() mutable {
                                    const Tally found = bench.read(tally)[0];
                                    bench.expect("correct", found.correct, correct, 0);
                                    bench.expect("cost", found.cost, cost, 1e-12 * cost);
                                    bench.expect("hits", found.hits, hits, 0);
                                    bench.expect("marks", found.marks, marks, 0);
                                }};
            }};
}

}  // namespace

std::vector<OperationCase> label_cases() {
    std::vector<OperationCase> cases;
    for (const OperationShape& s : operation_shapes()) {
        for (const double last_nu : {1e-6, 0.01, 100.0}) cases.push_back(last_labels_case(s, last_nu, 1));
        cases.push_back(last_labels_case(s, 0.01, 1000));
        for (const double size : {1.0, 100.0}) cases.push_back(gradient_labels_case(s, size));
        cases.push_back(classify_labels_case(s));
    }
    return cases;
}

}  // namespace pdadmm
