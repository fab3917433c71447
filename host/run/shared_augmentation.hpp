// Augmentation by several ranks: each makes the rows of X that come from its share of the features, and sends them to
// those that want X. A column of a slab never depends on another one, so no hop sends anything, and no bit changes.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "host/data/augmentation.hpp"
#include "host/ranks/ranks.hpp"

namespace pdadmm {

/// How one of several ranks takes part.
struct AugmentingRank {
    RankLinks links;    // with memory on the host; nothing else is under way
    bool wants = true;  // X; else it only helps
    int sharers = 1;    // ranks in the memory of this one, itself among them
};

/// What augment_cached makes, on ranks that want it; counts and labels on the others. Where all that want X find it in
/// their cache folders nobody works. Collective; `dataset.made` is none. Throws DeviceError where memory is short.
AugmentedNodes augment_by_ranks(Backend& backend, const Dataset& dataset, const Split& split,
                                const AugmentOptions& options, const std::filesystem::path& cache,
                                const std::function<void(const std::string&)>& note, const AugmentingRank& rank);

}  // namespace pdadmm
