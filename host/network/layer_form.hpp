// How a layer's p and W are kept and updated, by counting (design 2): the one count that the algorithm's choice of a
// form, memory, the placement of layers and benchmarks go by. It depends on the network's shape and the step rule
// alone, never on stacks or ranks, so that bits do not either.
#pragma once

#include <vector>

#include "pdadmm/graph_products.hpp"

namespace pdadmm {

struct NetworkShape;

/// How the first layer is kept: by counting products, or forced (tests).
enum class FirstLayer { automatic, direct, node_space, conjugate };

/// How the first layer is kept and updated (design 2, "First layer").
struct FirstLayerForm {
    bool node_space = false;
    bool closed = false;      // W1 goes to its minimiser; under `block` not where that is too much work
    Index factor = 0;         // rows of the matrix that is then factorised once a stage, and again where nu changes
    bool by_graph = false;    // products of nodes are made by the graph and never formed
    int conjugate_steps = 0;  // of an iteration, where it is too much work in node space; else a gradient step
    /// Products of nodes are those of centred features.
    bool centred() const { return node_space && (closed || conjugate_steps > 0); }
    /// In products by the graph.
    FeatureWeights feature_weights() const {
        return by_graph && conjugate_steps > 0 ? FeatureWeights::by_size : FeatureWeights::none;
    }
};
/// By counting products and factors; `choice` may force the space.
FirstLayerForm first_layer_form(const NetworkShape& shape, FirstLayer choice = FirstLayer::automatic);
/// Of a row of R X_train' X by the graph, in multiplications of a dense product; of W X alone, or R X', it is half.
double by_graph_work(const NetworkShape& shape);
/// Whether X_train' X of the test nodes is worth its work in node space, where they are looked at with new best models
/// only: W1 is formed for those anyway.
bool products_pay_for_test(const NetworkShape& shape);

/// How p and W of a layer behind the first go to their minimisers under `block`.
struct LayerForm {
    bool closed = false;          // else gradient steps
    bool p_from_outputs = false;  // by W W' (n, n) in place of W'W (m, m)
    bool W_from_nodes = false;    // by p_c' p_c (N, N) in place of p_c p_c' (m, m)
};
LayerForm layer_form(const NetworkShape& shape, int layer);

/// C = op(A) op(B), C (m, n), over k.
struct Product {
    Trans ta, tb;
    Index m, n, k;
    double flops() const { return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k); }
};

/// What an iteration multiplies and factorises on one layer (host/admm/admm.cpp).
struct LayerProducts {
    std::vector<Product> products;
    double factor_flops = 0;  // of factorisations, inverses and solves; one in double counts as two
    double flops() const;
};
/// The same by what it must wait for: nothing, q of the layer before, p of this layer, and the sums over all nodes of
/// what the third part multiplies.
struct ProductsByPart {
    LayerProducts begin_p, move_p, gradient_W, move_W;
};
/// Of a layer in its form by counting, for `columns` of the training nodes. A quantised p is taken at its first trial.
ProductsByPart products_by_part(const NetworkShape& shape, int layer, Index columns, bool p_quantised = false);
/// All of them, for all training nodes.
LayerProducts iteration_products(const NetworkShape& shape, int layer, bool p_quantised = false);

}  // namespace pdadmm
