// Operations that follow one another on the same nodes, tile by tile (Backend::p_step, W_b_step): a tile of a few
// hundred columns stays in a core's second-level cache between a product and the passes over it. Bits are those of
// tiles that N alone fixes.
#include "host/blas/blas.hpp"
#include "host/cpu/cpu_backend.hpp"

namespace pdadmm {
namespace {

/// C = op(A) B over one tile: the columns of B and C.
void multiply(BlasTrans trans, CMat A, const real* B, real* C, Index columns) {
    const bool turned = trans == BlasTrans::yes;
    const int rows = static_cast<int>(turned ? A.cols : A.rows), inner = static_cast<int>(turned ? A.rows : A.cols);
    blas_gemm(trans, BlasTrans::no, rows, static_cast<int>(columns), inner, 1, A.data, static_cast<int>(A.ld), B, inner,
              0, C, rows);
}

}  // namespace

void CpuBackend::p_step(const StepOfP& a, const Controls* k, StepSpec spec) {
    const Index n = a.W.rows, m = a.W.cols;
    if (std::max(n, m) > a.g.columns_of_call()) return Backend::p_step(a, k, spec);  // a product is then cut into rows
    check_shapes("p_step", a.g, {a.u, a.p, a.q});
    check_shapes("p_step", a.h, {a.r.data ? a.r : CMat(a.h)});
    each_block_sum<2>(
        Blocks::tiles(a.h),
        [&](Block tile) {
            const CMat W = a.W.layer(tile.layer);
            const Index at = tile.first * m;
            real *g = a.g.layer(tile.layer).data + at, *h = a.h.layer(tile.layer).data + tile.first * n;
            if (a.r.data) multiply(BlasTrans::yes, W, a.r.layer(tile.layer).data + tile.first * n, g, tile.columns);
            const double gg = p_gradient_of_block(*k, a.u.layer(tile.layer).data + at, a.p.layer(tile.layer).data + at,
                                                  a.q.layer(tile.layer).data + at, g, tile.columns * m);
            multiply(BlasTrans::no, W, g, h, tile.columns);
            return std::array<double, 2>{gg, sum_sq(h, tile.columns * n)};
        },
        [&](Index l, const auto& sums) {
            a.norm_sq[l] = sums[0];
            a.inverse[l] = static_cast<real>(inverse_step(spec, k->nu, k->rho, sums[0], sums[1]));
        });
}

void CpuBackend::W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec) {
    const Index n = a.G.rows, m = a.G.cols;
    if (std::max(n, m) > a.h.columns_of_call()) return Backend::W_b_step(a, k, spec);
    check_shapes("W_b_step", a.h, {a.r});
    each_block_sum(
        Blocks::tiles(a.h), 2 * n + (a.norm_sq ? 1 : 0),
        [&](Block tile, double* sums) {
            const Index at = tile.first * n;
            real* h = a.h.layer(tile.layer).data + at;
            multiply(BlasTrans::no, a.G.layer(tile.layer), a.p.layer(tile.layer).data + tile.first * m, h,
                     tile.columns);
            add_columns(a.r.layer(tile.layer).data + at, n, n, tile.columns, sums);
            add_columns(h, n, n, tile.columns, sums + n);
            if (a.norm_sq) sums[2 * n] = sum_sq(h, tile.columns * n);
        },
        [&](Index l, auto&& sum) {
            if (a.norm_sq) a.inverse[l] = static_cast<real>(inverse_step(spec, k->nu, k->mu, a.norm_sq[l], sum(2 * n)));
            for (Index i = 0; i < n; ++i)
                take_bias(sum(i), sum(n + i), a.inverse[l], node_count(a.h), a.d.layer(l).data[i],
                          a.b.layer(l).data[i]);
        });
}

}  // namespace pdadmm
