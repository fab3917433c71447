// The inner loops of sparse products on the processor.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "pdadmm/types.hpp"

namespace pdadmm {

constexpr Index fetched_ahead = 16;  // entries whose columns of X are on their way

/// y += value x of `count` elements.
inline void add_scaled(real value, const real* __restrict x, real* __restrict y, Index count) {
#pragma omp simd
    for (Index i = 0; i < count; ++i) y[i] += value * x[i];
}

/// y = the sum of values[e] X(:, columns[e]) over begin <= e < end, in their order. Entries of other rows that come
/// next end at `last`.
template <std::size_t Features>
void narrow_sparse_row(const std::int32_t* columns, const real* values, Index begin, Index end, Index last, CMat X,
                       real* __restrict y) {
    std::array<real, Features> sum{};  // stays in registers
    for (Index e = begin; e < end; ++e) {
        if (e + fetched_ahead < last) {
            const real* next = X.data + columns[e + fetched_ahead] * X.ld;
            for (std::size_t i = 0; i < Features; i += 64 / sizeof(real)) __builtin_prefetch(next + i);
        }
        const real* __restrict x = X.data + columns[e] * X.ld;
        const real value = values[e];
#pragma omp simd
        for (std::size_t i = 0; i < Features; ++i) sum[i] += value * x[i];
    }
    std::copy(sum.begin(), sum.end(), y);
}

inline void sparse_row(const std::int32_t* columns, const real* values, Index begin, Index end, Index last, CMat X,
                       real* __restrict y) {
    const auto take = [&](auto features) {  // as many, and what is left
        narrow_sparse_row<features>(columns, values, begin, end, last, X, y);
        X.data += features;
        X.rows -= features;
        y += features;
    };
    while (X.rows >= 64) take(std::integral_constant<std::size_t, 64>());
    if (X.rows >= 32) take(std::integral_constant<std::size_t, 32>());
    if (X.rows >= 16) take(std::integral_constant<std::size_t, 16>());
    std::fill_n(y, X.rows, real(0));
    for (Index e = begin; X.rows > 0 && e < end; ++e) add_scaled(values[e], X.data + columns[e] * X.ld, y, X.rows);
}

}  // namespace pdadmm
