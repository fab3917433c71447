// Order of a backend's work: recorded phases, groups side by side, loops that the device ends, and times.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// A piece of work that a backend may keep in a form which costs less to repeat (CUDA: a graph).
class Phase {
public:
    virtual ~Phase() = default;
    virtual void run() = 0;
};

/// Marks in the order of a backend's work, and when they were reached.
class Timeline {
public:
    virtual ~Timeline() = default;
    /// A mark behind the work that was given so far; nothing waits for it. Not within a recorded phase.
    virtual void mark() = 0;
    /// When each mark since the last call was reached, in seconds of std::chrono::steady_clock; waits for them.
    virtual std::vector<double> times() = 0;
};

class Order {
public:
    virtual ~Order() = default;

    /// The work that `body` does, to be repeated by run(): always on the same memory, with no decision of the host in
    /// it. `body` must stay callable as long as the phase lives.
    virtual std::unique_ptr<Phase> record(std::function<void()> body);
    /// body(0) .. body(count - 1), which depend on nothing of each other and share no memory that is written, as at the
    /// same time as the device allows; what follows waits for all of them.
    virtual void concurrently(Index count, const std::function<void(Index)>& body);
    /// Returns when all work so far is done, so that others than this backend may use its memory.
    virtual void wait() {}
    /// How many iterations are worth queueing before the host reads a figure: 1 where work is done when a call returns.
    virtual Index run_ahead() const { return 1; }
    /// Marks in the work of this backend.
    virtual std::unique_ptr<Timeline> timeline();
    /// Runs body up to `most` times, until no pending[l] is positive.
    virtual void repeat_while(const std::int32_t* pending, Index layers, int most,
                              const std::function<void()>& body) = 0;
};

namespace detail {
struct EagerPhase final : Phase {
    explicit EagerPhase(std::function<void()> work) : body(std::move(work)) {}
    void run() override { body(); }
    std::function<void()> body;
};
/// Marks in work that is done when a call returns.
struct HostTimeline final : Timeline {
    static double now() {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    void mark() override { marks.push_back(now()); }
    std::vector<double> times() override { return std::exchange(marks, {}); }
    std::vector<double> marks;
};
}  // namespace detail
inline std::unique_ptr<Timeline> Order::timeline() { return std::make_unique<detail::HostTimeline>(); }
inline std::unique_ptr<Phase> Order::record(std::function<void()> body) {
    return std::make_unique<detail::EagerPhase>(std::move(body));
}
inline void Order::concurrently(Index count, const std::function<void(Index)>& body) {
    for (Index i = 0; i < count; ++i) body(i);
}

}  // namespace pdadmm
