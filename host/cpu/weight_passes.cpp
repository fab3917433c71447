// CPU passes of the p and W subproblems, unquantised and quantised (design 2 and 4).
#include <algorithm>
#include <cmath>

#include "host/cpu/cpu_backend.hpp"

namespace pdadmm {
namespace {

/// Sum of squares of `count` values, in double.
double sum_sq(const real* x, Index count) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return sum;
}

}  // namespace

template <typename F>
void CpuBackend::each_pair_of_squares(CMat x, CMat y, F&& decide) {
    const auto squares = [](CMat m) {
        return [m](Block block) {
            return std::array<double, 1>{sum_sq(m.layer(block.layer).data + block.first * m.rows, block.columns * m.rows)};
        };
    };
    check_shapes("squares", x, {});
    check_shapes("squares", y, {});
    std::vector<double> of_x(static_cast<std::size_t>(x.batch));
    each_block_sum<1>(x, squares(x), [&](Index l, const auto& sums) { of_x[static_cast<std::size_t>(l)] = sums[0]; });
    each_block_sum<1>(y, squares(y), [&](Index l, const auto& sums) { decide(l, of_x[static_cast<std::size_t>(l)], sums[0]); });
}

void CpuBackend::weight_norm(CMat W, LayerFigures* figures) {
    each_block_sum<1>(
        W,
        [&](Block block) {
            return std::array<double, 1>{sum_sq(W.layer(block.layer).data + block.first * W.rows, block.columns * W.rows)};
        },
        [&](Index l, const auto& sums) { figures[l].weight_sq = sums[0]; });
}

void CpuBackend::coupling_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g) {
    check_shapes("coupling_gradient", g, {u, p, q});
    const real rho = k->rho;
    each_block(g, [&](Block block) {
        const Index at = block.first * g.rows, count = block.columns * g.rows;
        const real* __restrict us = u.layer(block.layer).data + at;
        const real* __restrict ps = p.layer(block.layer).data + at;
        const real* __restrict qs = q.layer(block.layer).data + at;
        real* __restrict gs = g.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) gs[i] = us[i] + rho * (ps[i] - qs[i]);
    });
}

void CpuBackend::decay_gradient(CMat W, const Controls* k, Mat G) {
    check_shapes("decay_gradient", G, {W});
    const real mu = k->mu;
    each_block(G, [&](Block block) {
        const Index at = block.first * G.rows, count = block.columns * G.rows;
        const real* __restrict from = W.layer(block.layer).data + at;
        real* __restrict to = G.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) to[i] = mu * from[i];
    });
}

void CpuBackend::step_size(Variable variable, CMat g, CMat h, const Controls* k, StepSpec spec, real* inverse) {
    const double kappa = variable == Variable::p ? k->rho : k->mu;
    each_pair_of_squares(g, h, [&](Index l, double gg, double hh) {
        inverse[l] = static_cast<real>(inverse_step(spec, k->nu, kappa, gg, hh));
    });
}

void CpuBackend::descend(const real* inverse, CMat g, Mat x) {
    check_shapes("descend", x, {g});
    each_block(x, [&](Block block) {
        const Index at = block.first * x.rows, count = block.columns * x.rows;
        const real step = inverse[block.layer];
        const real* __restrict gs = g.layer(block.layer).data + at;
        real* __restrict xs = x.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) xs[i] -= step * gs[i];
    });
}

void CpuBackend::descend(const real* inverse, CMat g, Mat x, CMat h, Mat r) {
    descend(inverse, g, x);
    descend(inverse, h, r);
}

void CpuBackend::set_inverse(real* inverse, Index layers, double value) { std::fill_n(inverse, layers, static_cast<real>(1 / value)); }

void CpuBackend::reset_pending(std::int32_t* pending, Index layers) { std::fill_n(pending, layers, backtracking_trials + 1); }

void CpuBackend::grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending, Mat d) {
    check_shapes("grid_move", d, {p, g});
    each_block(d, [&](Block block) {
        if (pending[block.layer] <= 0) return;
        const Index at = block.first * d.rows, count = block.columns * d.rows;
        const real step = inverse[block.layer];
        const real* ps = p.layer(block.layer).data + at;
        const real* gs = g.layer(block.layer).data + at;
        real* ds = d.layer(block.layer).data + at;
        for (Index i = 0; i < count; ++i) ds[i] = snapped(q.levels, q.level_count, ps[i] - step * gs[i]) - ps[i];
    });
}

void CpuBackend::grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) {
    each_pair_of_squares(d, h, [&](Index l, double dd, double hh) {
        grid_decide(k->nu, k->rho, dd, hh, inverse[l], pending[l]);
    });
}

void CpuBackend::snap(const Quantizer& q, Mat x) {
    each_block(x, [&](Block block) {
        real* xs = x.layer(block.layer).data + block.first * x.rows;
        for (Index i = 0; i < block.columns * x.rows; ++i) xs[i] = snapped(q.levels, q.level_count, xs[i]);
    });
}

void CpuBackend::difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d) {
    check_shapes("difference_move", d, {g});
    const std::int32_t largest = largest_code(q.bits);
    std::vector<real> width(static_cast<std::size_t>(g.batch), 0);
    const Blocks blocks(g);
    partial_.resize(std::max(partial_.size(), static_cast<std::size_t>(blocks.count())));
    each_task(blocks.count(), [&](Index t) {
        const Block block = blocks[t];
        const real step = inverse[block.layer];
        const real* gs = g.layer(block.layer).data + block.first * g.rows;
        real most = 0;
#pragma omp simd reduction(max : most)
        for (Index i = 0; i < block.columns * g.rows; ++i) most = std::max(most, std::fabs(step * gs[i]));
        partial_[static_cast<std::size_t>(t)] = static_cast<double>(most);
    });
    for (Index t = 0; t < blocks.count(); ++t) {
        real& w = width[static_cast<std::size_t>(blocks[t].layer)];
        w = std::max(w, static_cast<real>(partial_[static_cast<std::size_t>(t)]));
    }
    for (real& w : width) w = difference_width(w, largest);
    each_task(blocks.count(), [&](Index t) {
        const Block block = blocks[t];
        const Index at = block.first * g.rows;
        const real step = inverse[block.layer], w = width[static_cast<std::size_t>(block.layer)];
        const real* __restrict gs = g.layer(block.layer).data + at;
        real* __restrict ds = d.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < block.columns * g.rows; ++i) ds[i] = difference_round(-(step * gs[i]), w, largest);
    });
}

void CpuBackend::difference_check(CMat d, CMat h, const Controls* k, real* inverse) {
    each_pair_of_squares(d, h, [&](Index l, double dd, double hh) {
        inverse[l] = -static_cast<real>(difference_factor(inverse[l], k->nu, k->rho, dd, hh));
    });
}

void CpuBackend::repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) {
    for (int trial = 0; trial < most && std::any_of(pending, pending + layers, [](std::int32_t left) { return left > 0; }); ++trial)
        body();
}

}  // namespace pdadmm
