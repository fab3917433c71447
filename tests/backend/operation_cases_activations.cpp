// Cases of b, z, q, u, the last layer, figures and the schedule (tests/backend/operation_cases.hpp).
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::largest;

namespace {

OperationCase bias_step_case(const OperationShape& s) {
    return {"bias_step_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack r = bench.stack("r", s.n, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch),
                      d = bench.stack("d", s.n, 1, s.batch), b = bench.stack("b", s.n, 1, s.batch);
                const auto inverse = bench.cells("inverse", steps(s.batch));
                return Prepared{[&bench, r, h, d, b, inverse] {
                                    bench.backend.bias_step(r.view, h.view, inverse.data, d.view, b.view);
                                },
                                [&bench, r, h, d, b, step = steps(s.batch)]() mutable {
                                    std::vector<Array> mean = d.before, after = b.before, m_mean = d.before,
                                                       m_after = b.before;
                                    for (std::size_t l = 0; l < mean.size(); ++l)
                                        for (Index i = 0; i < mean[l].rows; ++i) {
                                            double sum = 0, size = 0;
                                            for (Index j = 0; j < r.view.cols; ++j) {
                                                const double part = static_cast<double>(step[l]) * h.before[l](i, j);
                                                sum += r.before[l](i, j) - part;
                                                size += std::fabs(r.before[l](i, j)) + std::fabs(part);
                                            }
                                            const double nodes = static_cast<double>(r.view.cols);
                                            mean[l](i, 0) = sum / nodes;
                                            m_mean[l](i, 0) = size / nodes;
                                            m_after[l](i, 0) = std::fabs(after[l](i, 0)) + size / nodes;
                                            after[l](i, 0) -= sum / nodes;
                                        }
                                    bench.expect(d, mean, m_mean, 2);
                                    bench.expect(b, after, m_after, 3);
                                }};
            }};
}

struct Zqu {
    Stack r, h, d, z, q, u, p;
    std::vector<real> step;
    Codec codec;
    std::vector<double> levels;
    int bits = 4;
    ChangeScale scale = ChangeScale::max;
};

