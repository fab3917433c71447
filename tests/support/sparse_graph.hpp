// Graphs whose features are many and nearly all zero, for products by the graph (pdadmm/graph_products.hpp).
#pragma once

#include <algorithm>
#include <numeric>
#include <random>

#include "host/data/augmentation.hpp"
#include "host/data/graph_products.hpp"
#include "tests/support/random_graph.hpp"

namespace pdadmm {

/// Two features a node, drawn from those of its class, or from all; positive.
inline Dataset sparse_graph(std::mt19937_64& random, Index nodes, Index features, Index classes) {
    Dataset d;
    d.name = "sparse";
    d.nodes = nodes;
    d.classes = classes;
    d.adjacency = random_adjacency(random, nodes, nodes / 20, nodes / 3, true);
    d.features.count = features;
    d.features.sparse = {nodes, features, {0}, {}, {}};
    const auto below = [&](Index count) { return static_cast<Index>(random() % static_cast<std::uint64_t>(count)); };
    for (Index i = 0; i < nodes; ++i) {
        const Index label = below(classes), own = features / classes;
        d.labels.push_back(static_cast<std::int32_t>(label));
        std::array<Index, 2> columns{label * own + below(own), below(features)};
        if (columns[0] == columns[1]) columns[1] = (columns[1] + 1) % features;
        for (const Index column : columns) {
            d.features.sparse.columns.push_back(static_cast<std::int32_t>(column));
            d.features.sparse.values.push_back(static_cast<float>(1 + below(3)));
        }
        d.features.sparse.offsets.push_back(d.features.sparse.nnz());
    }
    return d;
}

/// The first nodes to train, those that follow to validate, then those to test.
inline Split split_in_order(std::array<Index, 3> counts) {
    Split split;
    std::int32_t next = 0;
    std::size_t set = 0;
    for (auto* part : {&split.train, &split.val, &split.test}) {
        part->resize(static_cast<std::size_t>(counts[set++]));
        for (std::int32_t& node : *part) node = next++;
    }
    return split;
}

/// Augmented by `hops`, of unit length, with products by the graph.
inline AugmentedNodes nodes_by_graph(std::array<Index, 3> counts, int hops, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const Dataset graph = sparse_graph(random, counts[0] + counts[1] + counts[2] + 9, 400, 3);
    AugmentOptions options;
    options.hops = hops;
    options.feature_norm = FeatureNorm::l2;
    return augment_split(*make_backend("cpu", {}), graph, split_in_order(counts), options);
}

}  // namespace pdadmm
