// Whether products of augmented features are worth making by the graph, and what that takes
// (pdadmm/graph_products.hpp).
#pragma once

#include <memory>

#include "host/data/augmentation.hpp"
#include "pdadmm/graph_products.hpp"

namespace pdadmm {

/// About how many entries of sparse matrices a product of one row with X (augmented_inputs, nodes of `split`) by the
/// graph multiplies, from counts alone; 0 where N rows of X are less work than N such products, and where the graph does
/// not say what X is: dense features, or features of unit length (FeatureNorm::l2) among which there are negative ones,
/// or blocks that are not one power of an operator.
double graph_entries(const Dataset& dataset, const Split& split, const AugmentOptions& options);

/// The matrices, for X that augment() made of these; null where the graph does not say what X is.
std::shared_ptr<const GraphProducts> graph_products(const Dataset& dataset, const Split& split,
                                                    const AugmentOptions& options, std::span<const real> X);

/// Where `nodes`, which has its X, is to have products by the graph, and host memory is the backend's: the matrices.
void take_graph_products(const Backend& backend, const Dataset& dataset, const Split& split,
                         const AugmentOptions& options, AugmentedNodes& nodes);

}  // namespace pdadmm
