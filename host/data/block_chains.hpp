// The formulas of X beside its products: which powers of which operator a block takes, and what is done to a node's
// features before and after.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "host/data/operators.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// The blocks that powers of one operator make.
struct BlockChain {
    bool walk = false;                                          // of D^-1 A, else of Ã
    std::vector<std::pair<Index, std::vector<double>>> blocks;  // place in X, coefficients
    std::size_t powers = 0;

    /// Whether a block takes power k.
    bool takes(std::size_t k) const;
};
/// One or two, without those that no block needs.
std::vector<BlockChain> block_chains(const AugmentOperators& operators, int hops);

/// Whether no power below k has a coefficient.
bool is_first_power(const std::vector<double>& coefficients, std::size_t k);
/// A node's features of a block, `to` += c from; where it is the first power that the block takes, to = c from.
void take_power(double c, bool first, const real* from, real* to, Index width);

/// A node's factor where features are divided by their sum.
real row_scale(double sum);
/// A node's features of one block become of unit length; zeros stay.
void scale_to_unit_length(std::span<real> block);

}  // namespace pdadmm
