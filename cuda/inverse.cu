// Inverses of regularised Gram matrices on the device, in double: small ones by one kernel (sweep.cuh), others by
// cuSOLVER's batched Cholesky factorisation and two triangular solves on the identity, or on a narrow matrix. The
// routine follows from the size alone, and is the same for any number of layers (design 2, `block`).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"
#include "cuda/sweep.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

/// ridge[layer], from the trace of nu F; kappa is rho or mu.
template <typename T>
__global__ void __launch_bounds__(pass_threads)
    ridge_kernel(const T* F, Index stride, Index m, const Controls* k, bool of_p, double least, double* ridge) {
    F += blockIdx.x * stride;
    double sums[1] = {0};
    for (Index i = threadIdx.x; i < m; i += pass_threads)
        sums[0] += static_cast<double>(k->nu) * static_cast<double>(F[i * m + i]);
    block_sum(sums);
    if (threadIdx.x == 0) ridge[blockIdx.x] = ridge_of(of_p ? k->rho : k->mu, sums[0] / static_cast<double>(m), least);
}

/// A = nu F + ridge I, F being A or another matrix, and where each layer's A and right-hand side X (m, width) are; X =
/// I where `identity`.
template <typename T>
__global__ void __launch_bounds__(pass_threads)
    regularise_kernel(const T* F, Index stride, Index m, const Controls* k, const double* ridge, double* A, double* X,
                      Index width, bool identity, double** addresses) {
    const Index layer = blockIdx.y, size = m * m, layers = gridDim.y;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        addresses[layer] = A + layer * size;
        addresses[layers + layer] = X + layer * m * width;
    }
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < size;
         at += static_cast<Index>(gridDim.x) * pass_threads) {
        const bool diagonal = at % m == at / m;
        A[layer * size + at] =
            static_cast<double>(k->nu) * static_cast<double>(F[layer * stride + at]) + (diagonal ? ridge[layer] : 0.0);
        if (identity) X[layer * size + at] = diagonal ? 1 : 0;
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

/// Element `at` of a (k, c) right-hand side: in X (c, k) where `transposed`, else in X (k, c), without gaps.
__device__ Index narrow_element(Index at, Index k, Index c, bool transposed) {
    return transposed ? at % k * c + at / k : at;
}
__global__ void __launch_bounds__(pass_threads)
    load_narrow_kernel(const real* X, Index stride, Index k, Index c, bool transposed, double* B) {
    const Index layer = blockIdx.y, size = k * c;
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < size;
         at += static_cast<Index>(gridDim.x) * pass_threads)
        B[layer * size + at] = static_cast<double>(X[layer * stride + narrow_element(at, k, c, transposed)]);
}
/// Y = nu B of p, ridge B of W; NaN, and the variable's bit, where the factorisation failed; 1/ridge.
__global__ void __launch_bounds__(pass_threads)
    store_narrow_kernel(const double* B, Index k, Index c, bool of_p, const Controls* controls, const double* ridge,
                        const int* info, std::int32_t bit, real* Y, Index stride, real* inverse, std::int32_t* failed) {
    const Index layer = blockIdx.y, size = k * c;
    const bool good = info[layer] == 0;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        if (!good) failed[layer] |= bit;
        inverse[layer] = good ? static_cast<real>(1 / ridge[layer]) : static_cast<real>(NAN);
    }
    const double scale = of_p ? static_cast<double>(controls->nu) : ridge[layer];
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < size;
         at += static_cast<Index>(gridDim.x) * pass_threads)
        Y[layer * stride + narrow_element(at, k, c, !of_p)] =
            good ? static_cast<real>(scale * B[layer * size + at]) : static_cast<real>(NAN);
}

__global__ void outdated_kernel(const Controls* k, const KeptInverse* kept, std::int32_t* pending) {
    *pending = kept->nu == static_cast<double>(k->nu) && kept->mu == static_cast<double>(k->mu) ? 0 : 1;
}
__global__ void kept_kernel(const Controls* k, const double* ridge, KeptInverse* kept, std::int32_t* pending) {
    *kept = {static_cast<double>(k->nu), static_cast<double>(k->mu), *ridge};
    *pending = 0;
}

}  // namespace

