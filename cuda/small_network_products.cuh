// Products of the persistent kernel for small networks: all operands in shared memory, column-major with a leading
// dimension that is an odd number of quads (small_network_layout.hpp). fp32 multiply-add on the ordinary cores: fp32
// means fp32.
//
// A product is bound by shared memory unless each value that is read is used often, and a block has too few results to
// give every thread a large tile of its own. So four threads share a tile of 4 x `width` results and split its depth;
// at the end they exchange partial sums by shuffles, half of them at a time, and each keeps one row.
#pragma once

#include "cuda/small_network_layout.hpp"

namespace pdadmm::cuda::small {

struct alignas(16) Quad {
    real value[4];
};
__device__ inline Quad& quad(real* at) { return *reinterpret_cast<Quad*>(at); }
__device__ inline const Quad& quad(const real* at) { return *reinterpret_cast<const Quad*>(at); }

/// Adds up the tile over the four slices; row `slice` of it is then in sum[0].
template <int width>
__device__ void scatter_tile(real (&sum)[tile_rows][width], int slice) {
    constexpr unsigned all = 0xffffffffu;
    const bool lower_half = slice / 2 == 0, even = slice % 2 == 0;
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < width; ++j) {
            const real kept = lower_half ? sum[i][j] : sum[i + 2][j], sent = lower_half ? sum[i + 2][j] : sum[i][j];
            sum[i][j] = kept + __shfl_xor_sync(all, sent, 2 * warp_tiles);
        }
    for (int j = 0; j < width; ++j) {
        const real kept = even ? sum[0][j] : sum[1][j], sent = even ? sum[1][j] : sum[0][j];
        sum[0][j] = kept + __shfl_xor_sync(all, sent, warp_tiles);
    }
}

/// take(i, j, value) once for each element of op(A) B: rows x columns, summed over `depth`. op(A) is A (rows x depth)
/// or, if `transposed`, A' of A (depth x rows). A has a multiple of four columns; where the depth is filled up to a
/// multiple of four, one operand is zero and the other finite.
template <bool transposed, int width, typename Take>
__device__ void multiply(const real* A, int lda, int rows, const real* B, int ldb, int columns, int depth, Take take) {
    const Tiling tiles = tiling(rows, columns, width);
    const int lane = static_cast<int>(threadIdx.x) % 32, slice = lane / warp_tiles, chunks = ceil_div(depth, 4);
    for (int first = static_cast<int>(threadIdx.x) / 32 * warp_tiles; first < tiles.count;
         first += warps * warp_tiles) {  // whole warps: they shuffle
        const bool mine = first + lane % warp_tiles < tiles.count;
        const int tile = mine ? first + lane % warp_tiles : tiles.count - 1;
        const int group = tile % tiles.groups, column = tile / tiles.groups * width;
        const real* from[width];
        for (int j = 0; j < width; ++j) from[j] = B + (column + j < columns ? column + j : columns - 1) * ldb;
        real sum[tile_rows][width] = {};
        for (int chunk = slice; chunk < chunks; chunk += slices) {
            Quad b[width];
            for (int j = 0; j < width; ++j) b[j] = quad(from[j] + 4 * chunk);
            for (int i = 0; i < 4; ++i) {
                const Quad a = quad(transposed ? A + tile_row(true, group, tiles.groups, i) * lda + 4 * chunk
                                               : A + (4 * chunk + i) * lda + tile_rows * group);
                for (int e = 0; e < 4; ++e)
                    for (int j = 0; j < width; ++j)
                        if constexpr (transposed)
                            sum[i][j] = fma(a.value[e], b[j].value[e], sum[i][j]);
                        else
                            sum[e][j] = fma(a.value[e], b[j].value[i], sum[e][j]);
            }
        }
        scatter_tile(sum, slice);
        const int row = tile_row(transposed, group, tiles.groups, slice);
        for (int j = 0; j < width; ++j)
            if (mine && row < rows && column + j < columns) take(row, column + j, sum[0][j]);
    }
}

/// C = A B' (rows x columns), summed over `nodes` columns of A and B; C has A's leading dimension.
__device__ inline void multiply_outer(const real* A, int lda, int rows, const real* B, int ldb, int columns, int nodes,
                                      real* C) {
    const OuterTiling tiles = outer_tiling(rows, columns);
    for (int tile = static_cast<int>(threadIdx.x); tile < tiles.count; tile += threads) {
        const int group = tile % tiles.groups, left = tile / tiles.groups;
        const int right =
            left + tiles.half < tiles.quads ? left + tiles.half : left;  // the middle one twice where they are odd
        real sum[2][4][4] = {};
        for (int k = 0; k < nodes; ++k) {
            const Quad a = quad(A + k * lda + 4 * group);
            const Quad b[2] = {quad(B + k * ldb + 4 * left), quad(B + k * ldb + 4 * right)};
            for (int side = 0; side < 2; ++side)
                for (int j = 0; j < 4; ++j)
                    for (int i = 0; i < 4; ++i) sum[side][j][i] = fma(a.value[i], b[side].value[j], sum[side][j][i]);
        }
        for (int side = 0; side < 2; ++side)
            for (int j = 0; j < 4; ++j) {
                const int column = 4 * (side == 0 ? left : right) + j;
                if (column < columns)
                    quad(C + column * lda + 4 * group) =
                        Quad{{sum[side][j][0], sum[side][j][1], sum[side][j][2], sum[side][j][3]}};
            }
    }
}

}  // namespace pdadmm::cuda::small
