// A saved model on the nodes of a graph, a block of nodes after the other.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "host/run/model_file.hpp"

namespace pdadmm {

/// Gets the nodes of a block and what the layer makes of them, (rows, nodes) column-major.
using BlockVisitor = std::function<void(std::span<const std::int32_t> nodes, const std::vector<real>& values)>;

/// Bytes of X in a block by default. Every block is augmented anew, which costs time; memory is what augmentation needs
/// and one block.
inline constexpr std::uint64_t inference_block_bytes = std::uint64_t{1} << 30;

/// Layer `layer` (f(W p + b); of the last one the logits) of `nodes` in their order, block by block. What a block holds
/// does not depend on `block_bytes`, as far as that is room for ForwardPass::columns nodes. Throws DataError where the
/// graph has other features than the model's.
void each_block(Backend& backend, const SavedModel& saved, const Dataset& dataset, std::span<const std::int32_t> nodes,
                int layer, const BlockVisitor& visit, std::uint64_t block_bytes = inference_block_bytes);

/// Gets the number of a list besides.
using PartVisitor =
    std::function<void(std::size_t part, std::span<const std::int32_t> nodes, const std::vector<real>& values)>;

/// The same of several lists, one after the other, with the same values: those that fit into a block together are
/// augmented together.
void each_block(Backend& backend, const SavedModel& saved, const Dataset& dataset,
                const std::vector<std::span<const std::int32_t>>& parts, int layer, const PartVisitor& visit,
                std::uint64_t block_bytes = inference_block_bytes);

}  // namespace pdadmm
