// Random choices of the emulated device: cheap, and repeatable from the seed for one and the same order of launches.
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace emulation {

class Dice {
public:
    explicit Dice(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u) {}
    /// The next 64 bits (splitmix64).
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    /// A number below `count`.
    std::uint32_t below(std::size_t count) { return static_cast<std::uint32_t>((next() >> 32) * count >> 32); }
    /// 0 to count - 1 in random order.
    std::vector<std::uint32_t> order(std::size_t count) {
        std::vector<std::uint32_t> all(count);
        std::iota(all.begin(), all.end(), 0u);
        for (std::size_t left = count; left > 1; --left) std::swap(all[left - 1], all[below(left)]);
        return all;
    }

private:
    std::uint64_t state_;
};

}  // namespace emulation
