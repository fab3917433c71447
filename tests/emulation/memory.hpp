// Device memory: host memory between guard bands, filled with NaN bits when it is given out and when it is taken back.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace emulation {

class Memory {
public:
    /// Null where `bytes` do not fit, or where this allocation was planted to fail.
    void* allocate(std::size_t bytes);
    /// False where `memory` was not given out.
    bool release(void* memory);
    /// Whether all of [at, at + bytes) lies in one allocation.
    bool contains(const void* at, std::size_t bytes) const;
    /// Whether any of [at, at + bytes) lies in an allocation or its guard bands.
    bool touches(const void* at, std::size_t bytes) const;
    /// "" or which allocation was written out of its bounds since the last call.
    std::string damage();

    std::size_t used() const { return used_; }
    std::size_t total() const { return total_; }
    void set_total(std::size_t bytes) { total_ = bytes; }
    void fail_after(int allocations) { until_failure_ = allocations; }

    // Page-locked host memory.
    void pin(void* memory, std::size_t bytes) { pinned_[static_cast<std::byte*>(memory)] = bytes; }
    bool unpin(void* memory) { return pinned_.erase(static_cast<std::byte*>(memory)) == 1; }
    bool is_pinned(const void* at) const;

private:
    static void guard(std::byte* base, std::size_t bytes);
    static bool intact(std::byte* base, std::size_t bytes);
    std::map<std::byte*, std::size_t> live_, pinned_;
    std::size_t used_ = 0, total_ = std::size_t{4} << 30;
    int until_failure_ = -1;
};

}  // namespace emulation
