// CUDA passes of the p and W subproblems (design 2).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

struct PGradient : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, const real (&in)[3], real (&g)[1], const real (&)[1],
                               double (&sums)[1]) const {
        g[0] = p_gradient_of(k->rho, k->nu, g[0], in[0], in[1], in[2]);
        sums[0] += square(g[0]);
    }
};

/// Weights that decay to the identity are walked with one row more than they have, so that every diagonal element is at
/// row 0.
Extent with_diagonal(CMat W, DecayTo decay) {
    Extent extent(W);
    if (decay == DecayTo::identity) ++extent.rows;
    return extent;
}

struct WGradient : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, const real (&W)[1], real (&G)[1], const real (&)[1],
                               double (&sums)[1]) const {
        G[0] = W_gradient_of(k->nu, k->mu, G[0], W[0]);
        sums[0] += square(G[0]);
    }
};
struct WGradientFromIdentity {
    static constexpr bool uses_row = true;
    const Controls* k;
    __device__ int prepare(Index) const { return 0; }
    __device__ void operator()(int, Index row, const real (&W)[1], real (&G)[1], const real (&)[1],
                               double (&sums)[1]) const {
        G[0] = W_gradient_of(k->nu, k->mu, G[0], W[0]);
        if (row == 0) G[0] -= k->mu;
        sums[0] += square(G[0]);
    }
};

/// x -= step g for one pair of arrays, or for two of the same size.
template <int Pairs>
struct Descend : StepPass {
    template <typename... S>
    __device__ void operator()(real step, Index, const real (&g)[Pairs], real (&x)[Pairs], const real (&)[1],
                               S&...) const {
        for (int k = 0; k < Pairs; ++k) x[k] -= step * g[k];
    }
};

struct DescendWeights : StepPass {
    __device__ void operator()(real step, Index, const real (&G)[1], real (&W)[1], const real (&)[1],
                               double (&sums)[1]) const {
        W[0] -= step * G[0];
        sums[0] += square(W[0]);
    }
};

struct DescendFromIdentity {
    static constexpr bool uses_row = true;
    const real* inverse;
    __device__ real prepare(Index layer) const { return inverse[layer]; }
    __device__ void operator()(real step, Index row, const real (&G)[1], real (&W)[1], const real (&)[1],
                               double (&sums)[1]) const {
        W[0] -= step * G[0];
        const double off = static_cast<double>(W[0]) - (row == 0 ? 1 : 0);
        sums[0] += off * off;
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

struct WeightFinish {
    LayerFigures* figures;
    __device__ void operator()(Index layer, const double (&sums)[1]) const { figures[layer].weight_sq = sums[0]; }
};

}  // namespace

void CudaBackend::p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) {
    sum_pass<1, 3, 1, 0>("p_gradient", lane(), Extent(g), PGradient{{}, k}, Keep{norm_sq}, {u, p, q}, {g}, {});
}

void CudaBackend::W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) {
    const Extent extent = with_diagonal(G, decay);
    if (decay == DecayTo::identity)
        return sum_pass<1, 1, 1, 0>("W_gradient", lane(), extent, WGradientFromIdentity{k}, Keep{norm_sq}, {W}, {G},
                                    {});
    sum_pass<1, 1, 1, 0>("W_gradient", lane(), extent, WGradient{{}, k}, Keep{norm_sq}, {W}, {G}, {});
}

void CudaBackend::step_size(Variable variable, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                            real* inverse) {
    sum_pass<1, 1, 0, 0>("step_size", lane(), Extent(h), Square{},
                         StepFinish{norm_sq, k, variable == Variable::p, spec, inverse}, {h}, {}, {});
}

void CudaBackend::descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) {
    if (g.size() != p.size() || h.size() != r.size() || p.batch != r.batch)
        throw Error(ExitCode::internal, "descend: shapes differ");
    if (p.size() == r.size())
        return pass<2, 2, 0>("descend", lane(), Extent(p), Descend<2>{{inverse}}, {g, h}, {p, r}, {});
    pass<1, 1, 0>("descend", lane(), Extent(p), Descend<1>{{inverse}}, {g}, {p}, {});
    pass<1, 1, 0>("descend", lane(), Extent(r), Descend<1>{{inverse}}, {h}, {r}, {});
}

void CudaBackend::descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) {
    const Extent extent = with_diagonal(W, decay);
    if (decay == DecayTo::identity)
        return sum_pass<1, 1, 1, 0>("descend_weights", lane(), extent, DescendFromIdentity{inverse},
                                    WeightFinish{figures}, {G}, {W}, {});
    sum_pass<1, 1, 1, 0>("descend_weights", lane(), extent, DescendWeights{{inverse}}, WeightFinish{figures}, {G}, {W},
                         {});
}

}  // namespace pdadmm
