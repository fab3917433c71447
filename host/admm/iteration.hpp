// One iteration of pdADMM-G in the form that suits a network: recorded as one phase, step by step where somebody looks
// on, split by messages between ranks, or many iterations in one kernel. All forms leave the same bits but the last,
// which rounds otherwise.
#pragma once

#include <functional>
#include <memory>

#include "host/admm/admm.hpp"
#include "host/admm/ranked_iteration.hpp"

namespace pdadmm {

class Iteration {
public:
    virtual ~Iteration() = default;
    /// Queues the iterations of the history's slots from `first` on, as many as this form does at once and at most up
    /// to `end`; returns the slot of the next one. The last message may still be under way.
    virtual Index run(Index first, Index end) = 0;
    /// No message is under way: what other ranks owe this one is here.
    virtual void settle() {}
    virtual SentBytes sent() const { return {}; }
};

/// What an iteration works on; all that is referred to must outlive it.
struct IterationParts {
    Network& network;
    Ranks& ranks;
    const Rules& rules;
    const RhoSchedule& schedule;
    std::function<const double*()> watched;  // the schedule's figure, on the rank of the last layer
    History history;
    Recorder* recorder = nullptr;  // null: nobody looks on
    bool by_kind = false;          // messages' phases one kind of layers after another, to be timed
    SentBytes sent = {};           // before, to be counted on
};

std::unique_ptr<Iteration> make_iteration(const IterationParts& parts);

}  // namespace pdadmm
