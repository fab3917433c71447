// Cases of backpropagation: dropout, gradients of logits and activations, the optimizers' steps
// (tests/backend/operation_cases.hpp).
#include <fmt/format.h>

#include <cmath>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;

namespace {

std::vector<Array> absolute_each(std::vector<Array> all) {
    for (Array& a : all) a = absolute(a);
    return all;
}
/// Those from column `first` on.
std::vector<Array> last_columns(std::vector<Array> all, Index first) {
    for (Array& a : all) {
        a.values.erase(a.values.begin(), a.values.begin() + a.rows * first);
        a.cols -= first;
    }
    return all;
}

OperationCase count_case(Index before) {
    return {fmt::format("count_step_n{}", before), 0, 0, [=](Workbench& bench) {
                auto step = bench.cells("step", std::vector<Index>{before});
                return Prepared{[&bench, step] { bench.backend.count_step(step.data); },
                                [&bench, step, before]() mutable {
                                    bench.expect("step", static_cast<double>(bench.read(step)[0]),
                                                 static_cast<double>(before + 1), 0);
                                }};
            }};
}

OperationCase dropout_case(const OperationShape& s, double rate) {
    return {
        fmt::format("dropped_activation_{:g}_{}", rate, text(s)), 0, 0, [=](Workbench& bench) {
            Stack A = bench.stack("A", s.n, s.N, s.batch), b = bench.stack("b", s.n, 1, s.batch);
            const auto step = bench.cells("step", std::vector<Index>{7});
            const Dropout dropout{rate, bench.random(), 3};
            return Prepared{
                [&bench, A, b, step, dropout] { bench.backend.dropped_activation(b.view, dropout, step.data, A.view); },
                [&bench, A, b, rate]() mutable {
                    std::vector<Array> now = bench.read(A), e = A.before, m = A.before;
                    double kept = 0, positive = 0;
                    for (std::size_t l = 0; l < e.size(); ++l)
                        for (Index j = 0; j < e[l].cols; ++j)
                            for (Index i = 0; i < e[l].rows; ++i) {
                                const double sum = e[l](i, j) + b.before[l](i, 0),
                                             whole = reference::ramp(sum) / (1 - rate);
                                m[l](i, j) = (std::fabs(e[l](i, j)) + std::fabs(b.before[l](i, 0))) / (1 - rate);
                                e[l](i, j) = now[l](i, j) == 0 ? 0 : whole;
                                positive += whole > 0 ? 1 : 0;
                                kept += now[l](i, j) > 0 ? 1 : 0;
                            }
                    bench.expect(A, e, m, 3);
                    // Six standard deviations of a binomial count, and one for the smallest shapes.
                    bench.expect("kept of those above 0", kept, (1 - rate) * positive,
                                 1 + 6 * std::sqrt(rate * (1 - rate) * positive));
                }};
        }};
}

/// The last columns alone, told where they lie, are dropped as with those before them.
OperationCase dropout_node_case(const OperationShape& s) {
    return {fmt::format("dropped_activation_from_a_node_{}", text(s)), 0, 0, [=](Workbench& bench) {
                const Index first = s.N / 3;
                Stack whole = bench.stack("whole", s.n, s.N, s.batch), b = bench.stack("b", s.n, 1, s.batch);
                Stack part = bench.from("part", last_columns(whole.before, first));
                const auto step = bench.cells("step", std::vector<Index>{7});
                const Dropout all{0.25, bench.random(), 3}, from{all.rate, all.key, all.layer, first};
                return Prepared{[&bench, whole, part, b, step, all, from] {
                                    bench.backend.dropped_activation(b.view, all, step.data, whole.view);
                                    bench.backend.dropped_activation(b.view, from, step.data, part.view);
                                },
                                [&bench, whole, part, first]() mutable {
                                    const std::vector<Array> e = last_columns(bench.read(whole), first);
                                    bench.expect(part, e, e, 0);
                                }};
            }};
}

/// Towards another matrix, or elastic: with a centre that is pulled as well.
OperationCase pull_case(const OperationShape& s, bool elastic) {
    return {fmt::format("{}pull_{}", elastic ? "elastic_" : "", text(s)), 0, 0, [=](Workbench& bench) {
                Stack from = bench.stack(elastic ? "sum" : "to", s.n, s.N, s.batch),
                      x = bench.stack("x", s.n, s.N, s.batch), centre = bench.stack("centre", s.n, s.N, s.batch);
                return Prepared{[&bench, from, x, centre, elastic] {
                                    elastic ? bench.backend.elastic_pull(real(0.125), 5, from.view, x.view, centre.view)
                                            : bench.backend.pull(real(0.125), from.view, x.view);
                                },
                                [&bench, from, x, centre, elastic]() mutable {
                                    std::vector<Array> e = x.before, c = centre.before, m = e;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size(); ++i) {
                                            const double now = e[l].values[i], of = from.before[l].values[i],
                                                         middle = c[l].values[i];
                                            e[l].values[i] = 0.875 * now + 0.125 * (elastic ? middle : of);
                                            if (elastic) c[l].values[i] = 0.375 * middle + 0.125 * of;
                                            m[l].values[i] = std::fabs(now) + std::fabs(of) + std::fabs(middle);
                                        }
                                    bench.expect(x, e, m, 2);
                                    bench.expect(centre, c, m, elastic ? 2 : 0);
                                }};
            }};
}

