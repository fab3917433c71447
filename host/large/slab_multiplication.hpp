// All hops of all slabs, by one worker or several: every (slab, hop) is a checkpoint in the manifest.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "host/data/block_chains.hpp"
#include "host/large/hop_line.hpp"
#include "host/large/manifest.hpp"
#include "host/large/slab_worker.hpp"

namespace pdadmm {

/// What slabs have in common.
struct SlabWork {
    const Folder& folder;
    SlabManifest& manifest;  // with graph and features
    const GraphReader& graph;
    const std::vector<BlockChain>& chains;
    const std::vector<DiskOperator>& operators;  // of the chains
    std::span<const std::int32_t> kept;          // nodes, ascending
    std::span<const std::uint8_t> reach;         // of nodes; empty: all are computed in every hop
    const LargeWatch& watch;
    HopLine& live;
};

/// Multiplies the slabs that the manifest lacks, none wider than `widest`: each worker takes one after the other. Slabs
/// that were begun go on where they were. Throws Stopped where the watch says so, else what a worker threw first.
void multiply_slabs(const SlabWork& work, std::span<const std::unique_ptr<SlabWorker>> workers, Index widest);

}  // namespace pdadmm
