// Costs of layers by measured times: the first iterations of a stage on several ranks are timed, after which its layers
// may lie better on other ranks.
#pragma once

#include <cstddef>
#include <span>

#include "host/network/network.hpp"
#include "host/ranks/placement.hpp"
#include "host/ranks/ranks.hpp"
#include "host/trace/recorder.hpp"

namespace pdadmm {

class Calibration {
public:
    /// Whether a stage with `epochs` iterations to come and layers on `active` of the ranks is worth timing.
    static bool worthwhile(const NetworkShape& shape, int active, Index epochs);

    /// Before iterations of growth stage `stage`: begins anew where it is `wanted` and has not been done in this stage.
    void prepare(int stage, bool wanted);
    bool running() const { return running_; }
    /// Enough iterations have been timed.
    bool complete() const;
    /// Some stage's costs were measured.
    bool measured() const { return calibrated_stage_ >= 0; }

    /// Before each iteration while it runs; `recorder` is that of its times.
    void count(const Recorder& recorder);
    /// Ends it: fits `costs` to the times of all ranks. Collective.
    void fit(CostModel& costs, const Recorder& recorder, const Network& net, Ranks& ranks);

private:
    bool running_ = false;
    int stage_ = 0, calibrated_stage_ = -1;
    Index iterations_ = 0;        // since prepare()
    std::size_t timed_from_ = 0;  // of the recorder's spans
};

/// Whether `next` is so much cheaper than `now` that layers should move.
bool worth_moving(const Placement& now, const Placement& next, std::span<const double> costs);

}  // namespace pdadmm
