// What the benchmarks share: clocks, medians and made-up training problems.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "host/network/network.hpp"

namespace pdadmm {

using Clock = std::chrono::steady_clock;

/// Seconds of one call of `work`, the mean of `repeats`.
template <typename Work>
double seconds_of(Work&& work, int repeats = 1) {
    const auto began = Clock::now();
    for (int i = 0; i < repeats; ++i) work();
    return std::chrono::duration<double>(Clock::now() - began).count() / repeats;
}

inline double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Uniform features in +-0.1 (X has up to 10^8 elements, so the generator is a fast one) and classes in turns; training
/// nodes only.
inline AugmentedNodes random_nodes(const NetworkShape& shape) {
    AugmentedNodes nodes;
    nodes.inputs = shape.inputs;
    nodes.classes = shape.classes;
    nodes.counts = {shape.nodes, 0, 0};
    nodes.X.resize(static_cast<std::size_t>(shape.inputs * shape.nodes));
    std::uint32_t state = 1;
    for (real& x : nodes.X) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        x = static_cast<real>(0.1 * (static_cast<double>(state) * 0x1p-31 - 1));
    }
    for (Index i = 0; i < shape.nodes; ++i) nodes.labels.push_back(static_cast<std::int32_t>(i % shape.classes));
    return nodes;
}

}  // namespace pdadmm
