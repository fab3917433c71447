// CPU passes of full-batch backpropagation: activations with dropout, gradients of the logits and of hidden
// activations, and the optimizers' steps (pdadmm/gradients.hpp).
#include <algorithm>
#include <array>
#include <cmath>

#include "host/cpu/cpu_backend.hpp"
#include "host/cpu/pack.hpp"
#include "pdadmm/sigmoid.hpp"

namespace pdadmm {
namespace {

/// step(i) for the elements of one block, by the compiled form of the optimizer.
template <Optimizer optimizer>
double step_block(UpdateFactors f, Index count, const real* __restrict g, real* __restrict w, real* __restrict first,
                  real* __restrict second) {
    constexpr int memories = optimizer_memories(optimizer);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < count; ++i) {
        real none = 0, now = w[i];
        sum += static_cast<double>(now) * static_cast<double>(now);
        if constexpr (memories == 0)
            update_parameter<optimizer>(f, g[i], now, none, none);
        else if constexpr (memories == 1)
            update_parameter<optimizer>(f, g[i], now, first[i], none);
        else
            update_parameter<optimizer>(f, g[i], now, first[i], second[i]);
        w[i] = now;
    }
    return sum;
}

}  // namespace

void CpuBackend::count_step(Index* step) { ++*step; }

void CpuBackend::dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) {
    check_shapes("dropped_activation", A, {});
    const real kept = dropout_scale(dropout.rate);
    each_block(A, [&](Block block) {
        const std::uint64_t stream = dropout_stream(dropout, *step, block.layer);
        const real* __restrict bs = b.layer(block.layer).data;
        for (Index j = block.first; j < block.first + block.columns; ++j) {
            real* __restrict as = A.layer(block.layer).data + j * A.rows;
#pragma omp simd
            for (Index i = 0; i < A.rows; ++i)
                as[i] =
                    relu(as[i] + bs[i]) * dropout_factor(stream, (dropout.node + j) * A.rows + i, dropout.rate, kept);
        }
    });
}

void CpuBackend::loss_gradient(Labels labels, double scale, Mat Z, LayerFigures* figures) {
    check_shapes("loss_gradient", Z, {});
    if (labels.several()) return label_gradients(labels.targets, scale, Z, figures);
    each_block_sum<1>(
        Z,
        [&](Block block) {
            double risk = 0;
            for (Index j = block.first; j < block.first + block.columns; ++j)
                risk += cross_entropy_gradient(Z.data + j * Z.rows, static_cast<std::int32_t>(Z.rows), labels[j], scale,
                                               labels.weight(j));
            return std::array<double, 1>{risk};
        },
        [&](Index, const auto& sums) { figures->risk = sums[0]; });
}

void CpuBackend::label_gradients(const std::uint8_t* targets, double scale, Mat Z, LayerFigures* figures) {
    each_block_sum<1>(
        Z,
        [&](Block block) {
            const Index at = block.first * Z.rows, count = block.columns * Z.rows;
            double risk = 0;
            for (Index first = at; first < at + count; first += Pack::width) {
                const int labels = static_cast<int>(std::min<Index>(Pack::width, at + count - first));
                const Pack z = Pack::of(Z.data + first, labels), t = Pack::of(targets + first, labels);
                const Pack cost = label_cost(z, t), gradient = label_gradient(z, t);
                for (int lane = 0; lane < labels; ++lane) {
                    Z.data[first + lane] = static_cast<real>(scale * gradient[lane]);
                    risk += cost[lane];
                }
            }
            return std::array<double, 1>{risk};
        },
        [&](Index, const auto& sums) { figures->risk = sums[0]; });
}

void CpuBackend::activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) {
    const bool masked = A.data != nullptr;
    check_shapes("activation_gradient", g, {masked ? A : CMat(g)});
    const Index n = g.rows;
    each_row_sum(
        g,
        [&](Block block, double* __restrict sums) {
            for (Index j = block.first; j < block.first + block.columns; ++j) {
                real* __restrict gs = g.layer(block.layer).data + j * n;
                if (masked) {
                    const real* __restrict as = A.layer(block.layer).data + j * n;
#pragma omp simd
                    for (Index i = 0; i < n; ++i) gs[i] = relu_gradient(as[i], scale * gs[i]);
                }
#pragma omp simd
                for (Index i = 0; i < n; ++i) sums[i] += static_cast<double>(gs[i]);
            }
        },
        [&](Index layer, Index i, double sum) { d.layer(layer).data[i] = blended(beta, d.layer(layer).data[i], sum); });
}

void CpuBackend::pull(real strength, CMat to, Mat x) {
    check_shapes("pull", x, {to});
    each_block(x, [&](Block block) {
        const Index at = block.first * x.rows, count = block.columns * x.rows;
        real* __restrict xs = x.layer(block.layer).data + at;
        const real* __restrict ts = to.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) xs[i] = pulled(xs[i], ts[i], strength);
    });
}

void CpuBackend::elastic_pull(real strength, int workers, CMat sum, Mat x, Mat centre) {
    check_shapes("elastic_pull", x, {sum, centre});
    const real count_of_workers = static_cast<real>(workers);
    each_block(x, [&](Block block) {
        const Index at = block.first * x.rows, count = block.columns * x.rows;
        real* __restrict xs = x.layer(block.layer).data + at;
        real* __restrict cs = centre.layer(block.layer).data + at;
        const real* __restrict sums = sum.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) elastic_pull_of(strength, count_of_workers, sums[i], xs[i], cs[i]);
    });
}

void CpuBackend::optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                                LayerFigures* figures) {
    const bool one = optimizer_memories(rule.optimizer) > 0, two = optimizer_memories(rule.optimizer) > 1;
    check_shapes("optimizer_step", w, {G, one ? CMat(first) : G, two ? CMat(second) : G});
    const UpdateFactors f = update_factors(rule, *step);
    each_block_sum<1>(
        w,
        [&](Block block) {
            const Index at = block.first * w.rows, count = block.columns * w.rows;
            const auto run = [&](auto of) {
                const auto of_layer = [&](const auto& m) { return m.layer(block.layer).data + at; };
                return step_block<decltype(of)::value>(f, count, of_layer(G), of_layer(w),
                                                       one ? of_layer(first) : nullptr,
                                                       two ? of_layer(second) : nullptr);
            };
            return std::array<double, 1>{with_optimizer(rule.optimizer, run)};
        },
        [&](Index layer, const auto& sums) { figures[layer].weight_sq = sums[0]; });
}

}  // namespace pdadmm
