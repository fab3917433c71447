// Sums over ranges of which several ranks hold some, along the one tree over all of them (add_along_tree): the same
// bits whoever holds which ranges. In steps, so that messages travel under other work.
#pragma once

#include <vector>

#include "host/network/node_data.hpp"
#include "host/ranks/grid.hpp"
#include "pdadmm/backend.hpp"
#include "pdadmm/node_sums.hpp"
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
class TreeSums {
public:
    static constexpr Index few = NodeSums::few;

    /// Of `ranges` ranges, of which node block j of `grid` holds the j-th share, for rank `rank`.
    TreeSums(Backend& backend, Grid grid, int rank, Index ranges);

    // The steps of a sum, in this order on all ranks of a layer block; those messages travel between them and after the
    // last. Only one sum is between its first two steps.
    /// `parts` holds `count` values for each of this rank's ranges, one range after the other, and is overwritten.
    template <typename T>
    void scatter(T* parts, Index count, std::vector<Message>& messages);
    /// This rank's slice of the sum into `sum`, which has `count` values, or all of it; it may be the first part.
    template <typename T>
    void add_up(const T* parts, Index count, T* sum);
    template <typename T>
    void gather(T* sum, Index count, std::vector<Message>& messages) const;

    /// Values of the messages of all ranks of a block.
    static std::uint64_t values_sent(Index blocks, Index ranges, Index count);
    /// Values that block `block` keeps of messages.
    static Index staging(Index blocks, Index ranges, Index count, Index block);

private:
    /// The values that block `block` of `blocks` finishes.
    static NodeRange slice(Index count, Index block, Index blocks) {
        return count <= few ? NodeRange{0, count} : NodeRange::share(count, block, blocks);
    }
    NodeRange slice(Index count, Index block) const { return slice(count, block, grid_.nodes); }
    const std::vector<Subtree>& own() const { return subtrees_[static_cast<std::size_t>(own_)]; }
    int peer(int block) const { return grid_.rank(layer_block_, block); }
    template <typename T>
    void add(const std::vector<PartSum>& sums, Index count, T* parts) const;

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
    Grid grid_;
    int own_, layer_block_;                       // node and layer block of this rank
    std::vector<std::vector<Subtree>> subtrees_;  // of each block
    std::vector<PartSum> within_, across_;  // own ranges to subtrees, by own ranges; subtrees of all, by their number
    Staging received_, sent_;
};

}  // namespace pdadmm