void CudaBackend::solve_in_double(Lane& here, Index m, Index width, Index layers, double** addresses, int* info) {
    const int n = static_cast<int>(m), columns = static_cast<int>(width), count = static_cast<int>(layers);
    if (!here.solver) PDADMM_CUDA_CHECK(cusolverDnCreate(here.solver.out()));
    if (!here.triangular) PDADMM_CUDA_CHECK(cublasCreate(here.triangular.out()));
    PDADMM_CUDA_CHECK(cusolverDnSetStream(here.solver, here.stream));
    PDADMM_CUDA_CHECK(cusolverDnDpotrfBatched(here.solver, CUBLAS_FILL_MODE_LOWER, n, addresses, n, info, count));
    PDADMM_CUDA_CHECK(cublasSetStream(here.triangular, here.stream));
    // A new stream forgets the workspace. The library's own would be taken from a pool within a recording, as a node of
    // memory, which a loop on the device may not hold.
    PDADMM_CUDA_CHECK(cublasSetWorkspace(here.triangular, here.blas_workspace.at_least(blas_workspace_bytes),
                                         static_cast<std::size_t>(blas_workspace_bytes)));
    const double one = 1;
    for (const cublasOperation_t side : {CUBLAS_OP_N, CUBLAS_OP_T})  // L Y = X, L' X = Y
        PDADMM_CUDA_CHECK(cublasDtrsmBatched(here.triangular, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, side,
                                             CUBLAS_DIAG_NON_UNIT, n, columns, &one, addresses, n, addresses + layers,
                                             n, count));
}

void CudaBackend::invert(Variable variable, const Controls* k, Mat F, std::int32_t* failed) {
    if (!F.contiguous() || F.rows != F.cols)
        throw Error(ExitCode::internal, "invert: expected square matrices without gaps");
    Lane& here = lane();
    const Index m = F.rows, layers = F.batch;
    if (m <= most_swept)
        return sweep("invert", here, F.data, F.stride, m, layers,
                     {k, variable == Variable::p, 0.0, here.kept.at_least(layers), nullptr, bit_of(variable), failed});
    if (in_slices<double>(layers, 2 * m * m, [&](Index first, Index count) {
            invert(variable, k, F.layers(first, count), failed + first);
        }))
        return;
    double* ridge = here.kept.at_least(layers);
    double* A = here.factors.at_least(2 * layers * m * m);
    double* X = A + layers * m * m;
    double** addresses = here.addresses.at_least(2 * layers);
    int* info = here.info.at_least(layers);
    launch("ridge", ridge_kernel<real>, static_cast<unsigned>(layers), pass_threads, here.stream, F.data, F.stride, m,
           k, variable == Variable::p, 0.0, ridge);
    launch("regularise", regularise_kernel<real>, Extent(F).grid(), pass_threads, here.stream, F.data, F.stride, m, k,
           ridge, A, X, m, true, addresses);
    solve_in_double(here, m, m, layers, addresses, info);
    launch("take_inverse", take_inverse_kernel, Extent(F).grid(), pass_threads, here.stream, X, m, info,
           bit_of(variable), F.data, F.stride, failed);
}

void CudaBackend::push_through(Variable variable, const Controls* k, CMat X, Mat Y, real* inverse,
                               std::int32_t* failed) {
    if (!X.contiguous() || !Y.contiguous() || X.rows != Y.rows || X.cols != Y.cols || X.batch != Y.batch)
        throw Error(ExitCode::internal, "push_through: shapes differ");
    Lane& here = lane();
    const bool of_p = variable == Variable::p;
    const Index m = of_p ? X.rows : X.cols, width = of_p ? X.cols : X.rows, layers = X.batch;
    if (in_slices<double>(layers, m * (m + 2 * width), [&](Index first, Index count) {
            push_through(variable, k, X.layers(first, count), Y.layers(first, count), inverse + first, failed + first);
        }))
        return;
    double* ridge = here.kept.at_least(layers);
    double* A = here.factors.at_least(layers * m * (m + 2 * width));
    double* B = A + layers * m * m;
    double* solved = B;
    double** addresses = here.addresses.at_least(2 * layers);
    int* info = here.info.at_least(layers);
    launch("load_narrow", load_narrow_kernel, Extent(X).grid(), pass_threads, here.stream, X.data, X.stride, m, width,
           !of_p, B);
    gram_in_double(m, width, layers, B, A);
    const double least = of_p ? least_ridge_of_outputs : 0.0;
    if (m <= most_swept) {
        sweep("invert", here, A, m * m, m, layers, {k, of_p, least, ridge, info, 0, nullptr});
        solved = B + layers * m * width;
        product_in_double(m, width, layers, A, B, solved);
    } else {
        const Extent gram(CMat{nullptr, m, m, m, layers, m * m});
        launch("ridge", ridge_kernel<double>, static_cast<unsigned>(layers), pass_threads, here.stream, A, m * m, m, k,
               of_p, least, ridge);
        launch("regularise", regularise_kernel<double>, gram.grid(), pass_threads, here.stream, A, m * m, m, k, ridge,
               A, B, width, false, addresses);
        solve_in_double(here, m, width, layers, addresses, info);
    }
    launch("store_narrow", store_narrow_kernel, Extent(Y).grid(), pass_threads, here.stream, solved, m, width, of_p, k,
           ridge, info, bit_of(variable), Y.data, Y.stride, inverse, failed);
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
