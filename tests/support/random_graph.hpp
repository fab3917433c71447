// Random stored adjacencies: directed edges, self loops, repeated entries, isolated nodes, rows out of order, weights;
// and the comparison of the operators that come of them.
#pragma once

#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "pdadmm/backend.hpp"
#include "pdadmm/dataset.hpp"
#include "pdadmm/graph.hpp"

namespace pdadmm {

/// `edges` draws with repetition between the first `nodes - isolated` nodes. Weights: 1, or from [0, 4) and some zeros.
inline Csr random_adjacency(std::mt19937_64& random, Index nodes, Index isolated, Index edges, bool weighted) {
    const auto below = [&](Index count) { return static_cast<Index>(random() % static_cast<std::uint64_t>(count)); };
    const auto draw_weight = [&] { return below(8) == 0 ? 0.0F : static_cast<float>(random() >> 40) * 0x1p-22F; };
    std::vector<std::vector<std::pair<std::int32_t, float>>> rows(static_cast<std::size_t>(nodes));
    for (Index e = 0; e < edges; ++e) {
        const Index from = below(nodes - isolated), to = below(6) == 0 ? from : below(nodes - isolated);
        rows[static_cast<std::size_t>(from)].emplace_back(static_cast<std::int32_t>(to),
                                                          weighted ? draw_weight() : 1.0F);
    }
    Csr a{nodes, nodes, {0}, {}, {}};
    for (const auto& row : rows) {
        for (const auto& [column, weight] : row) {
            a.columns.push_back(column);
            a.values.push_back(weight);
        }
        a.offsets.push_back(a.nnz());
    }
    return a;
}

/// Graphs of many shapes, from one node without edges up.
inline std::vector<Csr> random_adjacencies(std::mt19937_64& random) {
    std::vector<Csr> graphs;
    for (const bool weighted : {false, true}) {
        graphs.push_back(random_adjacency(random, 1, 0, 0, weighted));
        graphs.push_back(random_adjacency(random, 1, 0, 3, weighted));
        graphs.push_back(random_adjacency(random, 40, 7, 0, weighted));
        graphs.push_back(random_adjacency(random, 40, 7, 150, weighted));
        graphs.push_back(random_adjacency(random, 7, 0, 300, weighted));  // every entry many times
        graphs.push_back(random_adjacency(random, 500, 100, 2000, weighted));
    }
    return graphs;
}

/// "" or the first difference of two operators.
inline std::string difference(const PropagationOperator& a, const PropagationOperator& b) {
    if (a.nodes != b.nodes) return "nodes";
    if (a.offsets.download() != b.offsets.download()) return "offsets";
    if (a.columns.download() != b.columns.download()) return "columns";
    const auto x = a.values.download(), y = b.values.download();
    for (std::size_t i = 0; i < x.size(); ++i)
        if (!(x[i] == y[i])) return fmt::format("value {}: {:.9g}, expected {:.9g}", i, x[i], y[i]);
    return "";
}

/// All choices.
inline std::vector<GraphOptions> graph_options() {
    std::vector<GraphOptions> all;
    for (const Norm norm : {Norm::sym, Norm::row, Norm::none})
        for (const SelfLoops loops : {SelfLoops::add, SelfLoops::keep, SelfLoops::none})
            for (const bool directed : {false, true}) all.push_back({norm, loops, directed});
    return all;
}

}  // namespace pdadmm