/// z by its objective, then r, q and u from that z, so that a z beside its kink may take either branch.
void check_zqu(Workbench& bench, Zqu& a, Cells<LayerFigures> cells) {
    const auto z = bench.read(a.z), r = bench.read(a.r), q = bench.read(a.q), u = bench.read(a.u);
    a.h.slab->constant = false;  // scratch
    const std::vector<LayerFigures> figures = bench.read(cells);
    for (std::size_t l = 0; l < z.size(); ++l) {
        double linear = 0, activation = 0, coupling = 0, primal = 0, size = 0;
        const auto wanted = [&](std::size_t i) {
            return (rho * a.p.before[l].values[i] + a.u.before[l].values[i] + nu * reference::ramp(z[l].values[i])) /
                   (rho + nu);
        };
        Array changes(z[l].rows, z[l].cols);
        for (std::size_t i = 0; i < z[l].size(); ++i) changes.values[i] = wanted(i) - a.q.before[l].values[i];
        const reference::ChangeGrid grid = reference::change_grid(changes, a.bits, a.scale);
        const double M = reference::largest(changes),
                     sum_noise = static_cast<double>(changes.size()) * std::numeric_limits<double>::epsilon();
        for (std::size_t i = 0; i < z[l].size(); ++i) {
            const double old_z = a.z.before[l].values[i], old_q = a.q.before[l].values[i],
                         old_u = a.u.before[l].values[i], p = a.p.before[l].values[i];
            const double shift = static_cast<double>(a.step[l]) * a.h.before[l].values[i],
                         d = a.d.before[l].values[i % static_cast<std::size_t>(z[l].rows)];
            const double target = a.r.before[l].values[i] - shift - d + old_z;
            const double m = std::fabs(a.r.before[l].values[i]) + std::fabs(shift) + std::fabs(d) + std::fabs(old_z) +
                             std::fabs(old_q);
            const double now = z[l].values[i], new_q = q[l].values[i],
                         best = reference::hidden_minimiser(target, old_q, old_z);
            const std::string where = fmt::format(" of layer {}, element {}", l, i);
            const double excess = reference::hidden_objective(now, target, old_q, old_z) -
                                  reference::hidden_objective(best, target, old_q, old_z);
            bench.expect("objective of z" + where, std::fmax(excess, 0), 0, 16 * unit * m * m);
            const double negative = std::fmin((target + old_z) / 2, 0),
                         positive = std::fmax((target + old_q + old_z) / 3, 0);
            bench.expect("z" + where, now, std::fabs(now - negative) < std::fabs(now - positive) ? negative : positive,
                         8 * unit * m);
            bench.expect("r" + where, r[l].values[i], target - now, 8 * unit * m);
            const double m_q = std::fabs(p) + (std::fabs(old_u) + nu * std::fabs(now)) / (rho + nu) + std::fabs(old_q);
            if (a.codec == Codec::none) bench.expect("q" + where, new_q, wanted(i), 8 * unit * m_q);
            if (a.codec == Codec::grid) {
                const double nearest = a.levels[reference::nearest(a.levels, wanted(i))];
                bench.expect("q to a level" + where, a.levels[reference::nearest(a.levels, new_q)], new_q, 0);
                bench.expect("q to the nearest" + where, std::fabs(new_q - wanted(i)), std::fabs(nearest - wanted(i)),
                             8 * unit * m_q);
            }
            if (a.codec == Codec::difference) {
                const double change = new_q - old_q;
                bench.expect("change of q to a code" + where, grid.off_code(change), 0,
                             16 * (unit + sum_noise) * (m_q + M));
                bench.expect("change of q to the nearest" + where, grid.off_change(change, changes.values[i]), 0,
                             16 * (unit + sum_noise) * (m_q + M));
            }
            const double gap = p - new_q;
            bench.expect("u" + where, u[l].values[i], old_u + rho * gap,
                         4 * unit * (std::fabs(old_u) + rho * (std::fabs(p) + std::fabs(new_q))));
            linear += r[l].values[i] * r[l].values[i];
            activation += std::pow(new_q - reference::ramp(now), 2);
            coupling += u[l].values[i] * gap;
            primal += gap * gap;
            size += std::pow(m + m_q + std::fabs(old_u) + std::fabs(u[l].values[i]), 2);
        }
        bench.expect("linear_sq", figures[l].linear_sq, linear, 16 * unit * size);
        bench.expect("activation_sq", figures[l].activation_sq, activation, 16 * unit * size);
        bench.expect("coupling", figures[l].coupling, coupling, 16 * unit * size);
        bench.expect("primal_sq", figures[l].primal_sq, primal, 16 * unit * size);
        bench.expect("weight_sq, which stays", figures[l].weight_sq, 77, 0);
    }
}

OperationCase activation_case(const OperationShape& s, Codec codec, int bits = 4,
                              ChangeScale scale = ChangeScale::max) {
    const std::string names[] = {
        "", "grid_", fmt::format("difference_{}bits_{}", bits, scale == ChangeScale::max ? "max_" : "rms_")};
    return {fmt::format("activation_step_{}{}", names[static_cast<int>(codec)], text(s)), 0,
            10.0 * static_cast<double>(s.n * s.N * s.batch) * sizeof(real), [=](Workbench& bench) {
                const auto draw = [&](const char* name, Index cols) { return bench.stack(name, s.n, cols, s.batch); };
                Zqu a{draw("r", s.N), draw("h", s.N), draw("d", 1),   draw("z", s.N), draw("q", s.N),
                      draw("u", s.N), draw("p", s.N), steps(s.batch), codec,          {-1, -0.5, 0, 0.25, 1, 2.5},
                      bits,           scale};
                const auto inverse = bench.cells("inverse", a.step);
                const auto levels = bench.cells("levels", std::vector<real>(a.levels.begin(), a.levels.end()));
                const Quantizer q = codec == Codec::grid ? Quantizer{codec, 4, levels.data, 6}
                                                         : Quantizer{codec, bits, nullptr, 0, scale};
                const auto k = controls(bench);
                auto figures = bench.cells(
                    "figures", std::vector<LayerFigures>(static_cast<std::size_t>(s.batch), {9, 9, 9, 9, 77, 9}));
                const auto headers =
                    bench.cells("headers", std::vector<MessageHeader>(static_cast<std::size_t>(s.batch), {9, 9}));
                headers.slab->constant = codec != Codec::difference;
                return Prepared{[&bench, a, q, inverse, k, figures, headers] {
                                    bench.backend.activation_step({inverse.data, a.h.view, a.d.view, a.p.view, a.r.view,
                                                                   a.z.view, a.q.view, a.u.view},
                                                                  k.data, q, figures.data, headers.data);
                                },
                                [&bench, a, figures]() mutable { check_zqu(bench, a, figures); }};
            }};
}

