// How an adjacency becomes the propagation operator (design 1): the choices, which libraries make silently and
// differently, and the formulas of every backend.
#pragma once

#include <cmath>

#include "pdadmm/types.hpp"

namespace pdadmm {

enum class Norm { sym, row, none };        // D^-1/2 A D^-1/2, D^-1 A, A
enum class SelfLoops { add, keep, none };  // one of weight 1 at every node, as stored, or removed

struct GraphOptions {
    Norm norm = Norm::sym;
    SelfLoops self_loops = SelfLoops::add;
    bool directed = false;  // keep edges as stored; otherwise a_ij = a_ji = the larger of the two
};

/// Weight of an added self loop.
inline constexpr float loop_weight = 1;

/// Weight of an edge that is stored in both directions, or more than once. Stored weights are finite and not negative.
PDADMM_HD inline float larger_weight(float a, float b) { return a < b ? b : a; }

/// A node's factor, from the sum of its row in order of columns; 0 where it has no neighbours, never a division by
/// zero.
PDADMM_HD inline double degree_scale(Norm norm, double degree) {
    return degree > 0 ? (norm == Norm::sym ? 1 / std::sqrt(degree) : 1 / degree) : 0;
}

/// An entry times the factors of its row and column.
PDADMM_HD inline float scaled_weight(float weight, double row, double column) {
    return static_cast<float>(static_cast<double>(weight) * row * column);
}

}  // namespace pdadmm
