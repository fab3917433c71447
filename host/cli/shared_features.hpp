// Augmented features that several trainings of one process share.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// Augmented features by what made them, computed once. Those that no trial holds are let go where they take more than
/// `most_bytes` together, the longest unused first. Safe from several threads.
class SharedFeatures {
public:
    using Nodes = std::shared_ptr<const AugmentedNodes>;
    explicit SharedFeatures(std::uint64_t most_bytes) : most_bytes_(most_bytes) {}

    Nodes get(const std::string& key, const std::function<AugmentedNodes()>& make);

private:
    std::mutex mutex_;
    std::list<std::pair<std::string, Nodes>> kept_;  // newest use first
    std::uint64_t most_bytes_;
};

}  // namespace pdadmm
