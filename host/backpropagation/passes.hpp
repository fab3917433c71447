// Forward and backward through the layers that a rank holds, for the nodes of a micro-batch: 3 products a layer, 2 in
// the first.
#pragma once

#include "host/backpropagation/gradient_network.hpp"

namespace pdadmm {

/// What an epoch of backpropagation reads beside the network.
struct GradientTask {
    CMat X;           // (n0, nodes of the part); only where the first layer is
    Labels labels;    // of these nodes; only where the last layer is
    Dropout dropout;  // of a seed and stage; its node is the part's first among all training nodes
    Index nodes = 0;  // so many in one range in place of the part's, the first of which the network has room for; their
                      // mean is the loss. 0: the part's, and the mean is that of all ranks' nodes
    FeaturesByGraph* by_graph = nullptr;  // in X's place, where all training nodes are one range and micro-batch
};

/// Activations of all layers here for a micro-batch, from X or from the activation below the first layer.
void forward(Backend& backend, const GradientNetwork& net, const GradientTask& task, Index micro_batch);
/// From the logits of all nodes their gradient by the mean over shape().nodes, and the summed cross entropies of the
/// ranges into the figures. Nothing without the last layer.
void loss_gradient(Backend& backend, const GradientNetwork& net, const GradientTask& task);
/// Range gradients of `layers`, which end where the one before began, from the activation gradient above them: set by
/// the first micro-batch of a range, added to by those after it. Leaves the activation gradient below.
void backward(Backend& backend, const GradientNetwork& net, const GradientTask& task, LayerRange layers,
              Index micro_batch);

/// One epoch's range gradients at the present weights of a network that is all here, and the risks: every micro-batch
/// forward, then every one backward, both in order.
void backpropagate(Backend& backend, const GradientNetwork& net, const GradientTask& task);

}  // namespace pdadmm
