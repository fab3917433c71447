#include "cuda/narrow_operands.cuh"

#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/pass.cuh"

namespace pdadmm::cuda {
namespace {

constexpr Index part_elements = Index{16} << 20;
constexpr Index tile_columns = 256;  // of the library's products: a part is whole tiles
constexpr Index most_columns_at_once = 4096;

template <int width>
struct alignas(2 * width) Narrow {
    __nv_bfloat16 value[width];
};

/// Columns of `rows` elements, `ld` and `ld_to` apart; `width` elements a thread and access.
template <int width>
__global__ void __launch_bounds__(pass_threads)
    narrow_kernel(const real* from, Index ld, std::uint16_t* to, std::uint16_t* rest, Index ld_to, Index rows,
                  Index cols) {
    for (Index column = blockIdx.y; column < cols; column += gridDim.y)
        for (Index row = (static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x) * width; row < rows;
             row += static_cast<Index>(gridDim.x) * pass_threads * width) {
            const real* const at = from + column * ld + row;
            Vector x;
            if constexpr (width == lane_width)
                x = *reinterpret_cast<const Vector*>(at);
            else
                x.value[0] = *at;
            Narrow<width> y;
            for (int e = 0; e < width; ++e) y.value[e] = __float2bfloat16_rn(static_cast<float>(x.value[e]));
            *reinterpret_cast<Narrow<width>*>(to + column * ld_to + row) = y;
            if (!rest) continue;
            for (int e = 0; e < width; ++e)
                y.value[e] = __float2bfloat16_rn(static_cast<float>(x.value[e]) - static_cast<float>(y.value[e]));
            *reinterpret_cast<Narrow<width>*>(rest + column * ld_to + row) = y;
        }
}

}  // namespace

Index narrow_columns(Index rows, Index cols) {
    const Index tiles = std::max<Index>(1, part_elements / narrow_ld(rows) / tile_columns);
    return std::min(cols, tiles * tile_columns);
}

void narrow(Lane& lane, CMat from, std::uint16_t* to, std::uint16_t* rest) {
    Index rows = from.rows, cols = from.cols;
    if (from.contiguous() && narrow_ld(rows) == rows) rows *= std::exchange(cols, 1);
    const bool aligned =
        rows % lane_width == 0 && from.ld % lane_width == 0 && reinterpret_cast<std::uintptr_t>(from.data) % 16 == 0;
    const Index each = pass_threads * (aligned ? lane_width : 1);
    const dim3 grid(static_cast<unsigned>(std::min<Index>(pass_blocks, (rows + each - 1) / each)),
                    static_cast<unsigned>(std::min(cols, most_columns_at_once)));
    launch("narrow", aligned ? narrow_kernel<lane_width> : narrow_kernel<1>, grid, pass_threads, lane.stream, from.data,
           from.ld, to, rest, narrow_ld(from.rows), rows, cols);
}

}  // namespace pdadmm::cuda
