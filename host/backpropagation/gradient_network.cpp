// Memory of backpropagation (host/backpropagation/gradient_network.hpp).
#include "host/backpropagation/gradient_network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index bucket_reals = Index{1} << 16;  // from about here on a message's bytes take longer than its beginning

Index rounded_up(Index value) {
    return (value + GradientNetwork::alignment - 1) / GradientNetwork::alignment * GradientNetwork::alignment;
}

/// Hidden layers whose activations are kept: the part's own, and the one below it.
LayerRange kept_activations(const NetworkShape& s, LayerRange own) {
    return own.count() == 0 ? LayerRange{} : LayerRange{std::max(1, own.first - 1), std::min(own.last, s.layers - 1)};
}

Index activation_reals(const NetworkShape& s, const GradientPart& part) {
    return kept_activations(s, part.layers).count() * s.hidden * part.nodes();
}
Index logit_reals(const NetworkShape& s, const GradientPart& part) {
    return part.layers.has(s.layers) ? s.classes * part.nodes() : 0;
}
/// Where a pair of activation gradients lies: those of layers inside, then what goes to the layers below, then what
/// comes from above.
struct Pairs {
    Index below = 2, above, end;
    Pairs(const NetworkShape& s, LayerRange own)
        : above(own.first > 1 ? 4 : 2), end(own.last < s.layers ? above + 2 : above) {}
};
Index gradient_reals(const NetworkShape& s, const GradientPart& part) {
    return part.layers.count() == 0 ? 0 : Pairs(s, part.layers).end * s.hidden * part.widest_batch();
}

Index range_gradient_reals(const NetworkShape& s, const GradientPart& part) {
    return part.ranges.count > 1 ? part.ranges.count * GradientNetwork::parameters_of(s, part.layers) : 0;
}
Index figures_of(const NetworkShape& s, const GradientPart& part) {
    return part.layers.count() + (part.layers.has(s.layers) ? part.ranges.count - 1 : 0);
}

}  // namespace

MicroBatch GradientPart::batch(Index m) const {
    if (pieces == 1) {
        const NodeRange held = NodeRange::share(ranges.count, m, batches);
        const Index first = ranges.first(held.first), last = held.first + held.count - 1;
        return {{first, ranges.first(last) + ranges.size(last) - first}, held.first, held.count, true, true};
    }
    const Index range = m / pieces, piece = m % pieces;
    NodeRange nodes = NodeRange::share(ranges.size(range), piece, pieces);
    nodes.first += ranges.first(range);
    return {nodes, range, 1, false, piece == 0};
}

Index GradientPart::widest_batch() const {
    Index widest = 0;
    for (Index m = 0; m < batches; ++m) widest = std::max(widest, batch(m).nodes.count);
    return widest;
}

Index GradientNetwork::parameters_of(const NetworkShape& s, LayerRange layers) {
    Index total = 0;
    for (int layer = layers.first; layer <= layers.last; ++layer)
        total += rounded_up(s.rows(layer) * s.cols(layer)) + rounded_up(s.rows(layer));
    return total;
}

std::size_t GradientNetwork::bytes(const NetworkShape& s, Optimizer optimizer, const GradientPart& part) {
    const Index arrays = 2 + optimizer_memories(optimizer);
    return static_cast<std::size_t>(arrays * parameters_of(s, part.layers) + range_gradient_reals(s, part) +
                                    activation_reals(s, part) + logit_reals(s, part) + gradient_reals(s, part)) *
           sizeof(real);
}

GradientNetwork::GradientNetwork(Backend& backend, const NetworkShape& shape, Optimizer optimizer,
                                 const GradientPart& part)
    : shape_(shape), part_(part), widest_batch_(part.widest_batch()), buckets_(buckets(shape, part.layers)) {
    const std::size_t need = bytes(shape, optimizer, part), available = backend.free_memory();
    if (need > available)
        throw DeviceError(
            fmt::format("memory of the {} backend: {:.2f} GiB free, expected {:.2f} GiB for {} layers of {} neurons on "
                        "{} nodes; use fewer layers, "
                        "neurons or nodes",
                        backend.name(), static_cast<double>(available) / (1 << 30),
                        static_cast<double>(need) / (1 << 30), part.layers.count(), shape.hidden, part.nodes()));
    const Index total = parameters_of(shape, part.layers);
    for (int array = 0; array < 2 + optimizer_memories(optimizer); ++array) {
        arrays_.emplace_back(backend, total);
        backend.zero(arrays_.back().data(), static_cast<std::size_t>(total) * sizeof(real));
        parts_.push_back(laid_out(arrays_.back().data()));
    }
    range_gradients_ = {backend, range_gradient_reals(shape, part)};
    activations_ = {backend, activation_reals(shape, part)};
    logits_ = {backend, logit_reals(shape, part)};
    gradients_ = {backend, gradient_reals(shape, part)};
    step_ = {backend, 1};
    backend.zero(step_.data(), sizeof(Index));
    figures_ = {backend, figures_of(shape, part)};
    backend.zero(figures_.data(), static_cast<std::size_t>(figures_.count()) * sizeof(LayerFigures));
}

