// A stack of consecutive layers of equal shape, as views into a network's memory: what one phase of the algorithm
// works on. A network has up to three kinds of group: first layer, hidden layers (in one or more stacks), last layer.
#pragma once

#include "pdadmm/backend.hpp"
#include "pdadmm/graph_products.hpp"

namespace pdadmm {

class FeaturesByGraph;

struct LayerGroup {
    int first = 1;  // the paper's l of the first layer in the stack; layers count from 1
    int count = 1;
    bool is_first = false, is_last = false;
    bool node_space = false;      // first layer kept as V = W1 X, c, S (design 2)
    bool closed_form = false;     // p and W go to their minimisers; else gradient steps
    bool p_from_outputs = false;  // closed form of p by W W' (n, n) in place of W'W (m, m): host/network/layer_form.hpp
    bool W_from_nodes = false;    // closed form of W by p_c' p_c (N, N) in place of p_c p_c' (m, m)
    DecayTo decay = DecayTo::zero;

    Mat W;                // (n, m)
    Mat b, d;             // (n, 1); d: the last change of b
    Mat p;                // (m, N); the first layer's p is X and never written
    Mat z, r;             // (n, N); r = W p + b - z, carried
    Mat q, u;             // (n, N); not on the last layer
    CMat p_next;          // (n, N); p of the following layers
    CMat q_prev, u_prev;  // (m, N); q and u of the preceding layers

    bool rebuild_q = false;  // q is not kept: q and q_prev view scratch, filled from z and u before use
    CMat z_prev;             // rebuild_q: z of the preceding layers

    Mat g, h;                          // scratch, (m, N) and (n, N)
    Mat G;                             // scratch, (n, m)
    Mat d_p;                           // scratch of quantised p, (m, N)
    double* norm_sq = nullptr;         // |gradient|^2, one a layer
    real* inverse = nullptr;           // step sizes, one a layer
    std::int32_t* pending = nullptr;   // trials left, one a layer
    LayerFigures* figures = nullptr;   // one a layer
    Index ranges = 1;                  // of nodes, on this rank
    MessageHeader* headers = nullptr;  // codec difference: of the last quantised change, one a layer, range by range
    real* range_inverse = nullptr;     // codec difference: what inverse is within a range; of one range, inverse

    // For what products take of the nodes of all ranks (Backend::all_nodes).
    Index first_node = 0;  // of this rank's, among all training nodes
    Mat whole;             // scratch where others hold some: (n, N) in node space, (m, N) where W_from_nodes

    // Closed forms only.
    Mat F;  // scratch, (m, m): a Gram matrix, then its regularised inverse; of the first layer kept between iterations
    Mat move;                        // scratch, (m, N): P g, or kappa P g; first layer in node space, (n, N)
    Mat dW;                          // scratch, (n, m): G Q; not where W_from_nodes
    std::int32_t* failed = nullptr;  // bits of variables whose matrix could not be inverted, one a layer
    CMat gram;                       // first layer: of the centred features, of nodes in node space
    CMat gram_mean;                  // first layer in node space: X_c' xbar (N, 1)
    KeptInverse* kept = nullptr;     // first layer: what F was formed for

    // First layer by conjugate gradients in node space only.
    int conjugate_steps = 0;                // of an iteration
    Mat direction, image;                   // scratch, (n, N): E and E K_c
    ConjugateScalars* conjugate = nullptr;  // of the steps of one iteration

    // Node space only.
    FeaturesByGraph* by_graph = nullptr;                    // makes products with K, which is then nowhere
    FeatureWeights feature_weights = FeatureWeights::none;  // in them
    CMat K;    // X'X (N, N), this rank's columns; where `block` is told from nodes X_c'X_c, and V = W1 X has W1 xbar
               // beside it
    CMat V0;   // W1_0 X (n, N)
    Mat V, S;  // (n, N)
    NodeSpaceScalars* node_scalars = nullptr;

    Labels labels;  // last layer only
};

}  // namespace pdadmm
