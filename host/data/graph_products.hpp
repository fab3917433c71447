// Whether products of augmented features are worth making by the graph, and what that takes
// (pdadmm/graph_products.hpp).
#pragma once

#include <memory>

#include "host/data/augmentation.hpp"
#include "pdadmm/graph_products.hpp"

namespace pdadmm {

/// Of products with X (augmented_inputs, nodes of `split`), from counts alone and at most; nothing where N rows of X
/// are less work than N such products, and where the graph does not say what X is: dense features, features of unit
/// length (FeatureNorm::l2) among which there are negative ones, or blocks that are not one power of an operator.
GraphWork graph_work(const Dataset& dataset, const Split& split, const AugmentOptions& options);

/// The matrices, for X that augment() made of these; null where the graph does not say what X is.
std::shared_ptr<const GraphProducts> graph_products(const Dataset& dataset, const Split& split,
                                                    const AugmentOptions& options, std::span<const real> X);

/// Where `nodes`, which has its X, is to have products by the graph, and host memory is the backend's: the matrices.
void take_graph_products(const Backend& backend, const Dataset& dataset, const Split& split,
                         const AugmentOptions& options, AugmentedNodes& nodes);

}  // namespace pdadmm
