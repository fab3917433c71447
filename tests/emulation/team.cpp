#include "tests/emulation/team.hpp"

#include <algorithm>

namespace emulation {

void Team::arrive() {
    const std::lock_guard lock(mutex_);
    if (--missing_ > 0) return;
    missing_ = blocks_;
    ++phase_;
    changed_.notify_all();
}

bool Team::passed(unsigned phase) {
    const std::lock_guard lock(mutex_);
    return phase_ > phase;
}

bool Team::wait(unsigned phase) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return phase_ > phase || broken_ || phase >= first_without_; });
    return phase_ > phase;
}

void Team::leave(unsigned phase) {
    const std::lock_guard lock(mutex_);
    first_without_ = std::min(first_without_, phase);
    changed_.notify_all();
}

void Team::break_up() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    changed_.notify_all();
}

void Team::set_memory(unsigned rank, std::byte* thread_local_block) {
    const std::lock_guard lock(mutex_);
    memory_[rank] = thread_local_block;
}

std::byte* Team::memory(unsigned rank) {
    const std::lock_guard lock(mutex_);
    return rank < blocks_ ? memory_[rank] : nullptr;
}

}  // namespace emulation
