// Streams and events: work waits in its stream until the host synchronises, and then runs in any order that streams and
// events allow. A missing event so gives wrong results, not only now and then.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "emulation/runtime_types.hpp"
#include "tests/emulation/dice.hpp"

namespace emulation {

class GraphRun;
class Capture;

/// That the calling host thread has chosen.
int current_device();

/// One recording of an event.
struct Mark {
    bool done = false;
    std::chrono::steady_clock::time_point time;
};

/// What a stream holds: work, a launched graph, a wait or a recording.
struct Operation {
    std::function<void()> work;
    std::shared_ptr<GraphRun> graph;
    std::shared_ptr<Mark> wait, record;
};

}  // namespace emulation

struct CUstream_st {
    bool blocking = true;                                 // waits for the null stream
    std::thread::id thread = std::this_thread::get_id();  // that made it
    int device = emulation::current_device();
    std::deque<emulation::Operation> waiting;
    std::shared_ptr<emulation::Capture> capture;
    std::vector<cudaGraphNode_t> frontier;  // of the capture: what the next node comes after
};

struct CUevent_st {
    bool timing = true;
    int device = emulation::current_device();
    std::shared_ptr<emulation::Mark> mark;
    std::shared_ptr<emulation::Capture> capture;
    std::vector<cudaGraphNode_t> frontier;
};

namespace emulation {

class Queue {
public:
    cudaStream_t add(bool blocking);
    bool remove(cudaStream_t stream);
    bool knows(cudaStream_t stream) const;
    CUstream_st& null_stream() { return null_stream_; }

    void put(CUstream_st& stream, Operation operation);
    /// Runs waiting work of all streams until done(). `dice` chooses.
    void run_until(const std::function<bool()>& done, Dice& dice);
    bool step(Dice& dice);
    bool empty() const;
    template <typename F>
    void each(F f) {
        for (const auto& stream : streams_) f(*stream);
    }

private:
    void finish(CUstream_st& stream, Dice& dice);
    CUstream_st null_stream_;
    std::vector<std::unique_ptr<CUstream_st>> streams_;
    std::vector<std::uint32_t> priority_;
};

}  // namespace emulation