OperationCase softmax_case(const OperationShape& s, double size, bool weighted) {
    return {fmt::format("loss_gradient_size{:g}{}_{}", size, weighted ? "_weighted" : "", text(s)), 0, 0,
            [=](Workbench& bench) {
                const Index classes = s.n + 1;
                Stack Z = bench.stack("Z", classes, s.N, 1, size);
                std::vector<std::int32_t> labels;
                for (Index j = 0; j < s.N; ++j)
                    labels.push_back(static_cast<std::int32_t>(bench.random() % static_cast<std::uint64_t>(classes)));
                const auto y = bench.cells("labels", labels);
                const std::vector<double> weights = weights_of_classes(classes, weighted);
                const auto w = bench.cells("class weights", weights);
                auto figures = bench.cells("figures", std::vector<LayerFigures>{{9, 9, 9, 9, 77, 9}});
                return Prepared{[&bench, Z, y, w, weighted, figures] {
                                    const Labels both{y.data, weighted ? w.data : nullptr};
                                    bench.backend.loss_gradient(both, 0.125, Z.view, figures.data);
                                },
                                [&bench, Z, labels, weights, figures]() mutable {
                                    Array e = Z.before[0], m(e.rows, e.cols);
                                    double risk = 0;
                                    for (Index j = 0; j < e.cols; ++j) {
                                        std::vector<double> v;
                                        double sum = 0, most = -1e300;
                                        for (Index i = 0; i < e.rows; ++i) v.push_back(e(i, j));
                                        for (const double x : v) most = std::fmax(most, x);
                                        for (const double x : v) sum += std::exp(x - most);
                                        const std::int32_t label = labels[static_cast<std::size_t>(j)];
                                        const double weight = weights[static_cast<std::size_t>(label)];
                                        for (Index i = 0; i < e.rows; ++i) {
                                            e(i, j) = 0.125 * weight *
                                                      (std::exp(v[static_cast<std::size_t>(i)] - most) / sum -
                                                       (i == label ? 1 : 0));
                                            m(i, j) = 0.125 * weight;
                                        }
                                        risk += weight * reference::cross_entropy(v, label);
                                    }
                                    bench.expect(Z, {e}, {m}, 1);
                                    const LayerFigures f = bench.read(figures)[0];
                                    bench.expect("risk", f.risk, risk, 1e-10 * (risk + static_cast<double>(e.cols)));
                                    bench.expect("weight_sq, which stays", f.weight_sq, 77, 0);
                                }};
            }};
}

