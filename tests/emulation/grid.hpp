// One launch of a kernel: its blocks in random order one after another, or at the same time where it is cooperative or
// has clusters.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "emulation/vector_types.hpp"
#include "tests/emulation/dice.hpp"

namespace emulation {

struct Kernel {
    const void* entry = nullptr;
    dim3 grid, block, cluster;
    std::size_t shared_bytes = 0;
    bool clustered = false, cooperative = false;
    std::function<void()> body;
};

class Grid {
public:
    Grid(const Kernel& kernel, std::uint64_t seed) : kernel_(kernel), dice_(seed) {}
    /// "" or what went wrong, with the kernel's name.
    std::string run();

    const Kernel& kernel() const { return kernel_; }
    std::size_t lanes() const { return static_cast<std::size_t>(kernel_.block.x) * kernel_.block.y * kernel_.block.z; }
    void fail(const std::string& what);
    bool failed() const { return failed_.load(std::memory_order_relaxed); }
    /// All lanes of a block wait for something that another thread must do.
    void pause();

private:
    std::size_t blocks() const { return static_cast<std::size_t>(kernel_.grid.x) * kernel_.grid.y * kernel_.grid.z; }
    uint3 index(std::size_t block) const;
    void run_one_by_one();
    void run_clusters();
    void run_at_once();

    const Kernel& kernel_;
    Dice dice_;
    std::mutex mutex_;
    std::atomic<bool> failed_ = false;
    std::atomic<unsigned> pauses_ = 0;
    std::string fault_;
    std::function<void()> break_up_;  // wakes blocks that wait for each other
};

/// The kernel's name from the program's symbols, or its address.
std::string kernel_name(const void* entry);

}  // namespace emulation
