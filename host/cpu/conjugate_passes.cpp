// CPU passes of conjugate gradients on the first layer (design 2, `block`).
#include <array>

#include "host/cpu/cpu_backend.hpp"

namespace pdadmm {

void CpuBackend::dual_gradient(CMat S, const Controls* k, Mat R) {
    check_shapes("dual_gradient", R, {S});
    each_block(R, [&](Block block) {
        const real nu = k->nu, mu = k->mu;
        const real* __restrict ss = S.data + block.first * R.rows;
        real* __restrict rs = R.data + block.first * R.rows;
#pragma omp simd
        for (Index i = 0; i < block.columns * R.rows; ++i) rs[i] = dual_gradient_of(nu, mu, rs[i], ss[i]);
    });
}

void CpuBackend::conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) {
    check_shapes("conjugate_weight", R, {T});
    each_block_sum<1>(
        R,
        [&](Block block) {
            const real* __restrict rs = R.data + block.first * R.rows;
            const real* __restrict ts = T.data + block.first * R.rows;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (Index i = 0; i < block.columns * R.rows; ++i)
                sum += static_cast<double>(rs[i]) * static_cast<double>(ts[i]);
            return std::array<double, 1>{sum};
        },
        [&](Index, const auto& sums) { pdadmm::conjugate_weight(sums[0], first, *s); });
}

void CpuBackend::conjugate_direction(CMat R, CMat T, CMat V, const Controls* k, const ConjugateScalars* s, Mat E, Mat U,
                                     real* inverse, NodeSpaceScalars* weights, LayerFigures* figures) {
    check_shapes("conjugate_direction", E, {R, T, V, U});
    each_block_sum<4>(
        E,
        [&](Block block) {
            const real weight = static_cast<real>(s->weight);
            const Index at = block.first * E.rows;
            const real* __restrict rs = R.data + at;
            const real* __restrict ts = T.data + at;
            const real* __restrict vs = V.data + at;
            real* __restrict es = E.data + at;
            real* __restrict us = U.data + at;
            double along = 0, image = 0, square = 0, onto = 0;
#pragma omp simd reduction(+ : along, image, square, onto)
            for (Index i = 0; i < block.columns * E.rows; ++i) {
                es[i] = conjugate_of(weight, rs[i], es[i]);
                us[i] = conjugate_of(weight, ts[i], us[i]);
                const double e = static_cast<double>(es[i]), u = static_cast<double>(us[i]);
                along += static_cast<double>(rs[i]) * u;
                image += u * u;
                square += e * u;
                onto += e * static_cast<double>(vs[i]);
            }
            return std::array<double, 4>{along, image, square, onto};
        },
        [&](Index, const auto& sums) {
            *inverse = static_cast<real>(
                conjugate_length(k->nu, k->mu, {sums[0], sums[1], sums[2], sums[3]}, weights->weight_sq));
            figures->weight_sq = weights->weight_sq;
        });
}

void CpuBackend::conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                                Mat R) {
    check_shapes("conjugate_step", S, {E, U, V, r, R});
    each_block(S, [&](Block block) {
        const real step = *inverse, nu = k->nu, mu = k->mu;
        const Index n = S.rows;
        const real* __restrict ds = d.data;
        for (Index j = block.first; j < block.first + block.columns; ++j) {
            const real* __restrict es = E.data + j * n;
            const real* __restrict us = U.data + j * n;
            real* __restrict ss = S.data + j * n;
            real* __restrict vs = V.data + j * n;
            real* __restrict residuals = r.data + j * n;
            real* __restrict gradients = R.data + j * n;
#pragma omp simd
            for (Index i = 0; i < n; ++i) {
                const real move = step * (us[i] + ds[i]);
                ss[i] += step * es[i];
                vs[i] -= move;
                residuals[i] -= move;
                gradients[i] -= step * (nu * us[i] + mu * es[i]);
            }
        }
    });
}

}  // namespace pdadmm
