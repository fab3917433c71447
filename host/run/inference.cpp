// A saved model on a graph (host/run/inference.hpp).
#include "host/run/inference.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pdadmm/error.hpp"

namespace pdadmm {

void each_block(Backend& backend, const SavedModel& saved, const Dataset& dataset, std::span<const std::int32_t> nodes,
                int layer, const BlockVisitor& visit, std::uint64_t block_bytes) {
    const Index inputs = saved.model.shape.inputs, given = augmented_inputs(saved.augment, dataset.features.count);
    if (inputs != given)
        throw DataError(
            fmt::format("{}: {} features make {} inputs, expected {} inputs for this model; use a graph with the "
                        "features it was trained on",
                        dataset.name, dataset.features.count, given, inputs));
    constexpr std::uint64_t fewest = 256, whole = ForwardPass::columns;
    std::uint64_t fitting = std::max(fewest, block_bytes / (static_cast<std::uint64_t>(inputs) * sizeof(real)));
    if (fitting > whole) fitting -= fitting % whole;
    const ForwardPass forward(backend, saved.model, layer);
    while (!nodes.empty()) {
        const auto block = nodes.first(std::min<std::size_t>(nodes.size(), fitting));
        const std::vector<real> X = augment(backend, dataset, block, saved.augment);
        visit(block, forward(X));
        nodes = nodes.subspan(block.size());
    }
}

}  // namespace pdadmm
