// Search by splitting (Liu et al., "An ADMM Based Framework for AutoML Pipeline Configuration", arXiv 1905.00424).
//
//   minimise f(z, theta) subject to g_i(z, theta) <= 1     z: choices, theta: numbers, g_i: cost over limit
//
// becomes subproblems that take turns:
//   theta   numbers with z held, whole ones relaxed: a surrogate's gain less the augmented terms
//             lambda (x - delta) + rho/2 (x - delta)^2 of whole numbers, mu_i c_i + rho/2 c_i^2 of limits,
//             c_i = g_i - 1 + u_i with the slack u_i in [0, 1] in closed form
//   delta   whole numbers: the nearest to x + lambda / rho
//   z       choices with theta held: Thompson sampling of a Beta law a choice, the surrogate ranks the draws
//   duals   lambda += rho (x - delta); after each round of trainings mu_i += rho c_i
// The paper trains in every subproblem. A training is too dear here: the subproblems are solved on the surrogate until
// they agree, and what they agree on is trained. Before, a third of the trainings goes into random points, by one
// successive halving. Coordinates are those of the unit cube, and rho is 1.
#pragma once

#include <memory>

#include "host/tune/search.hpp"

namespace pdadmm {

std::unique_ptr<Search> make_admm_search(SearchSettings settings);

}  // namespace pdadmm
