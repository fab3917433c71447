// What travels between ranks: tensors as packed codes (design 4). Host and device inline functions, so that both ends of a
// border and every backend hold the same bits.
//
// A message is MessageHeader (codec difference only), then the codes of all elements in order, `bits` each, the first in the
// lowest bits of a 32-bit word; codec none sends the elements themselves.
#pragma once

#include <cstdint>

#include "pdadmm/math.hpp"

namespace pdadmm {

enum class Codec : std::int32_t { none, grid, difference };

/// How a tensor that crosses a layer border is quantised (design 4).
struct Quantizer {
    Codec codec = Codec::none;
    int bits = 32;                   // of one element on the wire
    const real* levels = nullptr;    // grid: ascending, in backend memory
    std::int32_t level_count = 0;
};

/// Codec difference: every element changes by factor * (code * width).
struct MessageHeader {
    real width = 0, factor = 1;
};

/// Bytes of a message of `elements` values.
inline std::uint64_t message_bytes(Index elements, const Quantizer& q) {
    const auto count = static_cast<std::uint64_t>(elements);
    if (q.codec == Codec::none) return count * sizeof(real);
    return (count * static_cast<std::uint64_t>(q.bits) + 7) / 8 + (q.codec == Codec::difference ? sizeof(MessageHeader) : 0);
}
/// Bytes of memory for it: whole words.
inline std::uint64_t message_capacity(Index elements, const Quantizer& q) { return (message_bytes(elements, q) + 3) / 4 * 4; }

/// Code of a value on the wire: the level's index, or the change in widths, shifted to begin at 0. `x` must be a level or a
/// decoded change already, so nothing is lost here.
PDADMM_HD inline std::uint32_t wire_code(const Quantizer& q, real x, real width) {
    if (q.codec == Codec::grid) return static_cast<std::uint32_t>(nearest_level(q.levels, q.level_count, x));
    const std::int32_t largest = largest_code(q.bits);
    const real code = difference_code(x, width, largest);
    return static_cast<std::uint32_t>((code == code ? static_cast<std::int32_t>(code) : 0) + largest);  // NaN travels in the width
}

/// The element after a message, from its code and what it was before.
PDADMM_HD inline real decoded(const Quantizer& q, std::uint32_t code, MessageHeader h, real before) {
    if (q.codec == Codec::grid) return q.levels[code < static_cast<std::uint32_t>(q.level_count) ? code : 0];
    const real change = static_cast<real>(static_cast<std::int32_t>(code) - largest_code(q.bits)) * h.width;
    return before + h.factor * change;
}

/// Word `word` of a message's codes; x(i) is element i of `count`.
template <typename Element>
PDADMM_HD std::uint32_t pack_word(const Quantizer& q, Index word, Index count, real width, Element&& x) {
    const Index each = 32 / q.bits, first = word * each;
    std::uint32_t packed = 0;
    for (Index k = 0; k < each && first + k < count; ++k) packed |= wire_code(q, x(first + k), width) << (k * q.bits);
    return packed;
}

/// Calls put(i, code) for the elements of a word.
template <typename Put>
PDADMM_HD void unpack_word(const Quantizer& q, std::uint32_t packed, Index word, Index count, Put&& put) {
    const Index each = 32 / q.bits, first = word * each;
    const std::uint32_t mask = (std::uint32_t(1) << q.bits) - 1;
    for (Index k = 0; k < each && first + k < count; ++k) put(first + k, packed >> (k * q.bits) & mask);
}

}  // namespace pdadmm
