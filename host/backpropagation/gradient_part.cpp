// Parts of an epoch and their counts (host/backpropagation/gradient_part.hpp).
#include "host/backpropagation/gradient_part.hpp"

#include <algorithm>

#include "host/backpropagation/workers.hpp"

namespace pdadmm {
namespace {

Grid grid_of(const SolverOptions& options, int ranks) { return {ranks / options.node_blocks, options.node_blocks}; }

NodeRanges ranges_of(const SolverOptions& options, const NetworkShape& shape) {
    return NodeRanges::asked_for(shape.nodes, shape.graph_entries > 0 ? 1 : options.node_ranges);
}

/// M micro-batches of all nodes are M / V pieces of each range, rounded up; fewer than that are whole ranges. None is
/// empty, since every range has as many nodes.
Index pieces_of(const NodeRanges& all, Index micro_batches) {
    const Index fewest = all.size(all.count - 1);
    return std::clamp<Index>((micro_batches + all.count - 1) / all.count, 1, std::max<Index>(1, fewest));
}

template <typename Use>
void each_bucket(const SolverOptions& options, const NetworkShape& shape, int ranks, Use&& use) {
    const Placement placement = gradient_placement(options, shape, ranks);
    for (int block = 0; block < placement.active(); ++block)
        for (const LayerRange& bucket : GradientNetwork::buckets(shape, placement.of(block)))
            use(block, GradientNetwork::parameters_of(shape, bucket));
}

}  // namespace

Placement gradient_placement(const SolverOptions& options, const NetworkShape& shape, int ranks) {
    return Placement::balanced(gradient_costs(shape), options.has_workers() ? 1 : grid_of(options, ranks).layers);
}

GradientPart gradient_part(const SolverOptions& options, const NetworkShape& shape, int rank, int ranks) {
    if (options.has_workers())
        return GradientPart::of_one_range({1, shape.layers}, NodeRange::widest(shape.nodes, ranks));
    const Grid grid = grid_of(options, ranks);
    const NodeRanges all = ranges_of(options, shape);
    const NodeBlock own{grid.node_block(rank), grid.nodes};
    GradientPart part{gradient_placement(options, shape, ranks).of(grid.layer_block(rank)), all,
                      pieces_of(all, options.micro_batches)};
    part.ranges.nodes = own.nodes_of(all).count;
    part.ranges.count = std::max<Index>(1, own.ranges_of(all).count);
    part.batches = part.pieces > 1
                       ? part.pieces * part.ranges.count
                       : std::clamp<Index>((options.micro_batches * part.ranges.count + all.count - 1) / all.count, 1,
                                           part.ranges.count);
    return part;
}

std::uint64_t gradient_bytes(const SolverOptions& options, const NetworkShape& shape, int ranks, Index done) {
    if (ranks > 1 && options.has_workers()) return Workers::bytes_sent(options, shape, ranks, done);
    // Over each border activations go forward and their gradients back.
    const int blocks = grid_of(options, ranks).layers,
              borders = (ranks > 1 ? std::min(blocks, shape.layers) : shape.layers) - 1;
    std::uint64_t values = 2 * static_cast<std::uint64_t>(borders) * static_cast<std::uint64_t>(shape.hidden) *
                           static_cast<std::uint64_t>(shape.nodes);
    each_bucket(options, shape, ranks, [&](int, Index count) {
        values += TreeSums::values_sent(options.node_blocks, ranges_of(options, shape).count, count);
    });
    return values * sizeof(real);
}

std::size_t gradient_epoch_bytes(const SolverOptions& options, const NetworkShape& shape, int rank, int ranks) {
    if (ranks == 1) return 0;
    if (options.has_workers()) return Workers::bytes(options, shape, ranks);
    const Grid grid = grid_of(options, ranks);
    Index most = 0;
    each_bucket(options, shape, ranks, [&](int block, Index count) {
        if (block == grid.layer_block(rank))
            most = std::max(
                most, TreeSums::staging(grid.nodes, ranges_of(options, shape).count, count, grid.node_block(rank)));
    });
    return static_cast<std::size_t>(most) * sizeof(real);
}

}  // namespace pdadmm
