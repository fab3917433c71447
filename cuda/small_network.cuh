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

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cuda/check.cuh"
#include "pdadmm/layer_group.hpp"

namespace pdadmm::cuda {

namespace small {
struct Layer;
}

/// Where a block waited in vain for its neighbour: in page-locked memory, which can be read when the device is lost.
/// One number, since several blocks may write it.
struct Stall {
    enum class Of { q_before, p_behind };  // q of the layer before, p of the layer behind
    std::uint64_t place = 0;               // 0: none
    PDADMM_HD void note(int layer, int block, Of of) {
        place = static_cast<std::uint64_t>(layer) << 32 | static_cast<std::uint64_t>(block) << 1 |
                static_cast<std::uint64_t>(of);
    }
    bool happened() const { return place != 0; }
    int layer() const { return static_cast<int>(place >> 32); }
    int block() const { return static_cast<int>(place >> 1 & 0xff); }
    Of of() const { return static_cast<Of>(place & 1); }
};
std::string words_of(const Stall& stall);
std::shared_ptr<Stall> page_locked_stall();

class SmallNetwork {
public:
    static constexpr unsigned usual_polls = 1u << 26;  // about a minute

    /// Nothing where the network does not fit: a layer's part in a block's shared memory, or all clusters on the device
    /// at once; or where the device has no clusters. What a device says to hold it need not, so each plan is launched
    /// once, for no iteration, on `stream`, which is waited for. `memory`, what the groups view, k and `stall` must
    /// outlive the plan.
    static std::optional<SmallNetwork> plan(Backend& memory, std::span<const LayerGroup> groups, const Controls* k,
                                            StepSpec spec, cudaStream_t stream, Stall* stall,
                                            unsigned polls = usual_polls);

    /// `iterations` iterations, with the figures of layer l after iteration i at figures[i * L + l - 1] and the
    /// penalties, which are constant, at controls[i]. May be captured: takes no memory and does not wait.
    void enqueue(cudaStream_t stream, LayerFigures* figures, Controls* controls, int iterations) const;

    int layers() const { return layers_; }
    int cluster() const { return cluster_; }                    // blocks a layer
    std::size_t shared_bytes() const { return shared_bytes_; }  // of a block
    /// p_ready and q_ready of each layer, a counter a block each.
    std::uint32_t* flags() const { return flags_.data(); }

private:
    SmallNetwork() = default;
    cudaError_t try_enqueue(cudaStream_t stream, LayerFigures* figures, Controls* controls, int iterations) const;

    int layers_ = 0, cluster_ = 0, width_ = 0;
    std::size_t shared_bytes_ = 0;
    StepSpec spec_;
    const Controls* k_ = nullptr;
    Stall* stall_ = nullptr;
    unsigned polls_ = usual_polls;
    Buffer<std::byte> table_;      // small::Layer of each layer
    Buffer<std::uint32_t> flags_;  // p_ready and q_ready of each layer and block
};

}  // namespace pdadmm::cuda
