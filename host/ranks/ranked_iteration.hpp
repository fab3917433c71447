// One iteration on a rank that holds some of the layers (design 3): the work between messages as recorded phases, and the
// messages, which travel under the phases that do not need them. Same bits as iterate() over all layers.
#pragma once

#include <memory>

#include "host/admm.hpp"
#include "host/ranks/ranks.hpp"

namespace pdadmm {

class RankedIteration {
public:
    /// Of the layers of `net`, which with the others must outlive this.
    RankedIteration(Network& net, Ranks& ranks, const Rules& rules);
    RankedIteration(const RankedIteration&) = delete;
    RankedIteration& operator=(const RankedIteration&) = delete;
    ~RankedIteration();

    /// One iteration; the message with q may still be under way when it returns.
    void run();
    /// Ends it: q and u of the left neighbour are here. Before the penalties change and before other messages.
    void settle();

private:
    void before_q();
    void update_p();
    void before_p();
    void close();
    std::byte* message(int slot) const { return messages_.data() + slot * capacity_; }

    Network& net_;
    Ranks& ranks_;
    const Rules& rules_;
    bool left_ = false, right_ = false;  // there is a neighbour with layers
    Index capacity_ = 0;
    std::size_t p_bytes_ = 0, q_bytes_ = 0;
    Buffer<std::byte> messages_;  // p out, p in, q out, q in
    std::unique_ptr<Phase> before_q_, decode_q_, update_p_, before_p_, decode_p_, close_;
    bool q_under_way_ = false;
};

}  // namespace pdadmm
