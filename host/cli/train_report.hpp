// What `pdadmm train` says at its end.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/run/training_run.hpp"

namespace pdadmm {

/// Summary over seeds; sd with n - 1.
nlohmann::json summary_of(const std::vector<RunResult>& results);
/// The same as a table.
std::string table_of(const std::vector<RunResult>& results, double ms_per_iteration, double setup_seconds, int ranks);

}  // namespace pdadmm
