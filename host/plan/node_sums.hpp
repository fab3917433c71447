// What it costs to add over the ranks that share a block of layers, and to give all of them the result: along the fixed
// tree over node ranges, whose lower levels lie inside a machine (RANKS.md, "Plans of grids").
#pragma once

#include <vector>

#include "host/plan/machines.hpp"
#include "host/ranks/grid.hpp"

namespace pdadmm {

class NodeSums {
public:
    /// Of the ranks of block `block` of `grid`.
    NodeSums(const Grid& grid, int block, const NodeRanges& ranges, const Machines& machines);

    /// Of `bytes` that every node range has a sum of; `gathered`: of bytes that are only given to all, of each rank its
    /// share.
    double seconds(double bytes, bool gathered = false) const;
    /// Of a few scalars: everyone sends to everyone.
    double scalar_seconds() const;
    /// Of all ranks together, in tree edges and back.
    double sent(double bytes, bool gathered = false) const {
        return sent_inside(bytes, gathered) + sent_between(bytes, gathered);
    }
    double sent_between(double bytes, bool gathered = false) const;  // of that, between machines

private:
    /// Ranks of the block on one machine, and the subtrees of the tree that are theirs alone.
    struct Part {
        int ranks = 0;
        double subtrees = 0, subtrees_of_rank = 0, subtrees_of_ranks = 0;  // of all; the most; the sum
    };
    double sent_inside(double bytes, bool gathered) const;
    double machine_count() const { return static_cast<double>(parts_.size()); }

    std::vector<Part> parts_;
    double sharers_ = 1;  // blocks that send from one machine to others at the same time
    Link inside_, between_;
};

/// Maximal subtrees of the tree over `count` ranges that cover `own` and nothing else. The tree halves a power of two;
/// else its left half is the largest power of two below the number of ranges.
int maximal_subtrees(NodeRange own, Index count);

}  // namespace pdadmm
