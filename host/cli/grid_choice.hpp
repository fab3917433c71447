// Which grid of ranks is likely the fastest (RANKS.md, "Plans of grids"), for plans and for --grid auto.
#pragma once

#include <string>

#include "host/plan/grid_plan.hpp"
#include "pdadmm/dataset.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// The last stage of a run on nodes of these counts, without rates and machines; on processors, or where `gpus` there.
GridProblem grid_problem(const SolverOptions& options, const AugmentedNodes& nodes, bool gpus);

struct GridChoice {
    Grid grid;
    std::string text;  // one line for people
};
/// Of the grids that are possible on so many ranks, that of the shortest iteration by count on processors, or where
/// `gpus` on those, of one machine; the same wherever it is asked for: rates and links are fixed. Throws UsageError
/// where no grid is possible.
GridChoice choose_grid(const SolverOptions& options, const AugmentedNodes& nodes, int ranks, bool gpus);

}  // namespace pdadmm
