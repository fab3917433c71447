// What travels between ranks: tensors as packed codes (design 4). Host and device inline functions, so that both ends
// of a border and every backend hold the same bits.
//
// A message is, for one range of nodes after the other (node_ranges.hpp), MessageHeader (codec difference only), then
// the codes of all elements in order, `bits` each, the first in the lowest bits of a 32-bit word; codec none sends the
// elements themselves.
//
// Codec difference: both ends add the same decoded change to what both hold, so what rounding or clipping leaves out is
// part of the next change and nothing is lost for good. (Quantised differences in ADMM: Q-GADMM, arXiv 1910.10453;
// between stages of a pipeline: AC-SGD, arXiv 2206.01299; error feedback by the replica: EF21, arXiv 2106.05203.)
#pragma once

#include <cmath>
#include <cstdint>

#include "pdadmm/node_ranges.hpp"

namespace pdadmm {

enum class Codec : std::int32_t { none, grid, difference };

/// What the largest code of codec difference stands for: the largest |change| of a layer, or `rms_reach` times the root
/// mean square of its changes, where larger ones are clipped. One bit has a scale of its own, the mean |change|.
enum class ChangeScale : std::int32_t { max, rms };

/// How a tensor that crosses a layer border is quantised (design 4).
struct Quantizer {
    Codec codec = Codec::none;
    int bits = 32;                 // of one element on the wire
    const real* levels = nullptr;  // grid: ascending, in backend memory
    std::int32_t level_count = 0;
    ChangeScale scale = ChangeScale::max;  // difference
};

/// Index of the level nearest to x in an ascending list; the lower one on a tie (design 4, codec `grid`).
PDADMM_HD inline std::int32_t nearest_level(const real* levels, std::int32_t count, real x) {
    std::int32_t low = 0, high = count - 1;
    while (high - low > 1) {
        const std::int32_t middle = (low + high) / 2;
        if (levels[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    const real below = std::fabs(x - levels[low]), above = std::fabs(levels[high] - x);
    return above < below ? high : low;
}

/// The level nearest to x. NaN stays NaN, so that the figures report it.
PDADMM_HD inline real snapped(const real* levels, std::int32_t count, real x) {
    return x == x ? levels[nearest_level(levels, count, x)] : x;
}

/// Largest code of the symmetric uniform grid of `bits` bits: 2^(bits-1) - 1. One bit has 0 here: its codes are the
/// signs -1 and 1.
PDADMM_HD inline std::int32_t largest_code(int bits) { return (std::int32_t(1) << (bits - 1)) - 1; }

/// Code of a change under codec `difference`: x / width, half to even, clamped, or with one bit the sign (1 for a zero
/// among changes that are not); 0 where width is 0.
PDADMM_HD inline real difference_code(real x, real width, std::int32_t largest) {
    if (!(width > 0)) return width == 0 ? real(0) : width;
    if (largest == 0) return x < 0 ? real(-1) : real(1);
    const real code = std::rint(x / width), bound = real(largest);
    return code > bound ? bound : code < -bound ? -bound : code;
}

/// The change that a receiver decodes; never -0, which an integer code could not tell from 0.
PDADMM_HD inline real difference_round(real x, real width, std::int32_t largest) {
    return difference_code(x, width, largest) * width + real(0);
}

/// Codec difference: every element changes by factor * (code * width).
struct MessageHeader {
    real width = 0, factor = 1;
};

/// What the width of a layer's codes follows from, in double: the largest |change|, or the sum of squares or of
/// magnitudes.
enum class ChangeMeasure : std::int32_t { largest, squares, magnitudes };

PDADMM_HD inline ChangeMeasure change_measure(const Quantizer& q) {
    if (q.bits == 1) return ChangeMeasure::magnitudes;
    // 16 bits resolve the largest change well enough: nothing is clipped.
    return q.scale == ChangeScale::rms && q.bits < 16 ? ChangeMeasure::squares : ChangeMeasure::largest;
}

/// How many root mean squares the largest code stands for: what rounds best at so few codes (design 4).
PDADMM_HD inline double rms_reach(int bits) { return bits <= 2 ? 1 : bits <= 4 ? 3 : 6; }

/// What one change adds to a sum of squares or magnitudes.
PDADMM_HD inline double summand(ChangeMeasure measure, real change) {
    const double x = static_cast<double>(change);
    return measure == ChangeMeasure::squares ? x * x : std::fabs(x);
}

/// Width of one code, from the measure of a layer's `count` changes. NaN of any change shows in a sum, and so in the
/// width.
PDADMM_HD inline real difference_width(const Quantizer& q, double measured, Index count) {
    const std::int32_t largest = largest_code(q.bits);
    switch (change_measure(q)) {
        case ChangeMeasure::largest:
            break;
        case ChangeMeasure::squares:
            return static_cast<real>(rms_reach(q.bits) * std::sqrt(measured / static_cast<double>(count)) / largest);
        case ChangeMeasure::magnitudes:
            return static_cast<real>(measured / static_cast<double>(count));
    }
    return static_cast<real>(measured) / real(largest);
}

/// Bytes of a message of `elements` values.
inline std::uint64_t message_bytes(Index elements, const Quantizer& q) {
    const auto count = static_cast<std::uint64_t>(elements);
    if (q.codec == Codec::none) return count * sizeof(real);
    return (count * static_cast<std::uint64_t>(q.bits) + 7) / 8 +
           (q.codec == Codec::difference ? sizeof(MessageHeader) : 0);
}
/// Bytes of memory for it: whole words.
inline std::uint64_t message_capacity(Index elements, const Quantizer& q) {
    return (message_bytes(elements, q) + 3) / 4 * 4;
}

/// Bytes of the nodes of one range, `rows` values each, within a message: every range has a header of its own, and
/// whole words where there are several.
inline std::uint64_t range_message_bytes(Index rows, const NodeRanges& all, Index range, const Quantizer& q) {
    const Index elements = rows * all.size(range);
    return all.count == 1 ? message_bytes(elements, q) : message_capacity(elements, q);
}
/// Of ranges first .. first + count.
inline std::uint64_t ranges_message_bytes(Index rows, const NodeRanges& all, Index first, Index count,
                                          const Quantizer& q) {
    std::uint64_t bytes = 0;
    for (Index range = first; range < first + count; ++range) bytes += range_message_bytes(rows, all, range, q);
    return bytes;
}

/// Code of a value on the wire: the level's index, or the change in widths, shifted to begin at 0 (one bit: 1 unless
/// negative). `x` must be a level or a decoded change already, so nothing is lost here.
PDADMM_HD inline std::uint32_t wire_code(const Quantizer& q, real x, real width) {
    if (q.codec == Codec::grid) return static_cast<std::uint32_t>(nearest_level(q.levels, q.level_count, x));
    const std::int32_t largest = largest_code(q.bits);
    const real exact = difference_code(x, width, largest);
    const std::int32_t code = exact == exact ? static_cast<std::int32_t>(exact) : 0;  // NaN travels in the width
    return static_cast<std::uint32_t>(q.bits == 1 ? code >= 0 : code + largest);
}

/// The element after a message, from its code and what it was before.
PDADMM_HD inline real decoded(const Quantizer& q, std::uint32_t code, MessageHeader h, real before) {
    if (q.codec == Codec::grid) return q.levels[code < static_cast<std::uint32_t>(q.level_count) ? code : 0];
    const auto sent = static_cast<std::int32_t>(code),
               shifted = q.bits == 1 ? 2 * sent - 1 : sent - largest_code(q.bits);
    return before + h.factor * (static_cast<real>(shifted) * h.width);
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
