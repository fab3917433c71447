// The best of several runs (host/registry/best.hpp).
#include "host/registry/best.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

constexpr std::array costs{"objective", "seconds", "bytes", "iterations"};

bool has_model(const RunEntry& run) {
    std::error_code ignored;
    return fs::is_regular_file(fs::path(run.folder) / "model-best.safetensors", ignored) ||
           fs::is_regular_file(fs::path(run.folder) / "model-final.safetensors", ignored);
}

}  // namespace

std::vector<RunEntry> ranked(std::vector<RunEntry> runs, const std::string& metric) {
    std::erase_if(runs, [&](const RunEntry& run) { return !std::isfinite(run.figure(metric)) || !has_model(run); });
    const bool least = std::find(costs.begin(), costs.end(), metric) != costs.end();
    std::stable_sort(runs.begin(), runs.end(), [&](const RunEntry& a, const RunEntry& b) {
        return least ? a.figure(metric) < b.figure(metric) : a.figure(metric) > b.figure(metric);
    });
    return runs;
}

RunEntry best_run(RunRegistry& registry, const std::string& dataset, std::vector<Filter> filters,
                  const std::string& metric) {
    if (!is_figure(metric))
        throw UsageError(
            fmt::format("--metric: {}, expected a figure like val, test, val_macro_f1 or seconds; see pdadmm runs show",
                        printable(metric)));
    if (!dataset.empty()) filters.push_back({"dataset", "=", dataset});
    std::vector<RunEntry> runs = ranked(registry.runs(filters), metric);
    if (runs.empty())
        throw UsageError(fmt::format("{}: no run{} with a model and {}, expected one; see pdadmm runs list",
                                     printable_path(registry.file()),
                                     dataset.empty() ? "" : " of " + printable(dataset, 200), metric));
    return std::move(runs.front());
}

RunRegistry open_fresh(const fs::path& file) {
    try {
        RunRegistry registry(file, RunRegistry::Access::write);
        registry.refresh();
        return registry;
    } catch (const OutputError&) {  // of somebody else, or on a disk that cannot be written: read as it is
        return {file, RunRegistry::Access::read};
    }
}

}  // namespace pdadmm
