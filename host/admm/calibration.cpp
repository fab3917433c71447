// Calibration of placement (host/admm/calibration.hpp).
#include "host/admm/calibration.hpp"

#include <vector>

namespace pdadmm {
namespace {

// A backend's first runs of a phase are slower than those that follow.
constexpr Index untimed_iterations = 2, timed_iterations = 5;
constexpr double worthwhile_gain = 0.05;  // of the costliest rank's time

}  // namespace

bool Calibration::worthwhile(const NetworkShape& shape, int active, Index epochs) {
    return active > 1 && active < shape.layers && epochs > 2 * (untimed_iterations + timed_iterations);
}

void Calibration::prepare(int stage, bool wanted) {
    running_ = wanted && calibrated_stage_ != stage;
    stage_ = stage;
    iterations_ = 0;
}

bool Calibration::complete() const { return running_ && iterations_ >= untimed_iterations + timed_iterations; }

void Calibration::count(const Recorder& recorder) {
    if (iterations_ == untimed_iterations) timed_from_ = recorder.spans().size();
    ++iterations_;
}

void Calibration::fit(CostModel& costs, const Recorder& recorder, const Network& net, Ranks& ranks) {
    const NetworkShape& shape = net.shape();
    ByKind work{}, seconds = least_seconds(std::span(recorder.spans()).subspan(timed_from_));
    for (int layer = net.layers().first; layer <= net.layers().last; ++layer)
        work[static_cast<std::size_t>(kind_of(shape, layer))] += counted_work(shape, layer);
    const std::vector<double> works = ranks.gather({work.begin(), work.end()}),
                              times = ranks.gather({seconds.begin(), seconds.end()});
    work = seconds = {};
    for (std::size_t k = 0; k < works.size(); ++k) {
        work[k % layer_kinds] += works[k];
        seconds[k % layer_kinds] += times[k];
    }
    costs.fit(work, seconds);
    calibrated_stage_ = stage_;
    running_ = false;
}

bool worth_moving(const Placement& now, const Placement& next, std::span<const double> costs) {
    return costliest_block(next, costs) < (1 - worthwhile_gain) * costliest_block(now, costs);
}

}  // namespace pdadmm
