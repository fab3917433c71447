// Who does what in an epoch on several ranks, and what it takes (host/backpropagation/gradient_epoch.hpp).
#include "host/backpropagation/gradient_epoch.hpp"

#include <algorithm>

#include "host/backpropagation/workers.hpp"

namespace pdadmm {

Placement gradient_placement(const SolverOptions& options, const NetworkShape& shape, int ranks) {
    return Placement::balanced(gradient_costs(shape), options.divides_nodes() ? 1 : ranks);
}

GradientPart gradient_part(const SolverOptions& options, const NetworkShape& shape, int rank, int ranks) {
    if (options.has_workers()) return {{1, shape.layers}, NodeRange::widest(shape.nodes, ranks), 1};
    if (options.divides_nodes()) return {{1, shape.layers}, NodeRange::share(shape.nodes, rank, ranks).count, 1};
    return {gradient_placement(options, shape, ranks).of(rank), shape.nodes,
            std::clamp<Index>(options.micro_batches, 1, std::max<Index>(1, shape.nodes))};
}

std::uint64_t gradient_bytes(const SolverOptions& options, const NetworkShape& shape, int ranks, Index done) {
    const auto bytes = [](Index count) { return static_cast<std::uint64_t>(count) * sizeof(real); };
    if (ranks > 1 && options.has_workers()) return Workers::bytes_sent(options, shape, ranks, done);
    // Every part but the owner's own goes to the owner of its chunk, and the sum to all others.
    if (ranks > 1 && options.divides_nodes())
        return 2 * static_cast<std::uint64_t>(ranks - 1) *
               bytes(GradientNetwork::parameters_of(shape, {1, shape.layers}));
    // Over each border activations go forward and their gradients back.
    const int borders = (ranks > 1 ? std::min(ranks, shape.layers) : shape.layers) - 1;
    return 2 * static_cast<std::uint64_t>(borders) * bytes(shape.hidden * shape.nodes);
}

std::size_t gradient_epoch_bytes(const SolverOptions& options, const NetworkShape& shape, int ranks) {
    if (ranks == 1 || !options.divides_nodes()) return 0;
    return options.has_workers() ? Workers::bytes(options, shape, ranks)
                                 : static_cast<std::size_t>(DataParallelEpoch::staging(shape, ranks)) * sizeof(real);
}

}  // namespace pdadmm
