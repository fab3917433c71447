// The progress line (host/run/progress.hpp).
#include "host/run/progress.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "host/console/console.hpp"
#include "host/train/metric.hpp"

namespace pdadmm {
namespace {

using Clock = std::chrono::steady_clock;

/// "train 98.12%  val 80.00%  test 81.20%", of the sets that were evaluated; of another metric with its name before.
std::string figures(const Evaluation& e, Metric metric) {
    std::vector<std::string> parts;
    if (metric != Metric::accuracy) parts.emplace_back(name_of(metric));
    for (std::size_t set = 0; set < 3; ++set)
        if (!std::isnan(e.accuracy[set]))
            parts.push_back(fmt::format("{} {:5.2f}%", std::array{"train", "val", "test"}[set], 100 * e.metric[set]));
    return fmt::format("{}", fmt::join(parts, "  "));
}

/// As many of `parts` as fit before column `width`; the first is cut where even that does not.
std::string fitting(const std::vector<std::string>& parts, std::size_t width) {
    std::string line = parts.front().substr(0, width - 1);
    for (std::size_t i = 1; i < parts.size() && line.size() + 2 + parts[i].size() < width; ++i) line += "  " + parts[i];
    return line;
}

/// Whether stderr is a terminal on which lines may be redrawn, and whether it may be coloured.
bool stderr_is_live() {
    const char* term = std::getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && term && std::string_view(term) != "dumb";
}

bool stderr_has_colour() {
    const char* no_colour = std::getenv("NO_COLOR");
    return stderr_is_live() && !(no_colour && *no_colour);
}

}  // namespace

std::string duration_text(double seconds) {
    if (seconds < 60) return fmt::format("{:.0f}s", seconds);
    if (seconds < 3600) return fmt::format("{:.0f}m{:02.0f}s", std::floor(seconds / 60), std::fmod(seconds, 60));
    return fmt::format("{:.0f}h{:02.0f}m", std::floor(seconds / 3600), std::floor(std::fmod(seconds, 3600) / 60));
}

LiveLine::LiveLine(bool quiet) : quiet_(quiet), live_(!quiet && stderr_is_live()), colour_(stderr_has_colour()) {}

LiveLine::~LiveLine() { clear(); }

void LiveLine::clear() {
    const std::lock_guard lock(order_);
    erase();
}

void LiveLine::erase() {
    if (drawn_) draw_note("\r\x1b[K");
    drawn_ = false;
}

void LiveLine::note(const std::string& text) {
    if (quiet_) return;
    const std::lock_guard lock(order_);
    erase();
    put_note(text);
}

void LiveLine::draw(const std::vector<std::string>& parts) {
    if (!live_) return;
    const std::lock_guard lock(order_);
    draw_note(fmt::format("\r{}{}{}\x1b[K", colour_ ? "\x1b[36m" : "",
                          fitting(parts, terminal_width(STDERR_FILENO, 120)), colour_ ? "\x1b[0m" : ""));
    drawn_ = true;
}

ProgressLine::ProgressLine(int run, int runs, Index total, bool quiet, Metric metric)
    : run_(run), runs_(runs), total_(total), quiet_(quiet), metric_(metric), line_(quiet), began_(Clock::now()) {}

void ProgressLine::show(const EpochRecord& r) {
    if (quiet_) return;
    ++shown_epochs_;
    if (r.evaluated) {
        last_ = r.evaluation;
        has_last_ = true;
    }
    const auto now = Clock::now();
    const bool done = r.epoch == total_;
    if (line_.live() ? !done && now - drawn_at_ < std::chrono::milliseconds(100) : !r.evaluated) return;
    const double seconds = std::chrono::duration<double>(now - began_).count(),
                 each = seconds / static_cast<double>(shown_epochs_);
    std::vector<std::string> parts;  // most wanted first: a narrow terminal drops the last
    parts.push_back((runs_ > 1 ? fmt::format("run {}/{}  ", run_, runs_) : "") +
                    fmt::format("epoch {:>4}/{}", r.epoch, total_));
    parts.push_back(fmt::format("objective {:.4e}", r.objective));
    if (has_last_) parts.push_back(figures(last_, metric_));
    if (line_.live())
        parts.push_back(fmt::format("{} left", duration_text(each * static_cast<double>(total_ - r.epoch))));
    const std::string residual =
        r.rho > 0 ? fmt::format("residual {:.2e}  ", std::sqrt(r.primal_sq)) : "";  // backpropagation has none
    parts.push_back(residual + fmt::format("layers {:>2}  {:.1f} it/s", r.layers, 1 / each));
    if (!line_.live()) {
        put_note(fmt::format("{}", fmt::join(parts, "  ")));
        return;
    }
    line_.draw(parts);
    drawn_at_ = now;
}

}  // namespace pdadmm
