// What it costs to add over the ranks that share a block of layers, and to give all of them the result (RANKS.md,
// "Plans of grids").
#pragma once

#include <array>
#include <vector>

#include "host/plan/machines.hpp"
#include "host/ranks/grid.hpp"

namespace pdadmm {

/// How sums over nodes travel.
enum class SumSchedule {
    waiting,    // between any two ranks, and all wait for them: as train does it on GPUs
    hidden,     // the same, the sums of one half of a stack under the products of the other: train on processors
    by_machine  // inside machines first, the sums of one half of a rank's layers under the products of the other half
};

/// As options name them, by SumSchedule.
inline constexpr std::array sum_schedule_names{"waiting", "hidden", "by-machine"};

class SumCosts {
public:
    /// Of the ranks of block `block` of `grid`.
    SumCosts(const Grid& grid, int block, const NodeRanges& ranges, const Machines& machines, SumSchedule schedule);

    /// Of `bytes` that every node range has a sum of.
    double seconds(double bytes) const { return way_seconds(bytes, false) + way_seconds(bytes, true); }
    /// To give all ranks `bytes` of which each holds what belongs to its nodes.
    double gather_seconds(double bytes) const { return way_seconds(bytes, true); }
    /// Of a few scalars: everyone sends to everyone.
    double scalar_seconds() const;
    /// Of all ranks together, forth and back; and of that, between machines.
    double sent(double bytes) const { return way_sent(bytes, false) + way_sent(bytes, true); }
    double sent_between(double bytes) const { return way_between(bytes, false) + way_between(bytes, true); }
    double gathered(double bytes) const { return way_sent(bytes, true); }
    double gathered_between(double bytes) const { return way_between(bytes, true); }

private:
    /// Ranks of the block on one machine, and the subtrees of the tree that are theirs alone.
    struct Part {
        double ranks = 0;
        double subtrees = 0, subtrees_of_rank = 0, subtrees_of_ranks = 0;  // of all; the most; the sum
    };
    /// Numbers of `bytes` on the link of a rank, or of a machine, one way: `back` to all, or forth.
    double on_inside(const Part& part, bool back) const;
    double on_between(const Part& part, bool back) const;
    double way_seconds(double bytes, bool back) const;
    double way_sent(double bytes, bool back) const;
    double way_between(double bytes, bool back) const;
    bool by_machine() const { return schedule_ == SumSchedule::by_machine; }

    std::vector<Part> parts_;
    double ranks_, sharers_ = 1;  // blocks that send from one machine to others at the same time
    LinkRate inside_, between_;
    SumSchedule schedule_;
};

}  // namespace pdadmm