OperationCase last_case(const OperationShape& s, double last_nu, double size, bool weighted = false) {
    return {fmt::format("last_step_nu{:g}_size{:g}{}_{}", last_nu, size, weighted ? "_weighted" : "", text(s)), 0, 0,
            [=](Workbench& bench) {
                const Index classes = s.n + 1;  // C = 2 and more
                Stack r = bench.stack("r", classes, s.N, 1), h = bench.stack("h", classes, s.N, 1),
                      d = bench.stack("d", classes, 1, 1), z = bench.stack("z", classes, s.N, 1, size);
                std::vector<std::int32_t> labels;
                for (Index j = 0; j < s.N; ++j)
                    labels.push_back(static_cast<std::int32_t>(bench.random() % static_cast<std::uint64_t>(classes)));
                const auto y = bench.cells("labels", labels);
                const std::vector<double> weights = weights_of_classes(classes, weighted);
                const auto w = bench.cells("class weights", weights);
                const auto inverse = bench.cells("inverse", std::vector<real>{real(0.5)});
                const auto k = bench.cells("controls", std::vector<Controls>{{1, static_cast<real>(last_nu), 0, 0, 0}});
                auto figures = bench.cells("figures", std::vector<LayerFigures>{{9, 9, 9, 9, 77, 9}});
                return Prepared{[&bench, r, h, d, z, y, w, weighted, inverse, k, figures] {
                                    const Labels both{y.data, weighted ? w.data : nullptr};
                                    bench.backend.last_step(inverse.data, h.view, d.view, both, k.data, r.view, z.view,
                                                            figures.data);
                                },
                                [&bench, r, h, d, z, labels, weights, figures, last_nu]() mutable {
                                    const double nu_now = static_cast<double>(static_cast<real>(last_nu));
                                    const Array now = bench.read(z)[0], residual = bench.read(r)[0];
                                    const LayerFigures f = bench.read(figures)[0];
                                    double risk = 0, linear = 0;
                                    const double m = largest(r.before[0]) + largest(h.before[0]) +
                                                     largest(d.before[0]) + largest(z.before[0]) + largest(now);
                                    for (Index j = 0; j < now.cols; ++j) {
                                        std::vector<double> a, v;
                                        for (Index i = 0; i < now.rows; ++i) {
                                            a.push_back(r.before[0](i, j) - 0.5 * h.before[0](i, j) -
                                                        d.before[0](i, 0) + z.before[0](i, j));
                                            v.push_back(now(i, j));
                                            bench.expect(fmt::format("r of node {}", j), residual(i, j),
                                                         a.back() - v.back(), 8 * unit * m);
                                            linear += residual(i, j) * residual(i, j);
                                        }
                                        const std::int32_t label = labels[static_cast<std::size_t>(j)];
                                        const double weight = weights[static_cast<std::size_t>(label)];
                                        bench.expect(fmt::format("KKT residual of node {}", j),
                                                     weight * reference::prox_residual(v, a, label, nu_now / weight), 0,
                                                     weight * 1e-10 + 16 * unit * (weight + nu_now) * m);
                                        risk += weight * reference::cross_entropy(v, label);
                                    }
                                    const double nodes = static_cast<double>(now.cols);
                                    bench.expect("risk", f.risk, risk, 1e-9 * nodes + 64 * unit * m * nodes);
                                    bench.expect("linear_sq", f.linear_sq, linear, 1e-6 * linear);
                                    bench.expect("weight_sq, which stays", f.weight_sq, 77, 0);
                                    bench.expect("activation_sq, coupling and primal_sq",
                                                 f.activation_sq + f.coupling + f.primal_sq, 0, 0);
                                }};
            }};
}

