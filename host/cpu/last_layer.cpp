// CPU passes of the last layer: its proximal step and the tally of a forward pass, for one class a node or for several
// labels (prox.hpp, sigmoid.hpp).
#include <algorithm>
#include <cmath>

#include "host/cpu/cpu_backend.hpp"
#include "host/cpu/pack.hpp"
#include "pdadmm/sigmoid.hpp"

namespace pdadmm {
namespace {

constexpr Index nodes_per_prox_task = 32, labels_per_prox_task = 2048;

/// log sum_i exp(z(i)), for one node or a pack of nodes.
template <typename V, typename F>
V log_sum_exp(Index classes, F&& z) {
    V most = z(0), sum = 0.0;
    for (Index i = 1; i < classes; ++i) most = choose(z(i) > most, z(i), most);
    for (Index i = 0; i < classes; ++i) sum += exp_of(z(i) - most);
    return most + log_of(sum);
}

}  // namespace

void CpuBackend::last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                           LayerFigures* figures) {
    check_shapes("last_step", r, {h, z});
    if (labels.several()) return label_step(inverse, h, d, labels.targets, k, r, z, figures);
    const Index classes = r.rows;
    const double nu = static_cast<double>(k->nu);
    const real step = inverse[0];
    each_block_sum<2>(
        Blocks(r, nodes_per_prox_task * classes),
        [&](Block block) {
            std::array<double, 2> sums{};                           // risk, |r|^2
            static thread_local std::vector<Pack> targets, values;  // (classes) of a pack of nodes
            targets.resize(static_cast<std::size_t>(classes));
            values.resize(static_cast<std::size_t>(classes));
            const Index end = block.first + block.columns;
            for (Index first = block.first; first < end; first += Pack::width) {
                const int nodes = static_cast<int>(std::min<Index>(Pack::width, end - first));
                Pack label = 0.0, weight = 1.0;
                for (int lane = 0; lane < Pack::width; ++lane) {
                    const Index j = first + std::min(lane, nodes - 1);  // lanes to spare repeat the last node
                    const real *rs = r.data + j * classes, *hs = h.data + j * classes, *zs = z.data + j * classes;
                    label.set(lane, labels[j]);
                    weight.set(lane, labels.weight(j));
                    for (Index i = 0; i < classes; ++i) {
                        targets[static_cast<std::size_t>(i)].set(
                            lane, static_cast<double>(rs[i] - (step * hs[i] + d.data[i]) + zs[i]));
                        values[static_cast<std::size_t>(i)].set(lane, static_cast<double>(zs[i]));
                    }
                }
                const auto target = [&](std::int32_t i) { return targets[static_cast<std::size_t>(i)]; };
                const Pack start =
                    log_sum_exp<Pack>(classes, [&](Index i) { return values[static_cast<std::size_t>(i)]; });
                SerialLanes<Pack> lanes{static_cast<std::int32_t>(classes), values.data()};
                const Pack risk = prox_cross_entropy(lanes, target, label, nu, start, weight).risk;
                for (int lane = 0; lane < nodes; ++lane) {
                    real *rs = r.data + (first + lane) * classes, *zs = z.data + (first + lane) * classes;
                    sums[0] += risk[lane];
                    for (Index i = 0; i < classes; ++i) {
                        zs[i] = static_cast<real>(values[static_cast<std::size_t>(i)][lane]);
                        rs[i] =
                            static_cast<real>(targets[static_cast<std::size_t>(i)][lane] - static_cast<double>(zs[i]));
                        sums[1] += static_cast<double>(rs[i]) * static_cast<double>(rs[i]);
                    }
                }
            }
            return sums;
        },
        [&](Index, const auto& sums) { *figures = {sums[1], 0, 0, 0, figures->weight_sq, sums[0]}; });
}

// A block is first one column after the other, r taking the targets, then one run of labels, eight at once.
void CpuBackend::label_step(const real* inverse, CMat h, CMat d, const std::uint8_t* targets, const Controls* k, Mat r,
                            Mat z, LayerFigures* figures) {
    const Index n = r.rows;
    const double nu = static_cast<double>(k->nu), log_nu = log_of(nu);
    const real step = inverse[0];
    each_block_sum<2>(
        Blocks(r, labels_per_prox_task),
        [&](Block block) {
            std::array<double, 2> sums{};  // risk, |r|^2
            const Index at = block.first * n, count = block.columns * n;
            const real* __restrict ds = d.data;
            const real* __restrict hs = h.data + at;
            const std::uint8_t* ts = targets + at;
            real* __restrict zs = z.data + at;
            real* __restrict rs = r.data + at;
            for (Index j = 0; j < block.columns; ++j) {
#pragma omp simd
                for (Index i = 0; i < n; ++i)
                    rs[j * n + i] = rs[j * n + i] - (step * hs[j * n + i] + ds[i]) + zs[j * n + i];
            }
            for (Index first = 0; first < count; first += Pack::width) {
                const int labels = static_cast<int>(std::min<Index>(Pack::width, count - first));
                const Pack target = Pack::of(rs + first, labels);
                const LabelProx<Pack> found = prox_label(target, Pack::of(ts + first, labels), nu, log_nu);
                for (int lane = 0; lane < labels; ++lane) {
                    zs[first + lane] = static_cast<real>(found.z[lane]);
                    rs[first + lane] = static_cast<real>(target[lane] - static_cast<double>(zs[first + lane]));
                    sums[0] += found.cost[lane];
                    sums[1] += static_cast<double>(rs[first + lane]) * static_cast<double>(rs[first + lane]);
                }
            }
            return sums;
        },
        [&](Index, const auto& sums) { *figures = {sums[1], 0, 0, 0, figures->weight_sq, sums[0]}; });
}

void CpuBackend::classify(CMat logits, Labels labels, Tally* tally) {
    if (labels.several()) return tally_labels(logits, labels, tally);
    for (Index j = 0; j < logits.cols; ++j) {
        if (labels[j] < 0) continue;
        const real* zs = logits.data + j * logits.ld;
        const bool right = std::max_element(zs, zs + logits.rows) - zs == labels[j];
        const auto logit = [zs](Index i) { return static_cast<double>(zs[i]); };
        tally->correct += right ? 1 : 0;
        tally->hits += right ? 1 : 0;
        tally->marks += 2;
        tally->cost += log_sum_exp<double>(logits.rows, logit) - logit(labels[j]);
    }
}

void CpuBackend::tally_labels(CMat logits, Labels labels, Tally* tally) {
    const Index n = logits.rows;
    for (Index j = 0; j < logits.cols; ++j) {
        if (labels[j] < 0) continue;
        const real* zs = logits.data + j * logits.ld;
        const std::uint8_t* ts = labels.targets + j * n;
        LabelCounts counts;
        for (Index first = 0; first < n; first += Pack::width) {
            const int lanes = static_cast<int>(std::min<Index>(Pack::width, n - first));
            const Pack cost = label_cost(Pack::of(zs + first, lanes), Pack::of(ts + first, lanes));
            for (int lane = 0; lane < lanes; ++lane) {
                counts.see(zs[first + lane] > 0, ts[first + lane] != 0);
                tally->cost += cost[lane];
            }
        }
        counts.add_to(*tally);
    }
}

}  // namespace pdadmm
