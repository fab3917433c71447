// Sums over the nodes of every row of a stack (biases), in a fixed order and one launch.
#pragma once

#include "cuda/range_sums.cuh"
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

/// Columns of a layer in ranges of nodes, each in `slices`: grid z is both.
struct ColumnCut {
    Index columns, length;  // of all ranges; of one, of which the last may be shorter
    unsigned slices;
    struct Slice {
        Index range, number;
        Index first, end;  // columns
    };
    __device__ Slice of_block() const {
        const Index range = blockIdx.z / slices, number = blockIdx.z % slices, begin = range * length;
        const Index here = columns - begin < length ? columns - begin : length, each = (here + slices - 1) / slices;
        const Index first = number * each, last = first + each < here ? first + each : here;
        return {range, number, begin + first, begin + last};
    }
};

/// total(layer, row, sum over columns of value(layer, offset of the element)): a block sums a tile of rows over a slice
/// of columns, and the last of the tile's blocks adds the slices in order. Sums of ranges are left in `of`, if
/// anywhere.
template <typename Value, typename Total>
__global__ void __launch_bounds__(row_threads* row_slices)
    row_sum_kernel(Index n, ColumnCut cut, Value value, Total total, double* partial, unsigned* arrived, OfRanges of) {
    __shared__ double shared[row_slices][row_threads];
    const Index layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * row_threads + threadIdx.x;
    const auto [range, number, first, end] = cut.of_block();
    const Index ranges = gridDim.z / cut.slices, place = layer * ranges + range;
    double sum[1] = {};
    if (row < n)
        for (Index j = first + threadIdx.y; j < end; j += row_slices) sum[0] += value(layer, j * n + row);
    add_slices(sum, shared);
    if (threadIdx.y == 0 && row < n) partial[(place * cut.slices + number) * n + row] = sum[0];
    if (!comes_last(arrived + place * gridDim.x + blockIdx.x, cut.slices)) return;
    sum[0] = 0;
    if (row < n)
        for (unsigned slice = threadIdx.y; slice < cut.slices; slice += row_slices)
            sum[0] += partial[(place * cut.slices + slice) * n + row];
    add_slices(sum, shared);
    if (threadIdx.y != 0 || row >= n) return;
    if (of.sums)
        of.at(range, layer, gridDim.y)[row] = sum[0];
    else
        total(layer, row, sum[0]);
}

/// total(layer, row, sum) of sums of ranges, a warp a row.
template <typename Total>
__global__ void __launch_bounds__(row_threads* row_slices)
    finish_rows_kernel(Index n, Total total, OfRanges of, Index ranges) {
    const Index layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * row_slices + threadIdx.y;
    if (row >= n) return;
    const auto part = [&](Index range) { return range < ranges ? of.at(range, layer, gridDim.y)[row] : 0; };
    const double sum = tree_sum(part(threadIdx.x), part(threadIdx.x + 32), ranges);
    if (threadIdx.x == 0) total(layer, row, sum);
}

/// Slices of a range, by its length alone.
inline ColumnCut column_cut(CMat shape) {
    const Index length = shape.columns_of_call(), wanted = (length + 4 * row_slices - 1) / (4 * row_slices);
    return {shape.cols, length, static_cast<unsigned>(wanted < most_row_blocks ? wanted : most_row_blocks)};
}

/// Tiles of rows, layers, slices of columns in all ranges.
inline dim3 row_grid(CMat shape) {
    return {static_cast<unsigned>((shape.rows + row_threads - 1) / row_threads), static_cast<unsigned>(shape.batch),
            column_cut(shape).slices * static_cast<unsigned>(RangesOf(shape).ranges)};
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
    const RangesOf ranges(shape);
    const OfRanges of = of_ranges(lane, ranges, shape.rows);
    launch(name, row_sum_kernel<Value, Total>, grid, dim3(row_threads, row_slices), lane.stream, shape.rows,
           column_cut(shape), value, total, lane.partials.at_least(shape.batch * grid.z * shape.rows),
           lane.arrivals.at_least(ranges.ranges * shape.batch * grid.x), of);
    if (!of.sums) return;
    const Index parts = add_over_ranks(lane, ranges, of);
    launch(name, finish_rows_kernel<Total>,
           dim3(static_cast<unsigned>((shape.rows + row_slices - 1) / row_slices), grid.y),
           dim3(row_threads, row_slices), lane.stream, shape.rows, total, of, parts);
}

}  // namespace pdadmm::cuda
