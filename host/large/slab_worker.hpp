// What multiplies slabs of features, one after the other: the processor, or a device.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "host/large/features_on_disk.hpp"
#include "host/large/slab_product.hpp"
#include "pdadmm/slab_device.hpp"

namespace pdadmm {

/// Holds X of a slab (width, nodes). One host thread at a time.
class SlabWorker {
public:
    virtual ~SlabWorker() = default;

    /// X = features first .. first + width of all nodes.
    virtual void load_features(Index first, Index width) = 0;
    /// X = what a state holds.
    virtual void load_state(const PartReader& state, Index width) = 0;
    /// Columns of X that are kept.
    virtual void keep(std::span<const std::int32_t> kept, PartWriter& out) = 0;
    /// Y(:, i) = sum over j of a_ij X(:, j), in order of j. Ends early where the watch says so.
    virtual void hop(const DiskOperator& a, const HopRows& rows, HopOutput out, HopWatch& watch) = 0;
    /// X = Y of the last hop, which `state` holds.
    virtual void advance(const PartReader& state) = 0;
};

/// What all workers read.
struct SlabInput {
    const GraphReader& graph;
    const PartReader& panels;
    const DiskFeatures& features;
};

/// X in memory, of at most `widest` features. Throws DeviceError where there is none.
std::unique_ptr<SlabWorker> slabs_in_memory(const SlabInput& input, Index widest, ThreadPool& pool);

/// X on a device, with as much room as `room` says; where it has none for the graph, the graph is streamed, and `note`
/// gets a line. Throws DeviceError where it has too little even so.
std::unique_ptr<SlabWorker> slabs_on_device(const SlabInput& input, SlabDevice& device, SlabRoom room, int threads,
                                            const std::function<void(const std::string&)>& note);

/// The largest number of entries of a row.
Index longest_row(const GraphReader& graph, ThreadPool& pool);

}  // namespace pdadmm
