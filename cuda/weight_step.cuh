// The step sizes of W and the change of b that follows from each, in one reading of r and h and one launch: row sums of
// both and |h|^2 are formed before the step is known.
//
// A block sums a tile of rows over a slice of columns; the last of the tile's blocks adds the slices in order, and the
// last tile of a layer adds the rows' squares in order, decides the step, and moves b. Where nodes are in several
// ranges it leaves the sums of its range, and a second launch decides.
#pragma once

#include "cuda/row_sums.cuh"

namespace pdadmm::cuda {

struct WStep {
    CMat r, h;
    const double* norm_sq;
    const Controls* k;
    StepSpec spec;
    real* inverse;
    BiasFinish bias;
    __device__ real step(Index layer, double squares) const {
        return static_cast<real>(inverse_step(spec, k->nu, k->mu, norm_sq[layer], squares));
    }
};
constexpr int W_step_sums = 3;  // of a row: r, h, h^2
/// Doubles and counters of a range of a layer: the slices' rows, then the rows; a counter a tile, then the range's.
inline Index W_step_doubles(unsigned slices, Index n) { return (static_cast<Index>(slices) + 1) * n * W_step_sums; }
inline Index W_step_counters(const dim3& grid) { return static_cast<Index>(grid.x) + 1; }
/// What is left of a range: sums of r, of h, and |h|^2.
constexpr Index W_step_values(Index n) { return 2 * n + 1; }

__global__ void __launch_bounds__(row_threads* row_slices)
    W_step_kernel(WStep s, ColumnCut cut, double* doubles, unsigned* counters, Index doubles_each, Index counters_each,
                  OfRanges of) {
    __shared__ double shared[row_slices][row_threads];
    __shared__ double step;
    const Index n = s.r.rows, layer = blockIdx.y;
    const Index row = static_cast<Index>(blockIdx.x) * row_threads + threadIdx.x;
    const auto [range, number, first, end] = cut.of_block();
    const Index place = layer * (gridDim.z / cut.slices) + range;
    const real *r = s.r.data + layer * s.r.stride, *h = s.h.data + layer * s.h.stride;
    double* slices = doubles + place * doubles_each;
    double* rows = slices + cut.slices * n * W_step_sums;
    unsigned* arrived = counters + place * counters_each;
    double sums[W_step_sums] = {};
    if (row < n)
        for (Index j = first + threadIdx.y; j < end; j += row_slices) {
            const double x = static_cast<double>(h[j * n + row]);
            sums[0] += static_cast<double>(r[j * n + row]);
            sums[1] += x;
            sums[2] += x * x;
        }
    add_slices(sums, shared);
    const auto keep = [&](double* to) {
        if (threadIdx.y == 0 && row < n)
            for (int k = 0; k < W_step_sums; ++k) to[row * W_step_sums + k] = sums[k];
    };
    keep(slices + number * n * W_step_sums);
    if (!comes_last(arrived + blockIdx.x, cut.slices)) return;
    for (int k = 0; k < W_step_sums; ++k) {
        sums[k] = 0;
        for (unsigned slice = threadIdx.y; row < n && slice < cut.slices; slice += row_slices)
            sums[k] += slices[(slice * n + row) * W_step_sums + k];
    }
    add_slices(sums, shared);
    keep(rows);
    if (!comes_last(arrived + gridDim.x, gridDim.x)) return;

    double squares[1] = {};
    const Index thread = threadIdx.y * row_threads + threadIdx.x, threads = row_threads * row_slices;
    for (Index i = thread; i < n; i += threads) squares[0] += rows[i * W_step_sums + 2];
    add_slices(squares, shared);
    if (threadIdx.y == 0) {
        for (int offset = 16; offset > 0; offset /= 2) squares[0] += __shfl_down_sync(0xffffffffu, squares[0], offset);
        if (threadIdx.x == 0 && of.sums) {
            of.at(range, layer, gridDim.y)[2 * n] = squares[0];
        } else if (threadIdx.x == 0) {
            s.inverse[layer] = s.step(layer, squares[0]);
            step = static_cast<double>(s.inverse[layer]);
        }
    }
    __syncthreads();
    for (Index i = thread; i < n; i += threads) {
        const double of_r = rows[i * W_step_sums], of_h = rows[i * W_step_sums + 1];
        if (!of.sums) {
            s.bias(layer, i, of_r - step * of_h);
            continue;
        }
        of.at(range, layer, gridDim.y)[i] = of_r;
        of.at(range, layer, gridDim.y)[n + i] = of_h;
    }
}

/// The same from the sums of ranges: a warp a row, and each block decides the step again.
__global__ void __launch_bounds__(row_threads* row_slices) finish_W_step_kernel(WStep s, OfRanges of, Index ranges) {
    __shared__ real step;
    const Index n = s.r.rows, layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * row_slices + threadIdx.y;
    const auto sum_of = [&](Index value) {
        const auto part = [&](Index range) { return range < ranges ? of.at(range, layer, gridDim.y)[value] : 0; };
        return tree_sum(part(threadIdx.x), part(threadIdx.x + 32), ranges);
    };
    if (threadIdx.y == 0) {
        const double squares = sum_of(2 * n);
        if (threadIdx.x == 0) step = s.step(layer, squares);
    }
    __syncthreads();
    if (blockIdx.x == 0 && threadIdx.x == 0 && threadIdx.y == 0) s.inverse[layer] = step;
    if (row >= n) return;
    const double of_r = sum_of(row), of_h = sum_of(n + row);
    if (threadIdx.x == 0) s.bias(layer, row, of_r - static_cast<double>(step) * of_h);
}

}  // namespace pdadmm::cuda
