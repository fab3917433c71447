// What pdadmm plan --grid prints.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "host/plan/grid_plan.hpp"

namespace pdadmm {

/// Grids on so many devices, with bytes of memory of the largest rank of each.
struct PlannedGrids {
    GridProblem problem;
    int devices = 1;
    bool measured = false;  // the rates, on this machine
    std::vector<GridPlan> grids;
    std::vector<std::size_t> memory;
    std::size_t choice = 0;
    double one_device = 0;  // seconds
    AdamSeconds adam;
    std::vector<std::string> start;  // command lines of the choice, launcher by launcher
};

std::string text_of(const PlannedGrids& planned);
nlohmann::json json_of(const PlannedGrids& planned);

/// How torchrun, srun and mpirun start `train` on so many devices of machines of `per_machine`. torchrun needs whole
/// machines, and GPUs.
std::vector<std::string> launch_lines(const std::string& train, int devices, int per_machine, bool gpus);

}  // namespace pdadmm
