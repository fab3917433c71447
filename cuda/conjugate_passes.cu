// CUDA passes of conjugate gradients on the first layer (design 2, `block`).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

struct DualGradient : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, real S, real& R) const { R = dual_gradient_of(k->nu, k->mu, R, S); }
};

struct AlongGradient : PlainPass {
    __device__ void operator()(int, Index, double (&sums)[1], real R, real T) const {
        sums[0] += static_cast<double>(R) * static_cast<double>(T);
    }
};
struct WeightOfDirection {
    bool first;
    ConjugateScalars* s;
    __device__ void operator()(Index, const double (&sums)[1]) const { conjugate_weight(sums[0], first, *s); }
};

struct Direction {
    static constexpr bool uses_row = false;
    const ConjugateScalars* s;
    __device__ real prepare(Index) const { return static_cast<real>(s->weight); }
    __device__ void operator()(real weight, Index, double (&sums)[4], real R, real T, real V, real& E, real& U) const {
        E = conjugate_of(weight, R, E);
        U = conjugate_of(weight, T, U);
        const double e = static_cast<double>(E), u = static_cast<double>(U);
        sums[0] += static_cast<double>(R) * u;
        sums[1] += u * u;
        sums[2] += e * u;
        sums[3] += e * static_cast<double>(V);
    }
};
struct LengthOfStep {
    const Controls* k;
    real* inverse;
    NodeSpaceScalars* weights;
    LayerFigures* figures;
    __device__ void operator()(Index, const double (&sums)[4]) const {
        *inverse =
            static_cast<real>(conjugate_length(k->nu, k->mu, {sums[0], sums[1], sums[2], sums[3]}, weights->weight_sq));
        figures->weight_sq = weights->weight_sq;
    }
};

struct ConjugateStep {
    static constexpr bool uses_row = true;
    const real* inverse;
    const Controls* k;
    const real* d;
    __device__ real prepare(Index) const { return *inverse; }
    __device__ void operator()(real step, Index row, real E, real U, real& S, real& V, real& r, real& R) const {
        const real move = step * (U + d[row]);
        S += step * E;
        V -= move;
        r -= move;
        R -= step * (k->nu * U + k->mu * E);
    }
};

}  // namespace

void CudaBackend::dual_gradient(CMat S, const Controls* k, Mat R) {
    pass("dual_gradient", lane(), DualGradient{{}, k}, reads(S), updates(R), writes());
}

void CudaBackend::conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) {
    sum_pass<1>("conjugate_weight", lane(), AlongGradient{}, WeightOfDirection{first, s}, reads(R, T), updates(),
                writes());
}

void CudaBackend::conjugate_direction(CMat R, CMat T, CMat V, const Controls* k, const ConjugateScalars* s, Mat E,
                                      Mat U, real* inverse, NodeSpaceScalars* weights, LayerFigures* figures) {
    sum_pass<4>("conjugate_direction", lane(), Direction{s}, LengthOfStep{k, inverse, weights, figures}, reads(R, T, V),
                updates(E, U), writes());
}

void CudaBackend::conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                                 Mat R) {
    pass("conjugate_step", lane(), ConjugateStep{inverse, k, d.data}, reads(E, U), updates(S, V, r, R), writes());
}

}  // namespace pdadmm
