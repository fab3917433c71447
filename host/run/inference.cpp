// A saved model on a graph (host/run/inference.hpp).
#include "host/run/inference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pdadmm/error.hpp"

namespace pdadmm {

void each_block(Backend& backend, const SavedModel& saved, const Dataset& dataset,
                const std::vector<std::span<const std::int32_t>>& parts, int layer, const PartVisitor& visit,
                std::uint64_t block_bytes) {
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
    std::vector<std::pair<std::size_t, std::span<const std::int32_t>>> pieces;  // of the block that is being filled
    std::vector<std::int32_t> block;
    const auto visit_pieces = [&] {
        if (pieces.empty()) return;
        const std::vector<real> X = augment(backend, dataset, block, saved.augment);
        std::span<const real> left(X);
        for (const auto& [part, nodes] : pieces) {
            const std::size_t size = nodes.size() * static_cast<std::size_t>(inputs);
            visit(part, nodes, forward(left.first(size)));
            left = left.subspan(size);
        }
        pieces.clear();
        block.clear();
    };
    for (std::size_t part = 0; part < parts.size(); ++part)
        for (auto rest = parts[part]; !rest.empty();) {
            const auto piece = rest.first(std::min<std::size_t>(rest.size(), fitting));
            if (block.size() + piece.size() > fitting) visit_pieces();
            pieces.emplace_back(part, piece);
            block.insert(block.end(), piece.begin(), piece.end());
            rest = rest.subspan(piece.size());
        }
    visit_pieces();
}

void each_block(Backend& backend, const SavedModel& saved, const Dataset& dataset, std::span<const std::int32_t> nodes,
                int layer, const BlockVisitor& visit, std::uint64_t block_bytes) {
    each_block(
        backend, saved, dataset, {nodes}, layer,
        [&](std::size_t, std::span<const std::int32_t> block, const std::vector<real>& values) {
            visit(block, values);
        },
        block_bytes);
}

}  // namespace pdadmm
