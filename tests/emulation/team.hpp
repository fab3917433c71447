// Blocks that run at the same time, each on a thread of its own: a cluster, or a whole cooperative grid.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

namespace emulation {

class Team {
public:
    explicit Team(unsigned blocks) : missing_(blocks), blocks_(blocks), memory_(blocks) {}

    unsigned size() const { return blocks_; }
    /// A whole block has come to the barrier.
    void arrive();
    bool passed(unsigned phase);
    /// Waits until the barrier's phase is over; false where that can never be, or `broken`.
    bool wait(unsigned phase);
    /// A block has ended; `phase`: barriers that it has come to.
    void leave(unsigned phase);
    void break_up();

    void set_memory(unsigned rank, std::byte* thread_local_block);
    std::byte* memory(unsigned rank);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned missing_, blocks_, phase_ = 0, first_without_ = ~0u;  // first phase that a block ended without
    bool broken_ = false;
    std::vector<std::byte*> memory_;
};

}  // namespace emulation
