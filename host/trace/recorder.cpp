// Spans of work and messages (host/trace/recorder.hpp).
#include "host/trace/recorder.hpp"

#include <array>
#include <map>

namespace pdadmm {

const char* name_of(Activity activity) {
    static constexpr std::array names{"refresh",        "before_q", "wait_q",        "decode_q", "update_p",
                                      "before_p",       "wait_p",   "decode_p",      "close",    "iteration",
                                      "update_W_b_zqu", "fused",    "figures",       "gather",   "evaluation",
                                      "checkpoint",     "growth",   "moving_layers", "p",        "q"};
    static_assert(names.size() == static_cast<std::size_t>(Activity::message_q) + 1);
    return names[static_cast<std::size_t>(activity)];
}

ByKind least_seconds(std::span<const Span> spans) {
    std::map<Index, ByKind> iterations;
    for (const Span& span : spans)
        if (span.layers) iterations[span.iteration][static_cast<std::size_t>(*span.layers)] += span.end - span.begin;
    ByKind least{};
    for (const auto& [iteration, seconds] : iterations)
        for (std::size_t k = 0; k < layer_kinds; ++k)
            if (seconds[k] > 0 && (least[k] == 0 || seconds[k] < least[k])) least[k] = seconds[k];
    return least;
}

void Recorder::started(Activity activity, std::span<const Message> messages) {
    under_way_.clear();
    if (!on_) return;
    under_way_since_ = mark();
    for (const Message& m : messages)
        under_way_.push_back({activity, std::nullopt, m.direction, m.peer, iteration_, m.bytes});
}

void Recorder::finished() {
    if (under_way_.empty()) return;
    const std::size_t end = mark();
    for (const Span& message : under_way_) add(message, under_way_since_, end);
    under_way_.clear();
}

void Recorder::settle() {
    const std::vector<double> times = timeline_->times();
    for (std::size_t k = 0; k < ends_.size(); ++k) {
        Span& span = spans_[spans_.size() - ends_.size() + k];
        span.begin = times[ends_[k].begin];
        span.end = times[ends_[k].end];
    }
    ends_.clear();
    marks_ = 0;
}

}  // namespace pdadmm
