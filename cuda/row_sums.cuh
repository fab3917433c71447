// Sums over the nodes of every row of a stack (biases), in a fixed order and one launch.
#pragma once

#include "cuda/check.cuh"
#include "cuda/lane.cuh"
#include "pdadmm/steps.hpp"

namespace pdadmm::cuda {

constexpr int row_threads = 32;  // rows of a tile
constexpr int row_slices = 8;    // columns that a block works on at once
constexpr int most_row_blocks = 64;

/// Adds over thread rows, in order; the sums are in thread row 0.
template <int K>
__device__ inline void add_slices(double (&sums)[K], double (&shared)[row_slices][row_threads]) {
    for (double& sum : sums) {
        shared[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0)
            for (int slice = 1; slice < row_slices; ++slice) sum += shared[slice][threadIdx.x];
        __syncthreads();
    }
}

/// Whether this block is the last of `blocks` to come here; what the others wrote before is seen then.
__device__ inline bool comes_last(unsigned* arrived, unsigned blocks) {
    __shared__ bool last;
    __threadfence();  // what was written before the arrival,
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last = atomicInc(arrived, blocks - 1) == blocks - 1;
        __threadfence();  // and the arrival before what the others left is read, by all behind the barrier
    }
    __syncthreads();
    return last;
}

/// total(layer, row, sum over columns of value(layer, offset of the element)): a block sums a tile of rows over a slice
/// of columns, and the last of the tile's blocks adds the slices in order.
template <typename Value, typename Total>
__global__ void __launch_bounds__(row_threads* row_slices)
    row_sum_kernel(Index n, Index N, Value value, Total total, double* partial, unsigned* arrived) {
    __shared__ double shared[row_slices][row_threads];
    const Index layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * row_threads + threadIdx.x;
    const Index each = (N + gridDim.z - 1) / gridDim.z, first = blockIdx.z * each,
                end = first + each < N ? first + each : N;
    double sum[1] = {};
    if (row < n)
        for (Index j = first + threadIdx.y; j < end; j += row_slices) sum[0] += value(layer, j * n + row);
    add_slices(sum, shared);
    if (threadIdx.y == 0 && row < n) partial[(layer * gridDim.z + blockIdx.z) * n + row] = sum[0];
    if (!comes_last(arrived + layer * gridDim.x + blockIdx.x, gridDim.z)) return;
    sum[0] = 0;
    if (row < n)
        for (unsigned slice = threadIdx.y; slice < gridDim.z; slice += row_slices)
            sum[0] += partial[(layer * gridDim.z + slice) * n + row];
    add_slices(sum, shared);
    if (threadIdx.y == 0 && row < n) total(layer, row, sum[0]);
}

/// Tiles of rows, layers, slices of columns: by shape alone.
inline dim3 row_grid(CMat shape) {
    const Index wanted = (shape.cols + 4 * row_slices - 1) / (4 * row_slices);
    return {static_cast<unsigned>((shape.rows + row_threads - 1) / row_threads), static_cast<unsigned>(shape.batch),
            static_cast<unsigned>(wanted < most_row_blocks ? wanted : most_row_blocks)};
}

/// b from the sum of a row's residuals over the nodes, and how far it went.
struct BiasFinish {
    Mat d, b;
    Index nodes;
    __device__ void operator()(Index layer, Index row, double sum) const {
        real& bias = b.data[layer * b.stride + row];
        const real change = bias_change(static_cast<real>(sum / static_cast<double>(nodes)), bias);
        d.data[layer * d.stride + row] = change;
        bias -= change;
    }
};

template <typename Value, typename Total>
void row_sums(const char* name, Lane& lane, CMat shape, Value value, Total total) {
    const dim3 grid = row_grid(shape);
    launch(name, row_sum_kernel<Value, Total>, grid, dim3(row_threads, row_slices), lane.stream, shape.rows, shape.cols,
           value, total, lane.partials.at_least(shape.batch * grid.z * shape.rows),
           lane.arrivals.at_least(shape.batch * grid.x));
}

}  // namespace pdadmm::cuda
