// Sums over nodes by counting (host/plan/node_sums.hpp).
#include "host/plan/node_sums.hpp"

#include <algorithm>
#include <bit>

namespace pdadmm {
namespace {

/// Of the subtree over first .. first + count.
int subtrees_within(NodeRange own, Index first, Index count) {
    const Index begin = std::max(own.first, first), end = std::min(own.first + own.count, first + count);
    if (begin >= end) return 0;
    if (end - begin == count) return 1;
    const auto left = static_cast<Index>(std::bit_floor(static_cast<std::uint64_t>(count - 1)));
    return subtrees_within(own, first, left) + subtrees_within(own, first + left, count - left);
}

}  // namespace

int maximal_subtrees(NodeRange own, Index count) { return subtrees_within(own, 0, count); }

NodeSums::NodeSums(const Grid& grid, int block, const NodeRanges& ranges, const Machines& machines)
    : inside_(machines.inside), between_(machines.between) {
    const int first = block * grid.nodes;
    for (int part = 0; part < grid.nodes;) {
        const int machine = machines.of(first + part), from = part;
        Part own;
        for (; part < grid.nodes && machines.of(first + part) == machine; ++part) {
            const double subtrees = maximal_subtrees(ranges.held(part, grid.nodes), ranges.count);
            own.subtrees_of_rank = std::max(own.subtrees_of_rank, subtrees);
            own.subtrees_of_ranks += subtrees;
            ++own.ranks;
        }
        const NodeRange begin = ranges.held(from, grid.nodes), end = ranges.held(part - 1, grid.nodes);
        own.subtrees = maximal_subtrees({begin.first, end.first + end.count - begin.first}, ranges.count);
        parts_.push_back(own);
        // Other blocks with ranks here and elsewhere.
        double sharers = 0;
        for (int other = 0; other < grid.layers; ++other) {
            const int begins = machines.of(other * grid.nodes), ends = machines.of((other + 1) * grid.nodes - 1);
            sharers += begins < ends && begins <= machine && machine <= ends ? 1 : 0;
        }
        sharers_ = std::max(sharers_, sharers);
    }
}

double NodeSums::seconds(double bytes, bool gathered) const {
    double reduce = 0, gather = 0, most = 0;
    for (const Part& part : parts_) {
        const double share = (part.ranks - 1) / static_cast<double>(part.ranks);
        if (part.ranks > 1) {
            reduce = std::max(reduce, inside_.seconds(share * part.subtrees_of_rank * bytes));
            gather = std::max(gather, inside_.seconds(share * bytes));
        }
        most = std::max(most, part.subtrees);
    }
    if (parts_.size() > 1) {
        const double share = sharers_ * (machine_count() - 1) / machine_count();
        reduce += between_.seconds(share * most * bytes);
        gather += between_.seconds(share * bytes);
    }
    return gathered ? gather : reduce + gather;
}

double NodeSums::scalar_seconds() const {
    return parts_.size() > 1 ? between_.latency_s : parts_.front().ranks > 1 ? inside_.latency_s : 0;
}

double NodeSums::sent_inside(double bytes, bool gathered) const {
    double sent = 0;
    for (const Part& part : parts_)
        sent += (part.ranks - 1) / static_cast<double>(part.ranks) *
                (part.ranks + (gathered ? 0 : part.subtrees_of_ranks)) * bytes;
    return sent;
}

double NodeSums::sent_between(double bytes, bool gathered) const {
    double sent = 0;
    for (const Part& part : parts_)
        sent += (machine_count() - 1) / machine_count() * (1 + (gathered ? 0 : part.subtrees)) * bytes;
    return sent;
}

}  // namespace pdadmm
