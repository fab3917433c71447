// Where ways of training meet (host/run/trainers.hpp). The only file that knows them all.
#include "host/run/trainers.hpp"

#include <fmt/format.h>

#include <numeric>

#include "host/admm/quantisers.hpp"
#include "host/admm/solver.hpp"
#include "host/backpropagation/backpropagation.hpp"

namespace pdadmm {

std::unique_ptr<Trainer> make_trainer(Backend& backend, const NodeData& data, const SolverOptions& options,
                                      RankLinks links) {
    if (options.optimizer == Optimizer::admm) return std::make_unique<Solver>(backend, data, options, links);
    return std::make_unique<Backpropagation>(backend, data, options, links);
}

std::size_t training_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options, int rank,
                           int ranks) {
    return options.optimizer == Optimizer::admm ? admm_bytes(backend, data, options, rank, ranks)
                                                : backpropagation_bytes(backend, data, options, rank, ranks);
}

NodeData rank_data(Backend& backend, const AugmentedNodes& nodes, const SolverOptions& options, int rank, int ranks) {
    if (options.has_workers()) return {backend, nodes, rank, ranks};
    const Grid grid{ranks / options.node_blocks, options.node_blocks};
    const NodeBlock block{grid.node_block(rank), grid.nodes, options.node_ranges, options.optimizer == Optimizer::admm};
    return {backend, nodes, grid.layer_block(rank) == 0, block};
}

std::vector<std::size_t> memory_of_ranks(const Backend& backend, const NodeData& data, const SolverOptions& options,
                                         int ranks) {
    std::vector<std::size_t> bytes;
    for (int rank = 0; rank < ranks; ++rank) bytes.push_back(training_bytes(backend, data, options, rank, ranks));
    return bytes;
}

std::uint64_t border_bytes(const SolverOptions& options, const NetworkShape& shape) {
    const Index elements = shape.hidden * shape.nodes;
    if (options.optimizer != Optimizer::admm) return 2 * static_cast<std::uint64_t>(elements) * sizeof(real);
    const BorderQuantizers quantizers = border_quantizers(options, nullptr);
    const NodeRanges ranges = NodeRanges::asked_for(shape.nodes, options.node_ranges);
    return ranges_message_bytes(shape.hidden, ranges, 0, ranges.count, quantizers.p) +
           ranges_message_bytes(shape.hidden, ranges, 0, ranges.count, quantizers.q);
}

double training_flops(const SolverOptions& options, const NodeData& data) {
    const bool admm = options.optimizer == Optimizer::admm;
    const bool p_quantised = admm && border_quantizers(options, nullptr).p.codec != Codec::none;
    double sum = 0;
    for (std::size_t stage = 0; stage < options.stages.size(); ++stage) {
        const NetworkShape shape = stage_shape(options, data, stage);
        std::vector<double> layers = gradient_costs(shape);
        for (int layer = 1; admm && layer <= shape.layers; ++layer)
            layers[static_cast<std::size_t>(layer) - 1] = iteration_products(shape, layer, p_quantised).flops();
        sum += options.stages[stage].epochs * std::accumulate(layers.begin(), layers.end(), 0.0);
    }
    return sum;
}

std::string rank_table(const SolverOptions& options, const NetworkShape& shape, int ranks, const CostModel& costs,
                       std::span<const std::size_t> memory, std::span<const RankPlace> places) {
    if (options.optimizer == Optimizer::admm)
        return placement_table(place_layers(options.placement, shape, ranks / options.node_blocks, costs),
                               costs.of(shape), memory, options.node_blocks, places);
    if (!options.has_workers())
        return placement_table(gradient_placement(options, shape, ranks), gradient_costs(shape), memory,
                               options.node_blocks, places);
    std::string text = "rank  training nodes  memory";
    for (int rank = 0; rank < ranks; ++rank)
        text += fmt::format("\n{:>4}  {:>14}  {:.1f} MiB", rank, NodeRange::share(shape.nodes, rank, ranks).count,
                            static_cast<double>(memory[static_cast<std::size_t>(rank)]) / (1 << 20));
    return text;
}

}  // namespace pdadmm
