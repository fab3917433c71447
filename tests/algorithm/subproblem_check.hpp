// First-order optimality of every subproblem (design 2) between two states, in float64: what was found wrong, as data,
// so that the same checks prove the program right and find planted bugs.
#pragma once

#include <string>
#include <vector>

#include "tests/support/random_problem.hpp"

namespace pdadmm {

struct Finding {
    std::string what;  // "W: gradient at the new point ... "
    int layer = 0;
    double size = 0, bound = 0;
};

/// Checks of one iteration from `before` to `after`: p, W, b, z, z_L, r, q, u, figures, and the node-space quantities.
/// Bounds are multiples of the rounding unit times the magnitudes of the terms.
std::vector<Finding> check_iteration(const State& before, const State& after, const RandomProblem& problem);

/// Raises after.carried to what r has seen in both states, since it was last formed from scratch.
void note_carried(const State& before, State& after);

/// Iterates a random problem and checks every iteration.
std::vector<Finding> check_problem(Backend& backend, const ProblemSpec& spec, std::uint64_t seed, int iterations);

/// When rho and nu grow by `schedule`, against a plain count over a made-up history.
std::vector<Finding> check_schedule(Backend& backend, std::uint64_t seed);

/// A line a finding.
std::string report(const std::vector<Finding>& findings);

/// The cases that every correct backend passes: steps, codecs, first layers, shapes.
std::vector<ProblemSpec> subproblem_specs();

}  // namespace pdadmm