OperationCase close_case(const OperationShape& s) {
    return {"close_residual_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack r = bench.stack("r", s.n, s.N, s.batch), z = bench.stack("z", s.n, s.N, s.batch),
                      b = bench.stack("b", s.n, 1, s.batch);
                return Prepared{[&bench, r, z, b] { bench.backend.close_residual(b.view, z.view, r.view); },
                                [&bench, r, z, b]() mutable {
                                    std::vector<Array> e = r.before, m = r.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (Index j = 0; j < e[l].cols; ++j)
                                            for (Index i = 0; i < e[l].rows; ++i) {
                                                m[l](i, j) = std::fabs(e[l](i, j)) + std::fabs(b.before[l](i, 0)) +
                                                             std::fabs(z.before[l](i, j));
                                                e[l](i, j) += b.before[l](i, 0) - z.before[l](i, j);
                                            }
                                    bench.expect(r, e, m, 2);
                                }};
            }};
}

/// Ten iterations into four slots.
OperationCase archive_case(int layers) {
    return {fmt::format("archive_n{}", layers), 0, 0, [=](Workbench& bench) {
                std::vector<LayerFigures> values(static_cast<std::size_t>(layers));
                for (std::size_t l = 0; l < values.size(); ++l)
                    values[l] = {bench.normal(), 2, static_cast<double>(l), 4, 5, 6};
                constexpr Index capacity = 4;
                const auto figures = bench.cells("figures", values);
                const auto k = bench.cells("controls", std::vector<Controls>{{real(0.25), real(0.5), 1, 2, 10}});
                auto kept = bench.cells(
                    "kept figures",
                    std::vector<LayerFigures>(static_cast<std::size_t>(capacity * layers), {-1, -1, -1, -1, -1, -1}));
                auto used = bench.cells(
                    "kept controls", std::vector<Controls>(static_cast<std::size_t>(capacity), {-1, -1, -1, -1, -1}));
                auto position = bench.cells("position", std::vector<Index>{9});
                return Prepared{
                    [&bench, figures, k, kept, used, position, layers] {
                        bench.backend.archive(figures.data, k.data,
                                              {kept.data, used.data, position.data, capacity, layers});
                    },
                    [&bench, values, kept, used, position, layers]() mutable {
                        const auto now = bench.read(kept);
                        const auto penalties = bench.read(used);
                        bench.expect("position", static_cast<double>(bench.read(position)[0]), 10, 0);
                        for (Index slot = 0; slot < capacity; ++slot) {
                            const bool written = slot == 9 % capacity;
                            bench.expect("rho", static_cast<double>(penalties[static_cast<std::size_t>(slot)].rho),
                                         written ? 0.25 : -1, 0);
                            for (Index l = 0; l < layers; ++l) {
                                const LayerFigures& f = now[static_cast<std::size_t>(slot * layers + l)];
                                const LayerFigures e = written ? values[static_cast<std::size_t>(l)]
                                                               : LayerFigures{-1, -1, -1, -1, -1, -1};
                                bench.expect("linear_sq", f.linear_sq, e.linear_sq, 0);
                                bench.expect("the others",
                                             f.activation_sq + f.coupling + f.primal_sq + f.weight_sq + f.risk,
                                             e.activation_sq + e.coupling + e.primal_sq + e.weight_sq + e.risk, 0);
                            }
                        }
                    }};
            }};
}

