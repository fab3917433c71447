// How often a growth stage is evaluated, and when it ends before its last iteration. Everything goes by counted work
// and by counts of nodes, never by a clock, so that any number of ranks and a resumed run do the same.
#pragma once

#include <array>
#include <optional>

#include "host/train/evaluation.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// The sets that decide about a stage: validation nodes, or training nodes where there are none of those.
NodeSets deciding_sets(const std::array<Index, 3>& counts);

/// Iterations between evaluations: the fewest, at least 1, of whose counted work the forward pass over the deciding
/// nodes is a tenth at most. From shapes alone; `counts` are those of train, val and test nodes.
Index evaluation_period(Optimizer optimizer, const NetworkShape& shape, const std::array<Index, 3>& counts);

/// What a stage has shown of itself.
struct StageWatch {
    std::optional<double> best;  // validation figure (SolverOptions::metric), or minus the training risk, of its best
                                 // evaluation, the earliest of equal ones
    int since_best = 0;          // evaluations after that one

    /// Takes the next evaluation in; whether it is the best one so far.
    bool see(double figure);
    /// No evaluation was better for `patience` ones; 0: never.
    bool ended(int patience) const { return patience > 0 && since_best >= patience; }
};

}  // namespace pdadmm
