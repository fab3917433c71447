// Which run is best, and where its model is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/registry/run_registry.hpp"

namespace pdadmm {

/// Runs that have `metric` and a model, the best first: the largest, of objective, seconds, bytes and iterations the
/// smallest; of equal ones the newest.
std::vector<RunEntry> ranked(std::vector<RunEntry> runs, const std::string& metric);

/// The best run by validation accuracy of those that were trained on `dataset`, as --dataset named it. Throws
/// UsageError where there is none.
RunEntry best_run(RunRegistry& registry, const std::string& dataset, std::vector<Filter> filters = {},
                  const std::string& metric = "val");

/// The registry in `file` with its running runs read again, as far as it can be written.
RunRegistry open_fresh(const std::filesystem::path& file);

}  // namespace pdadmm
