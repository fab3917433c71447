// Sums over training nodes that several ranks hold (design 3, "Second axis"), for the ranks of one layer block.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "host/network/node_data.hpp"
#include "host/ranks/grid.hpp"
#include "pdadmm/backend.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// Ranges of nodes that lie under one knot of the tree: its part is at `first`, and `count` parts are in it.
struct Subtree {
    Index first, count;
    bool operator==(const Subtree&) const = default;
};
/// The largest subtrees of the tree over `ranges` ranges (add_along_tree) that lie whole in `held`, in order.
std::vector<Subtree> maximal_subtrees(Index ranges, NodeRange held);

/// A rank adds its ranges up to the largest subtrees that it holds whole. Few values: every rank sends those to every
/// other and finishes the tree by itself. Many: each finishes a slice of the values and sends it to the others.
class NodeExchange final : public NodeSums {
public:
    /// Of parts in the memory of `backend`. `transport` joins all ranks of `grid` and carries nothing else meanwhile;
    /// `ranges` are those of the training nodes.
    NodeExchange(Backend& backend, Transport& transport, Grid grid, const NodeRanges& ranges);

    /// Messages that are still under way after an error are let go.
    ~NodeExchange() override { transport_.abandon(); }
    NodeExchange(const NodeExchange&) = delete;
    NodeExchange& operator=(const NodeExchange&) = delete;

    Index nodes() const override { return ranges_.nodes; }
    void begin(float* parts, Index count) override { begin_parts(parts, count); }
    void begin(double* parts, Index count) override { begin_parts(parts, count); }
    void advance() override {
        if (returns_) take_round();
    }
    void end() override;

    /// Throws an internal Error where nodes have owners.
    void gather(const std::byte* own, std::byte* all, std::size_t bytes) override;

    /// Training nodes of each block.
    NodeRange nodes_of(int block) const { return NodeBlock{block, grid_.nodes}.nodes_of(ranges_); }

private:
    template <typename T>
    void begin_parts(T* parts, Index count);
    /// Lets the others' slices of this rank's subtrees go; returns where the own slice of all subtrees comes, in their
    /// order.
    template <typename T>
    T* start_slices(const T* parts, Index count);
    /// The first round has arrived: finishes the own slice, and lets it go where each rank has another one.
    template <typename T>
    void finish_slice(T* parts, T* values, Index count);
    /// What a block finishes of `count` values.
    NodeRange slice_of(int block, Index count) const;
    void take_round() {
        transport_.finish();
        returns_ = false;
        std::exchange(arrived_, {})();
    }
    int peer(int block) const { return grid_.rank(grid_.layer_block(transport_.rank()), block); }

    /// Memory for messages that grows to the largest need. Earlier pieces stay: to give one back may wait for all of a
    /// device's work, and so for the messages of other ranks.
    class Staging {
    public:
        template <typename T>
        T* at_least(Backend& backend, Index count) {
            const Index bytes = count * static_cast<Index>(sizeof(T));
            if (pieces_.empty() || pieces_.back().count() < bytes) pieces_.emplace_back(backend, bytes);
            return reinterpret_cast<T*>(pieces_.back().data());
        }

    private:
        std::vector<Buffer<std::byte>> pieces_;
    };

    Backend& backend_;
    Transport& transport_;
    Grid grid_;
    NodeRanges ranges_;
    int own_;                                     // node block of this rank
    std::vector<std::vector<Subtree>> subtrees_;  // of each block
    std::vector<PartSum> within_, across_;  // own ranges to subtrees, by own ranges; subtrees of all, by their number
    Staging received_, sent_;
    std::function<void()> arrived_;  // what follows the first round, while that is under way
    bool returns_ = false;           // by a second round
};

}  // namespace pdadmm
