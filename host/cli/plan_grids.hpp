// pdadmm plan --grid: what an iteration would take on grids of ranks, which of them is best, and how to start it.
#pragma once

#include <string>
#include <vector>

#include "host/cli/plan_options.hpp"
#include "host/cli/train_arguments.hpp"

namespace pdadmm {

/// `words` are the arguments of the command as typed. Throws UsageError on grids that are not possible, DeviceError
/// where none fits --device-memory.
void plan_grids(const TrainArguments& arguments, const PlanOptions& options, const std::vector<std::string>& words);

}  // namespace pdadmm
