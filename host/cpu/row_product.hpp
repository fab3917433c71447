// The inner loop of every sparse product on the processor.
#pragma once

#include "pdadmm/types.hpp"

namespace pdadmm {

/// y += value x of `count` elements.
inline void add_scaled(real value, const real* __restrict x, real* __restrict y, Index count) {
#pragma omp simd
    for (Index i = 0; i < count; ++i) y[i] += value * x[i];
}

}  // namespace pdadmm
