// How options quantise p and q (design 4).
#pragma once

#include <cstddef>
#include <vector>

#include "pdadmm/codec.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// `count` evenly spaced levels from lo to hi, the last one exactly hi (numpy's linspace).
std::vector<double> uniform_levels(double lo, double hi, int count);

/// How p and q that cross a border are quantised; `levels` of the codec grid are in backend memory.
struct BorderQuantizers {
    Quantizer p, q;
};
BorderQuantizers border_quantizers(const SolverOptions& options, const real* levels);

/// Bits on the wire of one of `levels` values: 2, 4, 8 or 16. Throws UsageError above 65536.
int wire_bits(std::size_t levels);

}  // namespace pdadmm
