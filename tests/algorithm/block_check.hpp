// First-order optimality of p, and of W and b together, where they go to their minimisers (design 2, `block`).
#pragma once

#include "tests/algorithm/subproblem_terms.hpp"

namespace pdadmm::subproblem {

/// The gradient of phi at the new p is zero; a quantised p is the first trial towards the minimiser that does not raise
/// phi.
void check_block_p(Checker& c, int layer);
/// The gradients by W at the new W and b is zero (mu = 0: with the proximal term around the old W); V = W1 X and |W1|^2
/// in node space.
void check_block_W(Checker& c, int layer);

}  // namespace pdadmm::subproblem
