// Sums over the nodes of every row of a stack (biases), in a fixed order and one launch.
#pragma once

#include "cuda/check.cuh"
#include "cuda/lane.cuh"

namespace pdadmm::cuda {

constexpr int row_threads = 32;  // rows of a tile
constexpr int row_slices = 8;    // columns that a block works on at once
constexpr int most_row_blocks = 64;

/// total(layer, row, sum over columns of value(layer, offset of the element)): a block sums a tile of rows over a slice
/// of columns, and the last of the tile's blocks adds the slices in order.
template <typename Value, typename Total>
__global__ void __launch_bounds__(row_threads* row_slices)
    row_sum_kernel(Index n, Index N, Value value, Total total, double* partial, unsigned* arrived) {
    __shared__ double shared[row_slices][row_threads];
    __shared__ bool last;
    const Index layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * row_threads + threadIdx.x;
    const Index each = (N + gridDim.z - 1) / gridDim.z, first = blockIdx.z * each,
                end = first + each < N ? first + each : N;
    double sum = 0;
    if (row < n)
        for (Index j = first + threadIdx.y; j < end; j += row_slices) sum += value(layer, j * n + row);
    const auto over_slices = [&] {  // in thread row 0
        shared[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0)
            for (int slice = 1; slice < row_slices; ++slice) sum += shared[slice][threadIdx.x];
    };
    over_slices();
    if (threadIdx.y == 0 && row < n) partial[(layer * gridDim.z + blockIdx.z) * n + row] = sum;
    __threadfence();  // the sums before the arrival
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0)
        last = atomicInc(arrived + layer * gridDim.x + blockIdx.x, gridDim.z - 1) == gridDim.z - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    sum = 0;
    if (row < n)
        for (unsigned slice = threadIdx.y; slice < gridDim.z; slice += row_slices)
            sum += partial[(layer * gridDim.z + slice) * n + row];
    over_slices();
    if (threadIdx.y == 0 && row < n) total(layer, row, sum);
}

template <typename Value, typename Total>
void row_sums(const char* name, Lane& lane, CMat shape, Value value, Total total) {
    const Index n = shape.rows, wanted = (shape.cols + 4 * row_slices - 1) / (4 * row_slices);
    const auto slices = static_cast<unsigned>(wanted < most_row_blocks ? wanted : most_row_blocks);
    const auto tiles = static_cast<unsigned>((n + row_threads - 1) / row_threads);
    launch(name, row_sum_kernel<Value, Total>, dim3(tiles, static_cast<unsigned>(shape.batch), slices),
           dim3(row_threads, row_slices), lane.stream, n, shape.cols, value, total,
           lane.partials.at_least(shape.batch * slices * n), lane.arrivals.at_least(shape.batch * tiles));
}

}  // namespace pdadmm::cuda
