// Sums over nodes by counting (host/plan/sum_costs.hpp).
#include "host/plan/sum_costs.hpp"

#include <algorithm>

#include "host/ranks/tree_sums.hpp"

namespace pdadmm {
namespace {

double subtree_count(const NodeRanges& ranges, NodeRange held) {
    return static_cast<double>(maximal_subtrees(ranges.count, held).size());
}

/// Other blocks of the grid with ranks on this machine and elsewhere, this one among them.
double sharers_of(const Grid& grid, const Machines& machines, int machine) {
    double sharers = 0;
    for (int block = 0; block < grid.layers; ++block) {
        const int begins = machines.of(grid.rank(block, 0)), ends = machines.of(grid.rank(block, grid.nodes - 1));
        sharers += begins < ends && begins <= machine && machine <= ends ? 1 : 0;
    }
    return sharers;
}

}  // namespace

SumCosts::SumCosts(const Grid& grid, int block, const NodeRanges& ranges, const Machines& machines,
                   SumSchedule schedule)
    : ranks_(grid.nodes), inside_(machines.inside), between_(machines.between), schedule_(schedule) {
    for (int part = 0; part < grid.nodes;) {
        const int machine = machines.of(grid.rank(block, part));
        Part own;
        NodeRange held;
        for (; part < grid.nodes && machines.of(grid.rank(block, part)) == machine; ++part) {
            const NodeRange of_rank = NodeBlock{part, grid.nodes}.ranges_of(ranges);
            const double subtrees = subtree_count(ranges, of_rank);
            own.subtrees_of_rank = std::max(own.subtrees_of_rank, subtrees);
            own.subtrees_of_ranks += subtrees;
            held = {own.ranks > 0 ? held.first : of_rank.first, held.count + of_rank.count};
            ++own.ranks;
        }
        own.subtrees = subtree_count(ranges, held);
        parts_.push_back(own);
        sharers_ = std::max(sharers_, sharers_of(grid, machines, machine));
    }
}

double SumCosts::on_inside(const Part& part, bool back) const {
    return (part.ranks - 1) / (by_machine() ? part.ranks : ranks_) * (back ? 1 : part.subtrees_of_rank);
}

double SumCosts::on_between(const Part& part, bool back) const {
    const auto machines = static_cast<double>(parts_.size());
    if (by_machine()) return (machines - 1) / machines * (back ? 1 : part.subtrees);
    return (ranks_ - part.ranks) / ranks_ * (back ? part.ranks : part.subtrees_of_ranks);
}

double SumCosts::way_seconds(double bytes, bool back) const {
    double inside = 0, between = 0;
    for (const Part& part : parts_) {
        if (part.ranks > 1) inside = std::max(inside, inside_.seconds(on_inside(part, back) * bytes));
        if (parts_.size() > 1) between = std::max(between, between_.seconds(sharers_ * on_between(part, back) * bytes));
    }
    return by_machine() ? inside + between : std::max(inside, between);
}

double SumCosts::scalar_seconds() const {
    return parts_.size() > 1 ? between_.latency_s : parts_.front().ranks > 1 ? inside_.latency_s : 0;
}

double SumCosts::way_sent(double bytes, bool back) const {
    double inside = 0;
    for (const Part& part : parts_)
        inside +=
            (part.ranks - 1) / (by_machine() ? part.ranks : ranks_) * (back ? part.ranks : part.subtrees_of_ranks);
    return inside * bytes + way_between(bytes, back);
}

double SumCosts::way_between(double bytes, bool back) const {
    double sent = 0;
    for (const Part& part : parts_) sent += on_between(part, back);
    return parts_.size() > 1 ? sent * bytes : 0;
}

}  // namespace pdadmm
