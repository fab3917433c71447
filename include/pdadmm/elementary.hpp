// exp and log in plain arithmetic, for one number or for a pack of them (host/cpu/pack.hpp). Every backend rounds each
// step alike, so a value does not depend on the lane, the tile or the device that forms it; libm promises none of this.
#pragma once

#include <bit>
#include <cstdint>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// The bits of V as unsigned integers of 64 bits, which may wrap; specialised for packs.
template <typename V>
struct Bits;
template <>
struct Bits<double> {
    PDADMM_HD static std::uint64_t of(double x) { return std::bit_cast<std::uint64_t>(x); }
    PDADMM_HD static double number(std::uint64_t bits) { return std::bit_cast<double>(bits); }
    /// Sign and exponent as a whole number, in two's complement.
    PDADMM_HD static std::uint64_t upper(std::uint64_t bits) {
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(bits) >> 52);
    }
};

/// a where `first`, else b. A choice, not a branch: both are formed.
PDADMM_HD inline double choose(bool first, double a, double b) { return first ? a : b; }
PDADMM_HD inline bool all(bool mask) { return mask; }

/// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
template <typename V>
PDADMM_HD inline V polynomial(V, double c) {
    return c;
}
template <typename V, typename... More>
PDADMM_HD inline V polynomial(V x, double c, More... more) {
    return c + x * polynomial(x, more...);
}

// log 2 in two parts, the first short enough that a multiple of it by an exponent is exact.
inline constexpr double log2_high = 0x1.62e42feep-1, log2_low = 1.9082149292705877e-10, log2_of_e = 1.4426950408889634;
inline constexpr double round_shift = 0x1.8p52;  // x + it - it is x rounded to a whole number, which its low bits hold

/// exp(x) for x below 709, with a relative error of at most 4e-16; 0 below -708. NaN stays NaN.
template <typename V>
PDADMM_HD inline V exp_of(V x) {
    const V shifted = x * log2_of_e + round_shift, n = shifted - round_shift;
    const V r = (x - n * log2_high) - n * log2_low;  // |r| <= log(2) / 2: the next term of the series is below 5e-18
    const V part = polynomial(r, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                              1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800);
    const V scaled = Bits<V>::number(Bits<V>::of(part) + (Bits<V>::of(shifted) << 52));
    return choose(x < -708.0, V(0.0), scaled + (x - x));
}

/// log(x) of a normal x > 0, with an error of at most 4e-16 of it; finite (about -709) for 0. NaN and infinity give
/// NaN.
template <typename V>
PDADMM_HD inline V log_of(V x) {
    const auto bits = Bits<V>::of(x), exponent = Bits<V>::upper(bits - Bits<double>::of(0x1.6a09e667f3bcdp-1));
    const V mantissa = Bits<V>::number(bits - (exponent << 52));  // between the roots of 1/2 and 2
    const V n = Bits<V>::number(exponent + Bits<double>::of(round_shift)) - round_shift;
    const V f = mantissa - 1.0, s = f / (f + 2.0), z = s * s;  // log(m) = 2 atanh(s)
    const V tail =
        polynomial(z, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21);
    return n * log2_high + (s + s + ((s + s) * (z * tail) + n * log2_low)) + (x - x);
}

/// log(1 + x) for x > -1, accurate where x is small (the rounding of 1 + x cancels in the quotient).
template <typename V>
PDADMM_HD inline V log1p_of(V x) {
    const V u = x + 1.0;
    return choose(u == 1.0, x, log_of(u) * (x / choose(u == 1.0, V(1.0), u - 1.0)));
}

}  // namespace pdadmm