Parameters GradientNetwork::laid_out(real* at) const {
    Parameters p{shape_, {}, {}};
    const auto next = [&](bool here, Index rows, Index cols) {
        const Mat m{here ? at : nullptr, rows, cols, rows, 1, rows * cols};
        if (here) at += rounded_up(rows * cols);
        return m;
    };
    for (int layer = 1; layer <= shape_.layers; ++layer) {
        p.W.push_back(next(layers().has(layer), shape_.rows(layer), shape_.cols(layer)));
        p.b.push_back(next(layers().has(layer), shape_.rows(layer), 1));
    }
    return p;
}

Mat GradientNetwork::range(Array array, LayerRange layers) const {
    const auto which = static_cast<std::size_t>(array);
    if (which >= arrays_.size()) return {};
    const Index count = parameters_of(shape_, layers);
    return {arrays_[which].data() + offset(layers.first), alignment, count / alignment, alignment, 1, count};
}

std::vector<LayerRange> GradientNetwork::buckets(const NetworkShape& shape, LayerRange layers) {
    std::vector<LayerRange> all;
    for (int last = layers.last; last >= layers.first;) {
        LayerRange bucket{last, last};
        while (bucket.first > layers.first && parameters_of(shape, bucket) < bucket_reals) --bucket.first;
        all.push_back(bucket);
        last = bucket.first - 1;
    }
    return all;
}

Mat GradientNetwork::range_gradients(LayerRange bucket) const {
    Mat m = range(Array::gradient, bucket);
    m.batch = part_.ranges.count;
    if (m.batch > 1) m.data = range_gradients_.data() + m.batch * offset(bucket.first);
    return m;
}

std::pair<Mat, Mat> GradientNetwork::range_gradient(int layer, Index first, Index count) const {
    const LayerRange bucket =
        *std::find_if(buckets_.begin(), buckets_.end(), [layer](LayerRange some) { return some.has(layer); });
    const Mat all = range_gradients(bucket);
    const Index n = shape_.rows(layer), m = shape_.cols(layer);
    real* const at = all.data + first * all.stride + offset(layer) - offset(bucket.first);
    return {{at, n, m, n, count, all.stride}, {at + rounded_up(n * m), n, 1, n, count, all.stride}};
}

std::vector<LayerRange> GradientNetwork::stacks() const {
    std::vector<LayerRange> all;
    for (const LayerRange equal :
         {LayerRange{1, 1}, LayerRange{2, shape_.layers - 1}, LayerRange{shape_.layers, shape_.layers}}) {
        const LayerRange here{std::max(equal.first, layers().first), std::min(equal.last, layers().last)};
        if (here.count() > 0) all.push_back(here);
    }
    return all;
}

Mat GradientNetwork::stack(Array array, LayerRange layers) const {
    Mat m = range(array, {layers.first, layers.first});
    m.batch = layers.count();
    return m;
}

Mat GradientNetwork::activation(int layer) const {
    const Index n = shape_.rows(layer);
    if (layer == shape_.layers) return {logits_.data(), n, part_.nodes(), n};
    return {activations_.data() + (layer - kept_activations(shape_, layers()).first) * n * part_.nodes(), n,
            part_.nodes(), n};
}

Mat GradientNetwork::activation_gradient(int layer, Index micro_batch) const {
    const Index n = shape_.hidden, turn = micro_batch % 2;
    const Pairs pairs(shape_, layers());
    const Index slot = layer < layers().first   ? pairs.below + turn
                       : layer == layers().last ? pairs.above + turn
                                                : layer % 2;
    return {gradients_.data() + slot * n * widest_batch_, n, part_.batch(micro_batch).nodes.count, n};
}

}  // namespace pdadmm