OperationCase gradient_case(const OperationShape& s, bool masked, real beta) {
    return {fmt::format("activation_gradient_{}{}_{}", masked ? "masked" : "last", beta == 0 ? "" : "_added", text(s)),
            0, 0, [=](Workbench& bench) {
                Stack A = bench.stack("A", s.n, s.N, s.batch), g = bench.stack("g", s.n, s.N, s.batch),
                      d = bench.stack("d", s.n, 1, s.batch);
                return Prepared{[&bench, A, g, d, masked, beta] {
                                    bench.backend.activation_gradient(masked ? CMat(A.view) : CMat{}, real(1.5), g.view,
                                                                      beta, d.view);
                                },
                                [&bench, A, g, d, masked, beta]() mutable {
                                    std::vector<Array> e = g.before, m = g.before, sum = d.before, size = d.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (Index i = 0; i < e[l].rows; ++i) {
                                            sum[l](i, 0) *= static_cast<double>(beta);
                                            size[l](i, 0) = std::fabs(sum[l](i, 0));
                                            for (Index j = 0; j < e[l].cols; ++j) {
                                                double& x = e[l](i, j);
                                                if (masked) x = A.before[l](i, j) > 0 ? 1.5 * x : 0;
                                                m[l](i, j) = std::fabs(x);
                                                sum[l](i, 0) += x;
                                                size[l](i, 0) += std::fabs(x);
                                            }
                                        }
                                    bench.expect(g, e, m, 1);
                                    bench.expect(d, sum, size, 2);
                                }};
            }};
}

