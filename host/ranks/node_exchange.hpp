// Sums over training nodes that several ranks hold (design 3, "Second axis"), for the ranks of one layer block.
#pragma once

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
    /// Values of which every rank sends all it has to every other: one round in place of two.
    static constexpr Index few = 4096;

    /// Of parts in the memory of `backend`. `transport` joins all ranks of `grid` and carries nothing else meanwhile;
    /// `ranges` are those of the training nodes.
    NodeExchange(Backend& backend, Transport& transport, Grid grid, const NodeRanges& ranges);

    Index nodes() const override { return ranges_.nodes; }
    void complete(float* parts, Index count) override { complete_parts(parts, count); }
    void complete(double* parts, Index count) override { complete_parts(parts, count); }

    /// Throws an internal Error where nodes have owners.
    void gather(const std::byte* own, std::byte* all, std::size_t bytes) override;

    /// Training nodes of each block.
    NodeRange nodes_of(int block) const { return NodeBlock{block, grid_.nodes}.nodes_of(ranges_); }

private:
    template <typename T>
    void complete_parts(T* parts, Index count);
    /// Sends the others their slices of this rank's subtrees; returns the own slice of all subtrees, in their order.
    template <typename T>
    T* exchange_slices(const T* parts, Index count, const std::vector<NodeRange>& slices);
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
};

}  // namespace pdadmm
