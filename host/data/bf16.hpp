// bfloat16: the upper half of an fp32 number.
#pragma once

#include <bit>
#include <cstdint>

namespace pdadmm {

/// The nearest one, ties to even, of a finite value.
inline std::uint16_t to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

}  // namespace pdadmm
