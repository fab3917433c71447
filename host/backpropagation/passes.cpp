// Forward and backward (host/backpropagation/passes.hpp).
// Shapes: W (n, m)  b d (n, 1)  A g (n, N) with N nodes of a micro-batch; the first layer reads X (n0, N), so its input
// needs no gradient.
//
// Products that keep nodes have the columns of one range in a call, by MatView::range. Sums over nodes are formed range
// by range, on views that are no ranges of nodes: no rank waits for another within a pass.
#include "host/backpropagation/passes.hpp"

#include "host/network/features_by_graph.hpp"

namespace pdadmm {
namespace {

Mat of(const std::vector<Mat>& parts, int layer) { return parts[static_cast<std::size_t>(layer - 1)]; }

MicroBatch batch_of(const GradientNetwork& net, const GradientTask& task, Index m) {
    return task.nodes > 0 ? MicroBatch{{0, task.nodes}, 0, 1, false, true} : net.part().batch(m);
}

/// Those of a micro-batch, with their ranges where it has whole ones.
template <typename T>
MatView<T> nodes_of(const GradientNetwork& net, const MicroBatch& batch, MatView<T> all, Index first) {
    MatView<T> some = all.columns(first, batch.nodes.count);
    some.range = batch.whole_ranges ? net.part().ranges.length : 0;
    return some;
}

CMat input(const GradientNetwork& net, const GradientTask& task, int layer, const MicroBatch& batch) {
    const CMat all = layer == 1 ? task.X : CMat(net.activation(layer - 1));
    return all.columns(batch.nodes.first, batch.nodes.count);
}

/// Ranges of a micro-batch that are equal, or one: the columns of each, and where they begin.
struct EqualRanges {
    Index column, columns, range, count;

    /// The nodes `m` of the micro-batch as a matrix for each range; nothing of nothing.
    template <typename T>
    MatView<T> of(MatView<T> m) const {
        return m.data ? MatView<T>{m.data + column * m.ld, m.rows, columns, m.ld, count, columns * m.ld} : MatView<T>{};
    }
};

template <typename Use>
void each_equal_ranges(const GradientNetwork& net, const MicroBatch& batch, Use&& use) {
    const Index length = net.part().ranges.length, nodes = batch.nodes.count, equal = nodes / length;
    if (batch.ranges == 1) return use(EqualRanges{0, nodes, batch.range, 1});
    use(EqualRanges{0, length, batch.range, equal});
    if (equal < batch.ranges) use(EqualRanges{equal * length, nodes - equal * length, batch.range + equal, 1});
}

}  // namespace

void forward(Backend& be, const GradientNetwork& net, const GradientTask& task, Index micro_batch) {
    const Parameters& w = net.weights();
    const MicroBatch batch = batch_of(net, task, micro_batch);
    const int L = net.shape().layers;
    Dropout dropout = task.dropout;
    dropout.node += batch.nodes.first;
    for (int layer = net.layers().first; layer <= net.layers().last; ++layer) {
        const Mat A = nodes_of(net, batch, net.activation(layer), batch.nodes.first);
        if (layer == 1 && task.by_graph) {
            task.by_graph->put(of(w.W, 1));
            task.by_graph->multiply(batch.nodes, A);
        } else {
            be.gemm(Trans::no, Trans::no, 1, of(w.W, layer), input(net, task, layer, batch), 0, A,
                    Precision::working);  // A = W A_prev        2nmN flops
        }
        dropout.layer = layer;
        if (layer < L && dropout.rate > 0)
            be.dropped_activation(of(w.b, layer), dropout, net.step(), A);  // A = drop f(A + b)   reads nN writes nN
        else
            be.add_bias(of(w.b, layer), layer == L, A);  // A = f(A + b)        reads nN writes nN
    }
}

void loss_gradient(Backend& be, const GradientNetwork& net, const GradientTask& task) {
    const int L = net.shape().layers;
    if (!net.layers().has(L)) return;
    const NodeRanges ranges = task.nodes > 0 ? NodeRanges(task.nodes, 1) : net.part().ranges;
    const double share = 1 / static_cast<double>(task.nodes > 0 ? task.nodes : net.shape().nodes);
    for (Index range = 0; range < ranges.count; ++range)
        be.loss_gradient(task.labels.from(ranges.first(range), net.shape().classes), share,
                         net.activation(L).columns(ranges.first(range), ranges.size(range)),
                         net.figures() + (L - net.layers().first) + range);
}

void backward(Backend& be, const GradientNetwork& net, const GradientTask& task, LayerRange layers, Index micro_batch) {
    const Parameters& w = net.weights();
    const MicroBatch batch = batch_of(net, task, micro_batch);
    const auto gradient_of = [&](int l) { return nodes_of(net, batch, net.activation_gradient(l, micro_batch), 0); };
    const int L = net.shape().layers;
    const real beta = batch.first_of_range ? 0 : 1;
    for (int layer = layers.last; layer >= layers.first; --layer) {
        const Mat g = layer == L ? nodes_of(net, batch, net.activation(L), batch.nodes.first) : gradient_of(layer);
        const Mat A = layer == L ? Mat{} : net.activation(layer).columns(batch.nodes.first, batch.nodes.count);
        const bool by_graph = layer == 1 && task.by_graph;
        const CMat A_prev = by_graph ? CMat{} : input(net, task, layer, batch);
        each_equal_ranges(net, batch, [&](const EqualRanges& some) {
            const auto [G, d] = net.range_gradient(layer, some.range, some.count);
            be.activation_gradient(some.of(A), dropout_scale(task.dropout.rate), some.of(g), beta,
                                   d);  // g = g f'(A), d += rows' sums
            if (by_graph) {
                task.by_graph->take(g);
                be.copy(task.by_graph->W(), G);
            } else {
                be.gemm(Trans::no, Trans::yes, 1, some.of(g), some.of(A_prev), beta, G,
                        Precision::working);  // G += g A_prev'   2nmN flops
            }
        });
        if (layer == 1) break;
        be.gemm(Trans::yes, Trans::no, 1, of(w.W, layer), g, 0, gradient_of(layer - 1),
                Precision::working);  // W' g             2nmN flops
    }
}

void backpropagate(Backend& be, const GradientNetwork& net, const GradientTask& task) {
    const Index batches = task.nodes > 0 ? 1 : net.part().batches;
    for (Index m = 0; m < batches; ++m) forward(be, net, task, m);
    loss_gradient(be, net, task);
    for (Index m = 0; m < batches; ++m) backward(be, net, task, net.layers(), m);
}

}  // namespace pdadmm
