// Successive halving: many trainings begin, the best go on (Hyperband, arXiv 1603.06560, algorithm 1).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace pdadmm {

/// `trials` trainings up to `share` of their epochs.
struct Rung {
    int trials = 0;
    double share = 1;
};
/// Rungs from the lowest, whose shares grow by a factor up to 1; each takes the best of the one below.
using Bracket = std::vector<Rung>;

/// In whole trainings; a training that goes on does not begin anew.
double cost_of(const Bracket& bracket);

/// Brackets that together cost at most `trainings`: first those that begin with shares of factor^-halvings, then with
/// ever larger ones, then again. The last ones are smaller where they would cost too much; what is left is less than 1.
std::vector<Bracket> plan_brackets(double trainings, int factor, int halvings);

/// Places of the `count` best in `figures`, ascending; of equal ones the first, NaN last.
std::vector<std::size_t> best_of(std::span<const double> figures, std::size_t count);

}  // namespace pdadmm
