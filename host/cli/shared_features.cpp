// Features by what made them (host/cli/shared_features.hpp).
#include "host/cli/shared_features.hpp"

#include <algorithm>
#include <iterator>

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
    const auto held = [&](const auto& entry) { return &entry == &kept_.front() || entry.second.use_count() > 1; };
    std::uint64_t bytes = 0;
    for (const auto& entry : kept_) bytes += held(entry) ? bytes_of(*entry.second) : 0;
    for (auto entry = kept_.begin(); entry != kept_.end();) {
        const std::uint64_t more = held(*entry) ? 0 : bytes_of(*entry->second);
        bytes += more;
        entry = more > 0 && bytes > most_bytes_ ? kept_.erase(entry) : std::next(entry);
    }
    return kept_.front().second;
}

}  // namespace pdadmm
