// Features by what made them (host/cli/shared_features.hpp).
#include "host/cli/shared_features.hpp"

#include <algorithm>

namespace pdadmm {
namespace {

std::uint64_t bytes_of(const AugmentedNodes& nodes) { return nodes.X.size() * sizeof(real); }

}  // namespace

SharedFeatures::Nodes SharedFeatures::get(const std::string& key, const std::function<AugmentedNodes()>& make) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& entry) { return entry.first == key; });
    if (found != kept_.end()) {
        kept_.splice(kept_.begin(), kept_, found);
        return kept_.front().second;
    }
    kept_.emplace_front(key, std::make_shared<const AugmentedNodes>(make()));
    std::uint64_t bytes = 0;
    for (auto entry = kept_.begin(); entry != kept_.end();) {
        bytes += bytes_of(*entry->second);
        const bool idle = entry != kept_.begin() && entry->second.use_count() == 1;
        if (bytes > most_bytes_ && idle) {
            bytes -= bytes_of(*entry->second);
            entry = kept_.erase(entry);
        } else {
            ++entry;
        }
    }
    return kept_.front().second;
}

}  // namespace pdadmm
