// What an augmentation on disk will take, by counting: slabs, passes, memory, disk, traffic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/data/augmentation.hpp"
#include "pdadmm/slab_device.hpp"

namespace pdadmm {

/// Entries of the graph that go to a GPU at a time, where no row has more.
inline constexpr Index usual_block_entries = Index{1} << 22;

/// GPUs that take slabs side by side.
struct DeviceSize {
    int count = 0;                              // 0: the processor multiplies
    std::uint64_t free = 0;                     // bytes, of the one that has least
    Index block_entries = usual_block_entries;  // no row has more
};

/// What the counts depend on.
struct LargeSize {
    Index nodes = 0, features = 0, kept = 0;  // kept: nodes whose X is wanted
    std::uint64_t entries = 0;                // of the graph as it is multiplied, at most
    bool weighted = false;
    std::uint64_t describing = 0;  // bytes that labels and splits take
    std::uint64_t opening = 0;     // bytes that reading them takes for a while
    int threads = 1;
    std::uint64_t value_bytes = sizeof(real);  // of X on disk
    DeviceSize devices{};
};

struct LargePlan {
    LargeSize size;
    std::uint64_t memory = 0, least_memory = 0;
    std::uint64_t build_memory = 0;  // of it, for the counting sort
    Index build_passes = 0;
    Index widest = 0;           // features of a slab at most
    std::vector<Index> widths;  // of slabs, in features
    Index hops = 0;             // products of a slab, over all operators
    std::uint64_t graph_bytes = 0, features_bytes = 0, state_bytes = 0, kept_bytes = 0, result_bytes = 0;  // on disk
    std::uint64_t disk = 0;  // the most of them at one time
    std::uint64_t graph_read = 0, states_moved = 0, gathered = 0;
    SlabRoom room;                      // of each GPU, where there are any: its widest slab
    std::uint64_t least_on_device = 0;  // bytes

    bool fits() const { return memory >= least_memory; }
    bool fits_devices() const { return least_on_device <= size.devices.free; }
};

/// Slabs of as equal widths as can be, as few as `memory` allows, or the memory of GPUs, each of which gets one. Where
/// it allows none, widths are empty.
LargePlan plan_large(const LargeSize& size, const AugmentOptions& options, std::uint64_t memory);

/// Widths of slabs of `padded` features, in panels, none above `widest`.
std::vector<Index> slab_widths(Index padded, Index widest);

/// The plan in lines for people. Minutes are estimated from memory bandwidth `copy_rate` (bytes a second, measured) and
/// `disk_rate`.
std::string text_of(const LargePlan& plan, double copy_rate, double disk_rate);

/// Bytes that all threads together copy in a second, measured in a fifth of a second: reads and writes counted once
/// each.
double measured_copy_rate(int threads);

/// "80.5 MiB", "13.80 GiB".
std::string readable_bytes(std::uint64_t bytes);

}  // namespace pdadmm
