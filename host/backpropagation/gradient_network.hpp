// A rank's part of a network under backpropagation: weights, their gradient, the optimizer's memory, activations.
#pragma once

#include "host/network/network.hpp"

namespace pdadmm {

/// What a rank has of the work: layers, training nodes, and into how many parts these are cut on their way through the
/// layers.
struct GradientPart {
    LayerRange layers;
    Index nodes = 0;
    Index micro_batches = 1;  // at most one a node

    NodeRange batch(Index m) const { return NodeRange::share(nodes, m, micro_batches); }
    Index widest_batch() const { return NodeRange::widest(nodes, micro_batches); }
};

/// All parameters of the part lie in one array, layer after layer (W, then b), and so do their gradients and each of
/// the optimizer's memories: steps and messages take ranges of them. Of layers that other ranks hold only shapes are
/// known.
class GradientNetwork {
public:
    static constexpr Index alignment = 64;  // reals: a matrix of any layer begins where products and passes are fastest
    /// All weights and memory are zero. Throws DeviceError where backend memory is short, before anything is taken.
    GradientNetwork(Backend& backend, const NetworkShape& shape, Optimizer optimizer, const GradientPart& part);
    /// The whole network on one rank.
    GradientNetwork(Backend& backend, const NetworkShape& shape, Optimizer optimizer)
        : GradientNetwork(backend, shape, optimizer, {{1, shape.layers}, shape.nodes}) {}
    static std::size_t bytes(const NetworkShape& shape, Optimizer optimizer, const GradientPart& part);
    /// Reals that the parameters of some layers take, with the zeros that align them.
    static Index parameters_of(const NetworkShape& shape, LayerRange layers);

    const NetworkShape& shape() const { return shape_; }
    const GradientPart& part() const { return part_; }
    LayerRange layers() const { return part_.layers; }
    const Parameters& weights() const { return parts_[0]; }
    const Parameters& gradient() const { return parts_[1]; }
    /// As far as the optimizer has it: see update_parameter (pdadmm/gradients.hpp).
    int memories() const { return static_cast<int>(parts_.size()) - 2; }
    const Parameters& memory(int which) const { return parts_[static_cast<std::size_t>(2 + which)]; }

    enum class Array : std::size_t { weights, gradient, first, second };
    /// Parameters of some of the layers as one matrix of `alignment` rows, with zeros between them; no data where the
    /// optimizer has no such array.
    Mat range(Array array, LayerRange layers) const;
    /// The layers in stacks of equal ones: first layer, hidden layers, last layer, as far as they are here.
    std::vector<LayerRange> stacks() const;
    /// W and b of the layers in another array of parameters_of(shape(), layers()) reals, laid out as these are.
    Parameters laid_out(real* at) const;
    /// range() of a stack, a matrix a layer.
    Mat stack(Array array, LayerRange layers) const;

    /// Outputs of a layer (rows of the layer, nodes), also of the one before the first of these layers; of the last
    /// layer of all the logits, and then their gradient.
    Mat activation(int layer) const;
    Mat activation(int layer, NodeRange nodes) const { return activation(layer).columns(nodes.first, nodes.count); }
    /// The gradient by what a layer l < L adds its bias to, of the nodes of a micro-batch. Within the part it shares
    /// memory with that of every second layer; at its borders, where messages travel, with that of every second
    /// micro-batch.
    Mat activation_gradient(int layer, Index micro_batch) const;

    Index* step() const { return step_.data(); }
    LayerFigures* figures() const { return figures_.data(); }  // of layers().first and following

private:
    Index offset(int layer) const { return parameters_of(shape_, {part_.layers.first, layer - 1}); }

    NetworkShape shape_;
    GradientPart part_;
    std::vector<Buffer<real>> arrays_;
    std::vector<Parameters> parts_;
    Buffer<real> activations_, logits_;
    Buffer<real> gradients_;  // even and odd layers; before the first layer, after the last: even and odd micro-batches
    Buffer<Index> step_;
    Buffer<LayerFigures> figures_;
};

}  // namespace pdadmm
