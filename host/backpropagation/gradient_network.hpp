// A rank's part of a network under backpropagation: weights, their gradient, the optimizer's memory, activations.
#pragma once

#include <algorithm>

#include "host/network/network.hpp"

namespace pdadmm {

/// Nodes that pass through the layers together: whole ranges of the nodes here, or a piece of one range.
struct MicroBatch {
    NodeRange nodes;      // of those here
    Index range, ranges;  // the first of its ranges, and how many
    bool whole_ranges;    // else a piece
    bool first_of_range;  // of the pieces of its range
};

/// What a rank has of the work: layers, and training nodes in ranges (node_ranges.hpp), each of which is cut into
/// `pieces`. Into how many pieces decides last bits; how many whole ranges are a micro-batch does not.
struct GradientPart {
    LayerRange layers;
    NodeRanges ranges{0};
    Index pieces = 1;   // of each range; with several every one is a micro-batch
    Index batches = 1;  // micro-batches of the nodes here

    /// All nodes in one range, with as many micro-batches as there are nodes at most.
    static GradientPart of_one_range(LayerRange layers, Index nodes, Index micro_batches = 1) {
        const Index pieces = std::clamp<Index>(micro_batches, 1, std::max<Index>(1, nodes));
        return {layers, NodeRanges(nodes, 1), pieces, pieces};
    }
    Index nodes() const { return ranges.nodes; }
    MicroBatch batch(Index m) const;
    Index widest_batch() const;
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
        : GradientNetwork(backend, shape, optimizer, GradientPart::of_one_range({1, shape.layers}, shape.nodes)) {}
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
    /// Contiguous layers of `layers` from the last to the first, each bucket just large enough to be worth a message.
    static std::vector<LayerRange> buckets(const NetworkShape& shape, LayerRange layers);
    const std::vector<LayerRange>& buckets() const { return buckets_; }
    /// The gradient of a bucket's layers as each range's nodes have it: range() in a stack of all ranges, one after the
    /// other. The sum over them belongs into gradient(), which with one range it is itself.
    Mat range_gradients(LayerRange bucket) const;
    /// The same of W and b of a layer, for some ranges.
    std::pair<Mat, Mat> range_gradient(int layer, Index first, Index count) const;

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
    /// The gradient by what a layer l < L adds its bias to, of the nodes of a micro-batch. Within the part it shares
    /// memory with that of every second layer; at its borders, where messages travel, with that of every second
    /// micro-batch.
    Mat activation_gradient(int layer, Index micro_batch) const;

    Index* step() const { return step_.data(); }
    /// Of layers().first and following; where the last layer is here there is one for each range behind it, from the
    /// last layer's on: `risk` is that of the range's nodes.
    LayerFigures* figures() const { return figures_.data(); }
    int figure_count() const { return static_cast<int>(figures_.count()); }

private:
    Index offset(int layer) const { return parameters_of(shape_, {part_.layers.first, layer - 1}); }

    NetworkShape shape_;
    GradientPart part_;
    Index widest_batch_;
    std::vector<Buffer<real>> arrays_;
    std::vector<Parameters> parts_;
    std::vector<LayerRange> buckets_;
    Buffer<real> range_gradients_;  // bucket after bucket; none with one range
    Buffer<real> activations_, logits_;
    Buffer<real> gradients_;  // even and odd layers; before the first layer, after the last: even and odd micro-batches
    Buffer<Index> step_;
    Buffer<LayerFigures> figures_;
};

}  // namespace pdadmm
