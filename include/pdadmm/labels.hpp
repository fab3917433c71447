// What is true of nodes: one class each, or several labels each; and what a node's cross entropy counts in the risk.
#pragma once

#include <cstdint>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// One class a node: R(z; y) = sum over nodes of w_y crossentropy(softmax(z); y).
/// Several labels a node: R(z; T) = sum over nodes and labels of log(1 + e^z) - t z, the sigmoid cross entropy.
/// All arrays are in backend memory.
struct Labels {
    const std::int32_t* of_nodes = nullptr;  // its class; with targets 0; -1: nothing is known of the node
    const double* class_weights = nullptr;   // w, above 0; null: 1 each; never with targets
    const std::uint8_t* targets = nullptr;   // (labels, nodes), 1 where a node has the label, else 0

    Labels() = default;
    PDADMM_HD Labels(const std::int32_t* labels, const double* weights = nullptr, const std::uint8_t* t = nullptr)
        : of_nodes(labels), class_weights(weights), targets(t) {}
    PDADMM_HD bool several() const { return targets != nullptr; }
    PDADMM_HD std::int32_t operator[](Index node) const { return of_nodes[node]; }
    PDADMM_HD double weight(Index node) const { return class_weights ? class_weights[of_nodes[node]] : 1; }
    /// Null where the node has one class.
    PDADMM_HD const std::uint8_t* targets_of(Index node, Index count) const {
        return targets ? targets + node * count : nullptr;
    }
    /// Those of a node and the nodes after it, each with `count` labels.
    PDADMM_HD Labels from(Index node, Index count) const {
        return {of_nodes + node, class_weights, targets_of(node, count)};
    }
};

}  // namespace pdadmm
