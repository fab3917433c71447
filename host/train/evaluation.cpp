// Forward passes (host/train/evaluation.hpp). Shapes: activations (n, columns) in two buffers that take turns.
#include "host/train/evaluation.hpp"

#include <algorithm>
#include <cmath>

namespace pdadmm {
namespace {

constexpr Index forward_columns = 4096;

/// a_l for the layers of `own` above 1 from the activation before them in `x`; returns the view of the last.
template <typename Weights, typename Bias>
Mat forward_hidden(Backend& be, const NetworkShape& shape, LayerRange own, Weights&& W, Bias&& b, Mat x, real* spare) {
    real* from = x.data;
    for (int layer = std::max(2, own.first); layer <= own.last; ++layer) {
        const Index rows = shape.rows(layer);
        const Mat y{spare, rows, x.cols, rows};
        be.gemm(Trans::no, Trans::no, 1, W(layer), x, 0, y);
        be.add_bias(b(layer), layer == shape.layers, y);
        spare = from;
        from = y.data;
        x = y;
    }
    return x;
}

Index columns_at_once(const NodeData& data) { return std::min(forward_columns, std::max<Index>(1, data.nodes())); }

}  // namespace

std::size_t Evaluator::buffer_bytes(const NodeData& data, Index hidden) {
    return static_cast<std::size_t>(std::max(hidden, data.classes()) * columns_at_once(data)) * sizeof(real);
}

Evaluator::Evaluator(Backend& backend, const NodeData& data, Index hidden, Ranks& ranks)
    : backend_(backend),
      data_(data),
      ranks_(ranks),
      block_(columns_at_once(data)),
      even_(backend, std::max(hidden, data.classes()) * block_),
      odd_(backend, std::max(hidden, data.classes()) * block_),
      tallies_(backend, 3) {}

Evaluator::Layers Evaluator::layers_of(Network& net) {
    const auto first = [this, &net](Index column, Mat a) {
        if (net.node_space()) {  // W1 X = c W1_0 X - S X_train' X
            backend_.copy(net.V0().columns(column, a.cols), a);
            backend_.scale_by_c(net.node_scalars(), a);
            backend_.gemm(Trans::no, Trans::no, -1, net.S(),
                          data_.gram(backend_, net.plan().first.closed).columns(column, a.cols), 1, a);
        } else {
            backend_.gemm(Trans::no, Trans::no, 1, net.W(1), data_.X().columns(column, a.cols), 0, a);
        }
    };
    return {net.layers(), first, [&net](int l) { return net.W(l); }, [&net](int l) { return net.b(l); }};
}

Evaluator::Layers Evaluator::layers_of(const Parameters& net, LayerRange own) {
    const auto first = [this, net](Index column, Mat a) {
        backend_.gemm(Trans::no, Trans::no, 1, net.W[0], data_.X().columns(column, a.cols), 0, a);
    };
    return {own, first, [net](int l) { return net.W[static_cast<std::size_t>(l - 1)]; },
            [net](int l) { return net.b[static_cast<std::size_t>(l - 1)]; }};
}

void Evaluator::classify(CMat logits, Index first) {
    Index begin = 0;
    for (std::size_t set = 0; set < data_.held().size(); begin += data_.held()[set++]) {
        const Index from = std::max(begin, first), to = std::min(begin + data_.held()[set], first + logits.cols);
        if (from < to)
            backend_.classify(logits.columns(from - first, to - from), data_.labels() + from, tallies_.data() + set);
    }
}

void Evaluator::forward(const NetworkShape& shape, const Layers& layers, Index first, Index count) {
    const LayerRange own = layers.own;
    const Index n = shape.hidden;
    if (own.count() == 0) return;
    for (Index end = first + count; first < end; first += block_) {
        const Mat a{even_.data(), n, std::min(block_, end - first), n};
        if (own.has(1)) {
            layers.first(first, a);
            backend_.add_bias(layers.b(1), false, a);
        } else {
            ranks_.receive_left(a);
        }
        const Mat out = forward_hidden(backend_, shape, own, layers.W, layers.b, a, odd_.data());
        if (own.has(shape.layers))
            classify(out, first);
        else
            ranks_.send_right(out);
    }
}

const double* Evaluator::training_cost(Network& net) {
    backend_.zero(tallies_.data(), 3 * sizeof(Tally));
    forward(net.shape(), layers_of(net), 0, data_.train());
    return &tallies_.data()->cost;
}

Evaluation Evaluator::evaluate(const NetworkShape& shape, const Layers& layers, const NodeSets& sets) {
    const auto pass = [this, shape, layers, sets] {
        backend_.zero(tallies_.data(), 3 * sizeof(Tally));
        Index first = 0, count = 0;  // of sets that lie side by side, which are one pass
        for (std::size_t set = 0; set < 3; ++set) {
            if (sets[set]) {
                count += data_.held()[set];
                continue;
            }
            forward(shape, layers, first, count);
            first += count + data_.held()[set];
            count = 0;
        }
        forward(shape, layers, first, count);
    };
    if (ranks_.several()) {
        pass();
    } else {
        std::unique_ptr<Phase>& recorded = recorded_[sets];
        if (!recorded) recorded = backend_.record(pass);
        recorded->run();
    }
    std::vector<double> own;
    for (const Tally& tally : tallies_.download()) own.insert(own.end(), {tally.correct, tally.cost});
    const std::vector<double> all = ranks_.gather(own);  // zeros of those without the last layer
    Evaluation result;
    for (std::size_t set = 0; set < 3; ++set) {
        const auto nodes = sets[set] ? static_cast<double>(data_.counts()[set]) : 0;
        double correct = 0, cost = 0;
        for (std::size_t at = 2 * set; at < all.size(); at += own.size()) {
            correct += all[at];
            cost += all[at + 1];
        }
        result.accuracy[set] = nodes > 0 ? correct / nodes : NAN;
        result.cost[set] = nodes > 0 ? cost / nodes : NAN;
    }
    return result;
}

Model export_model(Network& net, const NodeData& data, Ranks& ranks) {
    Backend& be = net.backend();
    Model model{net.shape(), {}, {}};
    for (int layer = 1; layer <= net.shape().layers; ++layer) {
        if (layer == 1 && net.node_space()) {
            const Index n = net.shape().hidden, n0 = net.shape().inputs;
            if (!net.layers().has(1)) {
                model.W.emplace_back();
                model.b.emplace_back();
                continue;
            }
            Buffer<real> formed(be, n * n0);
            const Mat W1{formed.data(), n, n0, n};
            be.copy(net.W0(), W1);
            be.scale_by_c(net.node_scalars(), W1);
            be.gemm(Trans::no, Trans::yes, -1, net.S(), data.X_train(), 1, W1);
            model.W.push_back(formed.download());
        } else {
            model.W.push_back(ranks.collect(net.W(layer), ranks.owner(layer)));
        }
        model.b.push_back(ranks.collect(net.b(layer), ranks.owner(layer)));
    }
    return model;
}

Model export_model(const Parameters& net, Ranks& ranks) {
    Model model{net.shape, {}, {}};
    for (int layer = 1; layer <= net.shape.layers; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        model.W.push_back(ranks.collect(net.W[k], ranks.owner(layer)));
        model.b.push_back(ranks.collect(net.b[k], ranks.owner(layer)));
    }
    return model;
}

std::vector<real> predict_logits(Backend& be, const Model& model, const std::vector<real>& X, Index nodes) {
    const NetworkShape& shape = model.shape;
    const Index widest = std::max(shape.hidden, shape.classes),
                block = std::min(forward_columns, std::max<Index>(1, nodes));
    std::vector<Buffer<real>> W, b;
    for (int layer = 1; layer <= shape.layers; ++layer) {
        W.emplace_back(be, model.W[static_cast<std::size_t>(layer - 1)]);
        b.emplace_back(be, model.b[static_cast<std::size_t>(layer - 1)]);
    }
    const auto view = [&](const std::vector<Buffer<real>>& parts, int layer, Index cols) {
        return Mat{parts[static_cast<std::size_t>(layer - 1)].data(), shape.rows(layer), cols, shape.rows(layer)};
    };
    Buffer<real> x(be, shape.inputs * block), even(be, widest * block), odd(be, widest * block);
    std::vector<real> logits(static_cast<std::size_t>(shape.classes * nodes));
    for (Index first = 0; first < nodes; first += block) {
        const Index columns = std::min(block, nodes - first);
        be.upload(X.data() + first * shape.inputs, x.data(),
                  static_cast<std::size_t>(columns * shape.inputs) * sizeof(real));
        const Mat a{even.data(), shape.hidden, columns, shape.hidden};
        be.gemm(Trans::no, Trans::no, 1, view(W, 1, shape.inputs), Mat{x.data(), shape.inputs, columns, shape.inputs},
                0, a);
        be.add_bias(view(b, 1, 1), false, a);
        const Mat out = forward_hidden(
            be, shape, {1, shape.layers}, [&](int l) { return view(W, l, shape.cols(l)); },
            [&](int l) { return view(b, l, 1); }, a, odd.data());
        be.download(out.data, logits.data() + first * shape.classes,
                    static_cast<std::size_t>(out.size()) * sizeof(real));
    }
    return logits;
}

}  // namespace pdadmm
