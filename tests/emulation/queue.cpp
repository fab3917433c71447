#include "tests/emulation/queue.hpp"

#include <algorithm>

#include "tests/emulation/graph.hpp"

namespace emulation {

cudaStream_t Queue::add(bool blocking) {
    streams_.push_back(std::make_unique<CUstream_st>());
    streams_.back()->blocking = blocking;
    return streams_.back().get();
}

bool Queue::remove(cudaStream_t stream) {
    return std::erase_if(streams_, [stream](const auto& s) { return s.get() == stream; }) > 0;
}

bool Queue::knows(cudaStream_t stream) const {
    return stream == nullptr ||
           std::any_of(streams_.begin(), streams_.end(), [stream](const auto& s) { return s.get() == stream; });
}

void Queue::put(CUstream_st& stream, Operation operation) { stream.waiting.push_back(std::move(operation)); }

bool Queue::empty() const {
    return null_stream_.waiting.empty() &&
           std::all_of(streams_.begin(), streams_.end(), [](const auto& s) { return s->waiting.empty(); });
}

// Half of the times streams have an order of preference, so that one gets far ahead of another; else each step is
// drawn.
void Queue::run_until(const std::function<bool()>& done, Dice& dice) {
    priority_ = dice.order(streams_.size() + 1);
    const bool drawn = dice.below(2) == 0;
    while (!done()) {
        if (drawn) priority_ = dice.order(streams_.size() + 1);
        if (!step(dice)) return;
    }
}

bool Queue::step(Dice& dice) {
    if (priority_.size() != streams_.size() + 1) priority_ = dice.order(streams_.size() + 1);
    for (const std::uint32_t number : priority_) {
        CUstream_st& stream = number == streams_.size() ? null_stream_ : *streams_[number];
        if (stream.waiting.empty()) continue;
        const Operation& head = stream.waiting.front();
        if (head.wait && !head.wait->done) continue;
        finish(stream, dice);
        return true;
    }
    return false;
}

// A launched graph does one of its nodes a step and stays at the head until all are done.
void Queue::finish(CUstream_st& stream, Dice& dice) {
    Operation& head = stream.waiting.front();
    if (head.graph && !head.graph->step(dice)) return;
    const Operation operation = std::move(head);
    stream.waiting.pop_front();
    if (operation.work) operation.work();
    if (operation.record) {
        operation.record->time = std::chrono::steady_clock::now();
        operation.record->done = true;
    }
}

}  // namespace emulation
