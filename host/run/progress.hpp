// What a person sees of a run: one live line on a terminal, plain lines in a pipe, on stderr.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "pdadmm/training.hpp"

namespace pdadmm {

/// The last line of a terminal, drawn again and again; without a terminal nothing is drawn. Threads may share one.
class LiveLine {
public:
    explicit LiveLine(bool quiet);
    ~LiveLine();
    LiveLine(const LiveLine&) = delete;
    LiveLine& operator=(const LiveLine&) = delete;

    bool live() const { return live_; }
    /// As many of `parts`, the most wanted first, as the terminal is wide enough for.
    void draw(const std::vector<std::string>& parts);
    /// Prints a line above the live one.
    void note(const std::string& text);
    /// Takes the live line away.
    void clear();

private:
    void erase();

    const bool quiet_, live_, colour_;
    std::mutex order_;
    bool drawn_ = false;
};

/// "45s", "2m05s", "1h02m".
std::string duration_text(double seconds);

class ProgressLine {
public:
    /// `runs` and `run` (from 1) number the seeds; `total` is the run's epochs at most; `metric` is shown. Colour and
    /// redrawing need a terminal that is not TERM=dumb; NO_COLOR turns colour off.
    ProgressLine(int run, int runs, Index total, bool quiet, Metric metric);

    /// Shows a finished iteration: at most ten redraws a second on a terminal; evaluated epochs in a pipe.
    void show(const EpochRecord& record);
    /// The run's epochs at most, now that some are known not to come.
    void expect(Index total) { total_ = total; }
    /// Prints a line above the live one.
    void note(const std::string& text) { line_.note(text); }

private:
    int run_, runs_;
    Index total_;
    bool quiet_;
    Metric metric_;
    LiveLine line_;
    Index shown_epochs_ = 0;
    Evaluation last_;
    bool has_last_ = false;
    std::chrono::steady_clock::time_point began_, drawn_at_;
};

}  // namespace pdadmm
