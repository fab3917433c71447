// Operands of products rounded to bf16 beforehand (--math bf16, and split products; gemm.cu).
//
// The library's own fast form reads fp32 operands and rounds them within its kernel. The tensor instructions of compute
// capability 9 take bf16 from shared memory as it lies in device memory, so they need operands that are bf16 there.
// Rounding is the same, half to even, and sums stay in fp32: the carried variables never are anything but fp32.
//
// An operand is rounded right before its product, in parts of at most 32 MiB, which the second-level cache of a large
// device still holds when the product reads them: then device memory gives each element once, as to a product of fp32.
#pragma once

#include <cstdint>

#include "cuda/lane.cuh"
#include "pdadmm/types.hpp"

namespace pdadmm::cuda {

/// Distance of columns of `rows` elements in bf16: whole pieces of 16 bytes, which tensor cores want.
inline Index narrow_ld(Index rows) { return (rows + 7) / 8 * 8; }

/// Columns of a part of a matrix with `rows` rows and `cols` columns; by shape alone, so that its products are, too.
Index narrow_columns(Index rows, Index cols);

/// to = one matrix rounded to bf16, columns narrow_ld apart; and where it is given, rest = what rounding left out of
/// it, rounded likewise.
void narrow(Lane& lane, CMat from, std::uint16_t* to, std::uint16_t* rest = nullptr);

}  // namespace pdadmm::cuda
