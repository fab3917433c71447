// Inverses of regularised Gram matrices on the device, in double: cuSOLVER's batched Cholesky factorisation, then two
// triangular solves on the identity. The routine is the same for any number of layers (design 2, `block`).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

/// ridge[layer], from the trace of nu F; kappa is rho or mu.
__global__ void __launch_bounds__(pass_threads)
    ridge_kernel(const real* F, Index stride, Index m, const Controls* k, bool of_p, double* ridge) {
    F += blockIdx.x * stride;
    double sums[1] = {0};
    for (Index i = threadIdx.x; i < m; i += pass_threads)
        sums[0] += static_cast<double>(k->nu) * static_cast<double>(F[i * m + i]);
    block_sum(sums);
    if (threadIdx.x == 0) ridge[blockIdx.x] = ridge_of(of_p ? k->rho : k->mu, sums[0] / static_cast<double>(m));
}

/// A = nu F + ridge I, X = I, and where each layer's A and X are.
__global__ void __launch_bounds__(pass_threads)
    regularise_kernel(const real* F, Index stride, Index m, const Controls* k, const double* ridge, double* A,
                      double* X, double** addresses) {
    const Index layer = blockIdx.y, size = m * m, layers = gridDim.y;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        addresses[layer] = A + layer * size;
        addresses[layers + layer] = X + layer * size;
    }
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < size;
         at += static_cast<Index>(gridDim.x) * pass_threads) {
        const bool diagonal = at % m == at / m;
        A[layer * size + at] =
            static_cast<double>(k->nu) * static_cast<double>(F[layer * stride + at]) + (diagonal ? ridge[layer] : 0.0);
        X[layer * size + at] = diagonal ? 1 : 0;
    }
}

/// F = X, from its lower triangle; NaN, and the variable's bit, where the factorisation failed.
__global__ void __launch_bounds__(pass_threads)
    take_inverse_kernel(const double* X, Index m, const int* info, std::int32_t bit, real* F, Index stride,
                        std::int32_t* failed) {
    const Index layer = blockIdx.y, size = m * m;
    const bool good = info[layer] == 0;
    if (!good && blockIdx.x == 0 && threadIdx.x == 0) failed[layer] |= bit;
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < size;
         at += static_cast<Index>(gridDim.x) * pass_threads) {
        const Index i = at % m, j = at / m, lower = i >= j ? at : i * m + j;
        F[layer * stride + at] = good ? static_cast<real>(X[layer * size + lower]) : static_cast<real>(NAN);
    }
}

__global__ void outdated_kernel(const Controls* k, const KeptInverse* kept, std::int32_t* pending) {
    *pending = kept->nu == static_cast<double>(k->nu) && kept->mu == static_cast<double>(k->mu) ? 0 : 1;
}
__global__ void kept_kernel(const Controls* k, const double* ridge, KeptInverse* kept, std::int32_t* pending) {
    *kept = {static_cast<double>(k->nu), static_cast<double>(k->mu), *ridge};
    *pending = 0;
}

}  // namespace

void CudaBackend::invert(Variable variable, const Controls* k, Mat F, std::int32_t* failed) {
    if (!F.contiguous() || F.rows != F.cols)
        throw Error(ExitCode::internal, "invert: expected square matrices without gaps");
    Lane& here = lane();
    const Index m = F.rows, layers = F.batch;
    const int n = static_cast<int>(m), count = static_cast<int>(layers);
    double* ridge = here.kept.at_least(layers);
    double* A = here.factors.at_least(2 * layers * m * m);
    double* X = A + layers * m * m;
    double** addresses = here.addresses.at_least(2 * layers);
    int* info = here.info.at_least(layers);
    launch("ridge", ridge_kernel, static_cast<unsigned>(layers), pass_threads, here.stream, F.data, F.stride, m, k,
           variable == Variable::p, ridge);
    launch("regularise", regularise_kernel, Extent(F).grid(), pass_threads, here.stream, F.data, F.stride, m, k, ridge,
           A, X, addresses);
    PDADMM_CUDA_CHECK(cusolverDnSetStream(solver_, here.stream));
    PDADMM_CUDA_CHECK(cusolverDnDpotrfBatched(solver_, CUBLAS_FILL_MODE_LOWER, n, addresses, n, info, count));
    PDADMM_CUDA_CHECK(cublasSetStream(triangular_, here.stream));
    const double one = 1;
    for (const cublasOperation_t side : {CUBLAS_OP_N, CUBLAS_OP_T})  // L Y = I, L' X = Y
        PDADMM_CUDA_CHECK(cublasDtrsmBatched(triangular_, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, side,
                                             CUBLAS_DIAG_NON_UNIT, n, n, &one, addresses, n, addresses + layers, n,
                                             count));
    launch("take_inverse", take_inverse_kernel, Extent(F).grid(), pass_threads, here.stream, X, m, info,
           1 << static_cast<int>(variable), F.data, F.stride, failed);
}

// A loop of at most one turn, so that a recorded phase decides on the device.
void CudaBackend::keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) {
    std::int32_t* pending = lane().outdated.at_least(1);
    launch("outdated", outdated_kernel, 1, 1, lane().stream, k, kept, pending);
    repeat_while(pending, 1, 1, [&] {
        copy(gram, F);
        invert(Variable::W, k, F, failed);
        launch("kept", kept_kernel, 1, 1, lane().stream, k, lane().kept.at_least(1), kept, pending);
    });
}

}  // namespace pdadmm