OperationCase rebuild_case(const OperationShape& s) {
    return {"rebuild_q_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack z = bench.stack("z", s.n, s.N, s.batch), u = bench.stack("u", s.n, s.N, s.batch),
                      q = bench.stack("q", s.n, s.N, s.batch);
                const auto k = controls(bench);
                return Prepared{[&bench, z, u, q, k] { bench.backend.rebuild_q(z.view, u.view, k.data, q.view); },
                                [&bench, z, u, q]() mutable {
                                    std::vector<Array> e = z.before, m = z.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size(); ++i) {
                                            const double f = reference::ramp(z.before[l].values[i]),
                                                         dual = u.before[l].values[i] / nu;
                                            e[l].values[i] = f + dual;
                                            m[l].values[i] = f + std::fabs(dual);
                                        }
                                    bench.expect(q, e, m, 2);
                                }};
            }};
}

/// One call with given state: the expected penalties and state follow the sentence of RhoSchedule.
OperationCase schedule_case(const char* name, Controls before, double watched, Controls after) {
    return {fmt::format("schedule_{}_n1", name), 0, 0, [=](Workbench& bench) {
                auto k = bench.cells("controls", std::vector<Controls>{before});
                const auto figure = bench.cells("watched", std::vector<double>{watched});
                return Prepared{
                    [&bench, k, figure] {
                        bench.backend.schedule({RhoSchedule::Watch::risk, 0.5, 8, 4, 3}, figure.data, k.data);
                    },
                    [&bench, k, after]() mutable {
                        const Controls now = bench.read(k)[0];
                        bench.expect("rho", static_cast<double>(now.rho), static_cast<double>(after.rho), 0);
                        bench.expect("nu", static_cast<double>(now.nu), static_cast<double>(after.nu), 0);
                        bench.expect("mu", static_cast<double>(now.mu), static_cast<double>(after.mu), 0);
                        bench.expect("stalls", now.stalls, after.stalls, 0);
                        bench.expect("last", now.last_watched, after.last_watched, 0);
                    }};
            }};
}

}  // namespace

std::vector<OperationCase> activation_cases() {
    std::vector<OperationCase> cases;
    for (const OperationShape& s : operation_shapes()) {
        cases.push_back(bias_step_case(s));
        for (const Codec codec : {Codec::none, Codec::grid, Codec::difference})
            cases.push_back(activation_case(s, codec));
        for (const int bits : {1, 2, 8}) cases.push_back(activation_case(s, Codec::difference, bits, ChangeScale::rms));
        for (const double last_nu : {1e-6, 0.01, 1.0, 100.0}) cases.push_back(last_case(s, last_nu, 1));
        cases.push_back(last_case(s, 0.01, 1000));
        for (const double last_nu : {0.01, 1.0}) cases.push_back(last_case(s, last_nu, 1, true));
        cases.push_back(close_case(s));
        cases.push_back(rebuild_case(s));
    }
    for (const int layers : {2, 10, 300}) cases.push_back(archive_case(layers));
    const double none = std::numeric_limits<double>::infinity();
    cases.push_back(schedule_case("first", {real(0.25), real(0.5), 1, 0, none}, 10, {real(0.25), real(0.5), 1, 0, 10}));
    cases.push_back(
        schedule_case("fell", {real(0.25), real(0.5), 1, 2, 10}, 9.25, {real(0.25), real(0.5), 1, 0, 9.25}));
    cases.push_back(
        schedule_case("stalled", {real(0.25), real(0.5), 1, 1, 10}, 9.75, {real(0.25), real(0.5), 1, 2, 9.75}));
    cases.push_back(schedule_case("grown", {real(0.25), real(0.125), 1, 2, 10}, 11, {2, 1, 1, 0, 11}));
    cases.push_back(schedule_case("most", {1, 5, 1, 2, 10}, 9.75, {4, 5, 1, 0, 9.75}));  // never smaller than it was
    return cases;
}

}  // namespace pdadmm
