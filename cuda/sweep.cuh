// Inverses of small regularised Gram matrices in double: one block a layer, the matrix in the registers of its threads.
//
// The sweep operator (Goodnight, The American Statistician 33, 1979) takes one pivot after the other and leaves -A^-1.
// Its pivots are those of Cholesky's factorisation, squared: all are positive where A is. Row and column of a pivot are
// the same by symmetry, so one column in shared memory and one barrier is all that a step shares.
#pragma once

#include "cuda/pass.cuh"
#include "pdadmm/closed_forms.hpp"

namespace pdadmm::cuda {

constexpr int sweep_side = 16;  // threads of a block in either direction
static_assert(sweep_side * sweep_side == pass_threads);
constexpr int small_tile = 2, large_tile = 8;  // elements of a thread in either direction
constexpr Index most_swept = large_tile * sweep_side;

/// What is added to nu F, and what is said of each layer's inverse.
struct SweepTerms {
    const Controls* k;
    bool of_p;  // rho, else mu
    double least;
    double* ridge;
    int* info;  // 0 where there is an inverse; null: nobody asks
    std::int32_t bit;
    std::int32_t* failed;  // gets the bit where there is none; null: nobody asks
};

/// F = (nu F + ridge I)^-1 from its lower triangle, m x m without gaps; NaN where there is none.
template <int tile, typename T>
__global__ void __launch_bounds__(pass_threads) sweep_kernel(T* F, Index stride, int m, SweepTerms terms) {
    __shared__ double columns[2][tile * sweep_side];
    __shared__ double shift;
    const Index layer = blockIdx.x;
    F += layer * stride;
    const double nu = static_cast<double>(terms.k->nu);
    double sums[1] = {};
    for (int i = static_cast<int>(threadIdx.x); i < m; i += pass_threads)
        sums[0] += nu * static_cast<double>(F[static_cast<Index>(i) * m + i]);
    block_sum(sums);
    if (threadIdx.x == 0) {
        shift = ridge_of(terms.of_p ? terms.k->rho : terms.k->mu, sums[0] / static_cast<double>(m), terms.least);
        terms.ridge[layer] = shift;
    }
    __syncthreads();

    const int row = static_cast<int>(threadIdx.x) % sweep_side, column = static_cast<int>(threadIdx.x) / sweep_side;
    const auto lower = [&](int i, int j) -> T& { return F[static_cast<Index>(i < j ? i : j) * m + (i < j ? j : i)]; };
    double a[tile][tile];  // rows row + 16 x, columns column + 16 y
#pragma unroll
    for (int x = 0; x < tile; ++x)
#pragma unroll
        for (int y = 0; y < tile; ++y) {
            const int i = row + sweep_side * x, j = column + sweep_side * y;
            a[x][y] = i < m && j < m ? nu * static_cast<double>(lower(i, j)) + (i == j ? shift : 0.0) : 0.0;
        }

    bool good = true;
#pragma unroll
    for (int of = 0; of < tile; ++of)  // pivots in tiles, so that registers are addressed by constants
        for (int at = 0; at < sweep_side && at + sweep_side * of < m; ++at) {
            double* const shared = columns[at % 2];  // the other one is still read
            if (column == at) {
#pragma unroll
                for (int x = 0; x < tile; ++x) shared[row + sweep_side * x] = a[x][of];
            }
            __syncthreads();
            const double pivot = shared[at + sweep_side * of], inverse = 1 / pivot;
            good = good && pivot > 0 && pivot < HUGE_VAL;
            double left[tile], right[tile];
#pragma unroll
            for (int x = 0; x < tile; ++x) {
                left[x] = shared[row + sweep_side * x];
                right[x] = shared[column + sweep_side * x] * inverse;
            }
#pragma unroll
            for (int x = 0; x < tile; ++x)
#pragma unroll
                for (int y = 0; y < tile; ++y) a[x][y] = fma(-left[x], right[y], a[x][y]);
            if (row == at) {
#pragma unroll
                for (int y = 0; y < tile; ++y) a[of][y] = right[y];
            }
            if (column == at) {
#pragma unroll
                for (int x = 0; x < tile; ++x) a[x][of] = left[x] * inverse;
            }
            if (row == at && column == at) a[of][of] = -inverse;
        }

#pragma unroll
    for (int x = 0; x < tile; ++x)
#pragma unroll
        for (int y = 0; y < tile; ++y) {
            const int i = row + sweep_side * x, j = column + sweep_side * y;
            if (i >= m || j > i) continue;
            const T value = good ? static_cast<T>(-a[x][y]) : static_cast<T>(NAN);
            F[static_cast<Index>(j) * m + i] = value;
            F[static_cast<Index>(i) * m + j] = value;
        }
    if (threadIdx.x != 0) return;
    if (terms.info) terms.info[layer] = good ? 0 : 1;
    if (terms.failed && !good) terms.failed[layer] |= terms.bit;
}

/// The routine is chosen by m alone, at most most_swept.
template <typename T>
void sweep(const char* name, Lane& lane, T* F, Index stride, Index m, Index layers, const SweepTerms& terms) {
    launch(name, m <= small_tile * sweep_side ? sweep_kernel<small_tile, T> : sweep_kernel<large_tile, T>,
           static_cast<unsigned>(layers), pass_threads, lane.stream, F, stride, static_cast<int>(m), terms);
}

}  // namespace pdadmm::cuda