OperationCase optimizer_case(const OperationShape& s, Optimizer optimizer) {
    const char* const names[] = {"admm", "gd", "adadelta", "adagrad", "adam", "momentum", "nesterov", "adamw"};
    return {
        fmt::format("optimizer_step_{}_{}", names[static_cast<int>(optimizer)], text(s)), 0, 0, [=](Workbench& bench) {
            Stack G = bench.stack("G", s.n, s.N, s.batch), w = bench.stack("w", s.n, s.N, s.batch),
                  first = bench.stack("first", s.n, s.N, s.batch), second = bench.stack("second", s.n, s.N, s.batch);
            const bool adamw = optimizer == Optimizer::adamw, means = adamw || optimizer == Optimizer::adam,
                       nesterov = optimizer == Optimizer::nesterov,
                       keeps_step = nesterov || optimizer == Optimizer::momentum;
            if (!means && !keeps_step) first = bench.from("first", absolute_each(first.before));  // sums of squares
            second = bench.from("second", absolute_each(second.before));
            const auto step = bench.cells("step", std::vector<Index>{3});
            auto figures = bench.cells(
                "figures", std::vector<LayerFigures>(static_cast<std::size_t>(s.batch), {9, 9, 9, 9, 9, 77}));
            const UpdateRule rule{optimizer, 0.5, 0.5, 0.75, 4};  // step 3 of 4: half the learning rate
            const bool one = optimizer != Optimizer::gd, two = one && optimizer != Optimizer::adagrad && !keeps_step;
            return Prepared{[&bench, G, w, first, second, step, figures, rule, one, two] {
                                bench.backend.optimizer_step(rule, step.data, G.view, w.view, one ? first.view : Mat{},
                                                             two ? second.view : Mat{}, figures.data);
                            },
                            [&bench, G, w, first, second, figures, optimizer, one, two, adamw, means, nesterov,
                             keeps_step]() mutable {
                                std::vector<Array> e_all = w.before, f_all = first.before, v_all = second.before,
                                                   m_w_all = e_all, m_f_all = e_all, m_v_all = e_all;
                                for (std::size_t l = 0; l < e_all.size(); ++l) {
                                    Array &e = e_all[l], &f = f_all[l], &v = v_all[l], &m_w = m_w_all[l],
                                          &m_f = m_f_all[l], &m_v = m_v_all[l];
                                    double squares = 0;
                                    for (std::size_t i = 0; i < e.size(); ++i) {
                                        const double x = e.values[i], decay = adamw ? 0 : 0.5,
                                                     g = G.before[l].values[i] + decay * x,
                                                     noise = std::fabs(G.before[l].values[i]) + 0.5 * std::fabs(x);
                                        double change = 0, per_g = 1;  // of w, and its largest slope by g
                                        squares += x * x;
                                        if (optimizer == Optimizer::gd) change = g;
                                        if (optimizer == Optimizer::adagrad) {
                                            f.values[i] += g * g;
                                            change = g / (std::sqrt(f.values[i]) + 1e-10);
                                            per_g = 1 / (std::sqrt(f.values[i]) + 1e-10);
                                        }
                                        if (optimizer == Optimizer::adadelta) {
                                            f.values[i] = 0.9 * f.values[i] + 0.1 * g * g;
                                            per_g = std::sqrt((v.values[i] + 1e-6) / (f.values[i] + 1e-6));
                                            change = per_g * g;
                                            v.values[i] = 0.9 * v.values[i] + 0.1 * change * change;
                                        }
                                        if (keeps_step) {
                                            m_f.values[i] = 0.75 * std::fabs(f.values[i]);
                                            f.values[i] = 0.75 * f.values[i] + g;
                                            change = nesterov ? g + 0.75 * f.values[i] : f.values[i];
                                        }
                                        if (means) {
                                            m_f.values[i] = std::fabs(f.values[i]);
                                            f.values[i] = 0.9 * f.values[i] + 0.1 * g;
                                            v.values[i] = 0.999 * v.values[i] + 0.001 * g * g;
                                            per_g = 1 / (1 - std::pow(0.9, 3)) /
                                                    (std::sqrt(v.values[i] / (1 - std::pow(0.999, 3))) + 1e-8);
                                            change = per_g * f.values[i];
                                        }
                                        e.values[i] -= 0.25 * (change + (adamw ? 0.5 * x : 0));
                                        const double history = means || keeps_step ? m_f.values[i] : 0;
                                        m_w.values[i] = std::fabs(x) + std::fabs(change) + per_g * (noise + history);
                                        m_f.values[i] = std::fabs(f.values[i]) +
                                                        (means || keeps_step ? noise + history : noise * noise);
                                        m_v.values[i] = std::fabs(v.values[i]) + noise * noise * (1 + per_g * per_g);
                                    }
                                    const LayerFigures now = bench.read(figures)[l];
                                    bench.expect("weight_sq", now.weight_sq, squares, 1e-12 * squares);
                                    bench.expect("risk, which stays", now.risk, 77, 0);
                                }
                                bench.expect(w, e_all, m_w_all, 8);
                                if (one) bench.expect(first, f_all, m_f_all, 8);
                                if (two) bench.expect(second, v_all, m_v_all, 8);
                            }};
        }};
}

}  // namespace

std::vector<OperationCase> backpropagation_cases() {
    std::vector<OperationCase> cases{count_case(0), count_case(41)};
    for (const OperationShape& s : operation_shapes()) {
        for (const double rate : {0.0, 0.25, 0.9}) cases.push_back(dropout_case(s, rate));
        for (const double size : {1.0, 300.0})
            for (const bool weighted : {false, true}) cases.push_back(softmax_case(s, size, weighted));
        for (const bool masked : {false, true})
            for (const real beta : {real(0), real(1)}) cases.push_back(gradient_case(s, masked, beta));
        cases.push_back(dropout_node_case(s));
        for (const bool elastic : {false, true}) cases.push_back(pull_case(s, elastic));
        for (const Optimizer o : {Optimizer::gd, Optimizer::adadelta, Optimizer::adagrad, Optimizer::adam,
                                  Optimizer::momentum, Optimizer::nesterov, Optimizer::adamw})
            cases.push_back(optimizer_case(s, o));
    }
    return cases;
}

}  // namespace pdadmm
