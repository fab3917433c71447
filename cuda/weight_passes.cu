// CUDA passes of the p and W subproblems (design 2).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"
#include "cuda/weight_step.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

struct PGradient : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, double (&norm)[1], real u, real p, real q, real& g) const {
        g = p_gradient_of(k->rho, k->nu, g, u, p, q);
        norm[0] += square(g);
    }
    __device__ void operator()(int, Index, real u, real p, real q, real& g) const {
        g = p_gradient_of(k->rho, k->nu, g, u, p, q);
    }
};

/// Weights that decay to the identity are walked with one row more than they have, so that every diagonal element is at
/// row 0.
Extent with_diagonal(CMat W) {
    Extent extent(W);
    ++extent.rows;
    return extent;
}

struct WGradient : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, double (&norm)[1], real W, real& G) const {
        G = W_gradient_of(k->nu, k->mu, G, W);
        norm[0] += square(G);
    }
};
struct WGradientFromIdentity {
    static constexpr bool uses_row = true;
    const Controls* k;
    __device__ int prepare(Index) const { return 0; }
    __device__ void operator()(int, Index row, double (&norm)[1], real W, real& G) const {
        G = W_gradient_of(k->nu, k->mu, G, W);
        if (row == 0) G -= k->mu;
        norm[0] += square(G);
    }
};

/// p -= step g, and with r of p's size r -= step h.
struct Descend : StepPass {
    __device__ void operator()(real step, Index, real g, real& p) const { p -= step * g; }
    __device__ void operator()(real step, Index, real g, real h, real& p, real& r) const {
        p -= step * g;
        r -= step * h;
    }
};

struct DescendWeights : StepPass {
    __device__ void operator()(real step, Index, double (&norm)[1], real G, real& W) const {
        W -= step * G;
        norm[0] += square(W);
    }
};

struct DescendFromIdentity {
    static constexpr bool uses_row = true;
    const real* inverse;
    __device__ real prepare(Index layer) const { return inverse[layer]; }
    __device__ void operator()(real step, Index row, double (&norm)[1], real G, real& W) const {
        W -= step * G;
        const double off = static_cast<double>(W) - (row == 0 ? 1 : 0);
        norm[0] += off * off;
    }
};

struct StepFinish {
    const double* norm_sq;
    const Controls* k;
    bool of_p;
    StepSpec spec;
    real* inverse;
    __device__ void operator()(Index layer, const double (&hh)[1]) const {
        inverse[layer] = static_cast<real>(inverse_step(spec, k->nu, of_p ? k->rho : k->mu, norm_sq[layer], hh[0]));
    }
};

/// Of |g|^2 and |h|^2.
struct PStepFinish {
    double* norm_sq;
    StepFinish of_h;
    __device__ void operator()(Index layer, const double (&sums)[2]) const {
        norm_sq[layer] = sums[0];
        const double hh[1] = {sums[1]};
        of_h(layer, hh);
    }
};

struct WeightFinish {
    LayerFigures* figures;
    __device__ void operator()(Index layer, const double (&sums)[1]) const { figures[layer].weight_sq = sums[0]; }
};

}  // namespace

void CudaBackend::p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) {
    if (!norm_sq) return pass("p_gradient", lane(), PGradient{{}, k}, reads(u, p, q), updates(g), writes());
    sum_pass<1>("p_gradient", lane(), PGradient{{}, k}, Keep{norm_sq}, reads(u, p, q), updates(g), writes());
}

// Sums that wait for others wait once for both.
void CudaBackend::p_step(const StepOfP& a, const Controls* k, StepSpec spec) {
    const Extent of_g(a.g), of_h(a.h);
    OfRanges of = of_ranges(lane(), of_g, 2);
    if (!of.sums) return Backend::p_step(a, k, spec);
    if (a.r.data) gemm(Trans::yes, Trans::no, 1, a.W, a.r, 0, a.g, Precision::working);
    range_pass<1>("p_gradient", lane(), of_g, of, PGradient{{}, k}, Keep{a.norm_sq}, reads(a.u, a.p, a.q), updates(a.g),
                  writes());
    gemm(Trans::no, Trans::no, 1, a.W, a.g, 0, a.h, Precision::working);
    const StepFinish step{a.norm_sq, k, true, spec, a.inverse};
    of.first = 1;
    range_pass<1>("step_size", lane(), of_h, of, Square{}, step, reads(a.h), updates(), writes());
    of.first = 0;
    finish_ranges<2>("p_step", lane(), of_g, of, PStepFinish{a.norm_sq, step});
}

void CudaBackend::W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) {
    if (decay == DecayTo::identity)
        return sum_pass<1>("W_gradient", lane(), with_diagonal(G), WGradientFromIdentity{k}, Keep{norm_sq}, reads(W),
                           updates(G), writes());
    sum_pass<1>("W_gradient", lane(), WGradient{{}, k}, Keep{norm_sq}, reads(W), updates(G), writes());
}

void CudaBackend::step_size(Variable variable, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                            real* inverse) {
    sum_pass<1>("step_size", lane(), Square{}, StepFinish{norm_sq, k, variable == Variable::p, spec, inverse}, reads(h),
                updates(), writes());
}

void CudaBackend::W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec) {
    if (!a.norm_sq) return Backend::W_b_step(a, k, spec);
    if (!a.r.contiguous() || !a.h.contiguous() || a.r.size() != a.h.size() || a.r.batch != a.h.batch)
        throw Error(ExitCode::internal, "W_b_step: shapes differ");
    gemm(Trans::no, Trans::no, 1, a.G, a.p, 0, a.h, Precision::working);
    const dim3 grid = row_grid(a.r), block(row_threads, row_slices);
    const ColumnCut cut = column_cut(a.r);
    const RangesOf ranges(a.r);
    const OfRanges of = of_ranges(lane(), ranges, W_step_values(a.r.rows));
    const Index doubles = W_step_doubles(cut.slices, a.r.rows), counters = W_step_counters(grid),
                places = ranges.ranges * a.r.batch;
    const WStep step{a.r, a.h, a.norm_sq, k, spec, a.inverse, {a.d, a.b, ranges.nodes(lane(), a.r)}};
    launch("W_step", W_step_kernel, grid, block, lane().stream, step, cut, lane().partials.at_least(doubles * places),
           lane().arrivals.at_least(counters * places), doubles, counters, of);
    if (!of.sums) return;
    const Index parts = add_over_ranks(lane(), ranges, of);
    launch("W_step", finish_W_step_kernel,
           dim3(static_cast<unsigned>((a.r.rows + row_slices - 1) / row_slices), grid.y), block, lane().stream, step,
           of, parts);
}

void CudaBackend::descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) {
    if (g.size() != p.size() || h.size() != r.size() || p.batch != r.batch)
        throw Error(ExitCode::internal, "descend: shapes differ");
    if (p.size() == r.size()) return pass("descend", lane(), Descend{{inverse}}, reads(g, h), updates(p, r), writes());
    pair_pass("descend", lane(), Descend{{inverse}}, g, p, h, r);
}

void CudaBackend::descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) {
    if (decay == DecayTo::identity)
        return sum_pass<1>("descend_weights", lane(), with_diagonal(W), DescendFromIdentity{inverse},
                           WeightFinish{figures}, reads(G), updates(W), writes());
    sum_pass<1>("descend_weights", lane(), DescendWeights{{inverse}}, WeightFinish{figures}, reads(G), updates(W),
                writes());
}

}  // namespace pdadmm
