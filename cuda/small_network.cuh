// Whole iterations of pdADMM-G on a small network in one kernel launch: one thread-block cluster a layer, which keeps
// its part of the state in shared memory from the first iteration to the last (cuda/README.md, "The persistent
// kernel").
//
// The nodes of a layer are split over the blocks of its cluster, by the same cut in every layer: so block k of a layer
// exchanges p, q and u with block k of its neighbours only, through the arrays of the ordinary path in device memory
// and two counters a block. W and b are the same in all blocks of a layer, bit for bit, because every sum over nodes is
// added up in one order and sent to all. A launch and as many iterations of the ordinary path differ by rounding only,
// and go on from each other.
//
// An iteration of a hidden layer is four products, four barriers of its cluster and one wait for each neighbour. W, G,
// p, r, z live in shared memory. q and u stay in device memory, where the neighbour reads them: the pass that uses them
// waits for its neighbour's p from there anyway. W moves while q and u travel.
//
// What is not here: quantised p or q, the refresh of r (between launches), growing penalties (constant within a
// launch).
#pragma once

#include <optional>
#include <span>

#include "cuda/check.cuh"
#include "pdadmm/layer_group.hpp"

namespace pdadmm::cuda {

namespace small {
struct Layer;
}

class SmallNetwork {
public:
    /// Nothing where the network does not fit: a layer's part in a block's shared memory, or all clusters on the device
    /// at once; or where the device has no clusters. `memory` and what the groups view must outlive the plan.
    static std::optional<SmallNetwork> plan(Backend& memory, std::span<const LayerGroup> groups, StepSpec spec);

    /// `iterations` iterations, with the figures of layer l after iteration i at figures[i * L + l - 1]. May be
    /// captured: takes no memory and does not wait.
    void enqueue(cudaStream_t stream, const Controls* k, LayerFigures* figures, int iterations) const;

    int layers() const { return layers_; }
    int cluster() const { return cluster_; }                    // blocks a layer
    std::size_t shared_bytes() const { return shared_bytes_; }  // of a block

private:
    SmallNetwork() = default;

    int layers_ = 0, cluster_ = 0, width_ = 0;
    std::size_t shared_bytes_ = 0;
    StepSpec spec_;
    Buffer<std::byte> table_;      // small::Layer of each layer
    Buffer<std::uint32_t> flags_;  // p_ready and q_ready of each layer and block
};

}  // namespace pdadmm::cuda
