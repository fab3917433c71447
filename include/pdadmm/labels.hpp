// The classes of training nodes, and what a node's cross entropy counts in the risk.
#pragma once

#include "pdadmm/types.hpp"

namespace pdadmm {

/// R(z; y) = sum over nodes of w_y crossentropy(softmax(z); y). Both arrays are in backend memory.
struct Labels {
    const std::int32_t* of_nodes = nullptr;
    const double* class_weights = nullptr;  // w, above 0; null: 1 each

    Labels() = default;
    PDADMM_HD Labels(const std::int32_t* labels, const double* weights = nullptr)
        : of_nodes(labels), class_weights(weights) {}
    PDADMM_HD std::int32_t operator[](Index node) const { return of_nodes[node]; }
    PDADMM_HD double weight(Index node) const { return class_weights ? class_weights[of_nodes[node]] : 1; }
};

}  // namespace pdadmm
