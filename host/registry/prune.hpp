// Which runs may go, and their removal: folders first, then rows.
#pragma once

#include <string>
#include <vector>

#include "host/registry/run_registry.hpp"

namespace pdadmm {

struct PruneCandidate {
    RunEntry run;
    std::string kept;         // why it stays; "": it goes
    std::uint64_t bytes = 0;  // of its files
};

/// The runs that fit, without filters those that failed or were lost. One stays that is running, was evaluated, is the
/// best of its data set by validation accuracy (--model best:DATASET names it), or is one seed of several of which
/// another stays.
std::vector<PruneCandidate> plan_prune(RunRegistry& registry, const std::vector<Filter>& filters);

/// Removes what a run left in the folders of those that go; files that are not a run's stay. A folder that cannot be
/// removed, as that of a run that began in between, is told to `warn` and stays known.
std::size_t prune(RunRegistry& registry, const std::vector<PruneCandidate>& candidates,
                  const std::function<void(const std::string&)>& warn);

}  // namespace pdadmm
