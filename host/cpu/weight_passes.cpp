// CPU passes of the p and W subproblems (design 2).
#include <algorithm>
#include <cmath>

#include "host/cpu/cpu_backend.hpp"

namespace pdadmm {

double p_gradient_of_block(const Controls& k, const real* __restrict u, const real* __restrict p,
                           const real* __restrict q, real* __restrict g, Index count) {
    const real rho = k.rho, nu = k.nu;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < count; ++i) {
        g[i] = p_gradient_of(rho, nu, g[i], u[i], p[i], q[i]);
        sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    }
    return sum;
}

void CpuBackend::p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) {
    check_shapes("p_gradient", g, {u, p, q});
    const auto of_block = [&](Block block) {
        const Index at = block.first * g.rows;
        return std::array<double, 1>{p_gradient_of_block(*k, u.layer(block.layer).data + at,
                                                         p.layer(block.layer).data + at, q.layer(block.layer).data + at,
                                                         g.layer(block.layer).data + at, block.columns * g.rows)};
    };
    if (!norm_sq) return each_block(g, of_block);
    each_block_sum<1>(g, of_block, [&](Index l, const auto& sums) { norm_sq[l] = sums[0]; });
}

void CpuBackend::W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) {
    check_shapes("W_gradient", G, {W});
    each_block_sum<1>(
        G,
        [&](Block block) {
            const real nu = k->nu, mu = k->mu;
            const Index at = block.first * G.rows, count = block.columns * G.rows;
            const real* __restrict ws = W.layer(block.layer).data + at;
            real* __restrict gs = G.layer(block.layer).data + at;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (Index i = 0; i < count; ++i) {
                gs[i] = W_gradient_of(nu, mu, gs[i], ws[i]);
                sum += static_cast<double>(gs[i]) * static_cast<double>(gs[i]);
            }
            if (decay == DecayTo::zero) return std::array<double, 1>{sum};
            for (Index j = 0; j < block.columns; ++j) gs[j * G.rows + block.first + j] -= mu;
            return std::array<double, 1>{
                sum_sq(gs, count)};  // anew: near W_ref the difference of two sums may be below zero
        },
        [&](Index l, const auto& sums) { norm_sq[l] = sums[0]; });
}

void CpuBackend::step_size(Variable variable, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                           real* inverse) {
    check_shapes("step_size", h, {});
    const double kappa = variable == Variable::p ? k->rho : k->mu;
    each_block_sum<1>(
        h,
        [&](Block block) {
            return std::array<double, 1>{
                sum_sq(h.layer(block.layer).data + block.first * h.rows, block.columns * h.rows)};
        },
        [&](Index l, const auto& sums) {
            inverse[l] = static_cast<real>(inverse_step(spec, k->nu, kappa, norm_sq[l], sums[0]));
        });
}

void CpuBackend::descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) {
    check_shapes("descend", p, {g});
    check_shapes("descend", r, {h});
    const auto move = [&](CMat along, Mat x) {
        each_block(x, [&](Block block) {
            const Index at = block.first * x.rows, count = block.columns * x.rows;
            const real step = inverse[block.layer];
            const real* __restrict gs = along.layer(block.layer).data + at;
            real* __restrict xs = x.layer(block.layer).data + at;
#pragma omp simd
            for (Index i = 0; i < count; ++i) xs[i] -= step * gs[i];
        });
    };
    move(g, p);
    move(h, r);
}

void CpuBackend::descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) {
    check_shapes("descend", W, {G});
    each_block_sum<1>(
        W,
        [&](Block block) {
            const Index at = block.first * W.rows, count = block.columns * W.rows;
            const real step = inverse[block.layer];
            const real* __restrict gs = G.layer(block.layer).data + at;
            real* __restrict ws = W.layer(block.layer).data + at;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (Index i = 0; i < count; ++i) {
                ws[i] -= step * gs[i];
                sum += static_cast<double>(ws[i]) * static_cast<double>(ws[i]);
            }
            for (Index j = block.first; decay == DecayTo::identity && j < block.first + block.columns; ++j)
                sum += 1 - 2 * static_cast<double>(ws[(j - block.first) * W.rows + j]);  // (w - 1)^2 - w^2
            return std::array<double, 1>{sum};
        },
        [&](Index l, const auto& sums) { figures[l].weight_sq = sums[0]; });
}

}  // namespace pdadmm
