// Chrome traces (host/run/trace_file.hpp):
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
#include "host/run/trace_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>

#include "host/format/file.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

constexpr double microseconds = 1e6;
constexpr std::array rows{"work", "messages sent", "messages received"};
constexpr std::array kinds{"first", "hidden", "last"};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// What must be added to this rank's steady clock to have rank 0's. No rank leaves a gathering before another one has
/// come to it: so the clock of rank 0 when it came bounds the offset from below, and when it left, from above. Ranks of
/// one machine have one clock, and then 0 lies between. Collective.
double clock_offset(Ranks& ranks) {
    if (!ranks.several()) return 0;
    constexpr std::size_t rounds = 8;
    double low = -std::numeric_limits<double>::infinity(), high = -low;
    std::vector<double> came, left;
    for (std::size_t round = 0; round < rounds; ++round) {
        came.push_back(now());
        const double first_came = ranks.gather({came.back()}).front();
        left.push_back(now());
        low = std::max(low, first_came - left.back());
    }
    const std::vector<double> all_left = ranks.gather(left);
    for (std::size_t round = 0; round < rounds; ++round) high = std::min(high, all_left[round] - came[round]);
    return low <= 0 && 0 <= high ? 0 : (low + high) / 2;
}

Json name_event(const char* what, std::size_t rank, std::size_t row, const std::string& name) {
    return {{"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", row}, {"args", {{"name", name}}}};
}

Json span_event(const Span& s, std::size_t rank, double zero) {
    const bool sent = s.direction == Direction::send;
    Json event{
        {"ph", "X"}, {"pid", rank}, {"ts", microseconds * (s.begin - zero)}, {"dur", microseconds * (s.end - s.begin)}};
    event["args"] = {{"iteration", s.iteration}};
    if (s.peer < 0) {
        event.update({{"tid", 0}, {"cat", "work"}, {"name", name_of(s.activity)}});
        if (s.layers) event["args"]["layers"] = kinds[static_cast<std::size_t>(*s.layers)];
    } else {
        const std::string name = fmt::format("{} {} rank {}", name_of(s.activity), sent ? "to" : "from", s.peer);
        event.update({{"tid", sent ? 1 : 2}, {"cat", "message"}, {"name", name}});
        event["args"].update({{"bytes", s.bytes}, {"peer", s.peer}});
    }
    return event;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    write_file_atomically(path, std::as_bytes(std::span(text)));
}

}  // namespace

std::string format_trace(const std::vector<std::vector<Span>>& ranks) {
    Json events = Json::array();
    double zero = std::numeric_limits<double>::infinity();
    for (const std::vector<Span>& spans : ranks)
        for (const Span& s : spans) zero = std::min(zero, s.begin);
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        events.push_back(name_event("process_name", rank, 0, fmt::format("rank {}", rank)));
        for (std::size_t row = 0; row < (ranks.size() > 1 ? rows.size() : 1); ++row)
            events.push_back(name_event("thread_name", rank, row, rows[row]));
        for (const Span& s : ranks[rank]) events.push_back(span_event(s, rank, zero));
    }
    return Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}.dump() + "\n";
}

void begin_trace(const std::filesystem::path& path) { write_text(path, format_trace({})); }

void write_trace(const std::filesystem::path& path, Trainer& trainer) {
    Ranks& ranks = trainer.ranks();
    trainer.recorder()->settle();
    std::vector<Span> own = trainer.recorder()->spans();
    const double offset = clock_offset(ranks);
    for (Span& s : own) {
        s.begin += offset;
        s.end += offset;
    }
    std::vector<std::vector<Span>> all;
    for (int rank = 0; rank < ranks.size(); ++rank) all.push_back(ranks.share(own, rank));
    if (ranks.rank() == 0) write_text(path, format_trace(all));
}

}  // namespace pdadmm
