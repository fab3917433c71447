// The step sizes of W and the change of b that follows from each, in one reading of r and h and one launch: row sums of
// both and |h|^2 are formed before the step is known.
//
// A block sums a tile of rows over a slice of columns; the last of the tile's blocks adds the slices in order, and the
// last tile of a layer adds the rows' squares in order, decides the step, and moves b.
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
};
constexpr int W_step_sums = 3;  // of a row: r, h, h^2
/// Doubles and counters of a layer: the slices' rows, then the rows; a counter a tile, then the layer's.
inline Index W_step_doubles(const dim3& grid, Index n) { return (static_cast<Index>(grid.z) + 1) * n * W_step_sums; }
inline Index W_step_counters(const dim3& grid) { return static_cast<Index>(grid.x) + 1; }

__global__ void __launch_bounds__(row_threads* row_slices)
    W_step_kernel(WStep s, double* doubles, unsigned* counters, Index doubles_a_layer, Index counters_a_layer) {
    __shared__ double shared[row_slices][row_threads];
    __shared__ double step;
    const Index n = s.r.rows, N = s.r.cols, layer = blockIdx.y;
    const Index row = static_cast<Index>(blockIdx.x) * row_threads + threadIdx.x;
    const Index each = (N + gridDim.z - 1) / gridDim.z, first = blockIdx.z * each,
                end = first + each < N ? first + each : N;
    const real *r = s.r.data + layer * s.r.stride, *h = s.h.data + layer * s.h.stride;
    double* slices = doubles + layer * doubles_a_layer;
    double* rows = slices + gridDim.z * n * W_step_sums;
    unsigned* arrived = counters + layer * counters_a_layer;
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
    keep(slices + blockIdx.z * n * W_step_sums);
    if (!comes_last(arrived + blockIdx.x, gridDim.z)) return;
    for (int k = 0; k < W_step_sums; ++k) {
        sums[k] = 0;
        for (unsigned slice = threadIdx.y; row < n && slice < gridDim.z; slice += row_slices)
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
        if (threadIdx.x == 0) {
            const real inverse =
                static_cast<real>(inverse_step(s.spec, s.k->nu, s.k->mu, s.norm_sq[layer], squares[0]));
            s.inverse[layer] = inverse;
            step = static_cast<double>(inverse);
        }
    }
    __syncthreads();
    for (Index i = thread; i < n; i += threads)
        s.bias(layer, i, rows[i * W_step_sums] - step * rows[i * W_step_sums + 1]);
}

}  // namespace pdadmm::cuda
