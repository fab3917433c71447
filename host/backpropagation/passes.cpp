// Forward and backward (host/backpropagation/passes.hpp).
// Shapes: W (n, m)  b d (n, 1)  A g (n, N) with N nodes of a micro-batch; the first layer reads X (n0, N), so its input
// needs no gradient.
#include "host/backpropagation/passes.hpp"

namespace pdadmm {
namespace {

Mat of(const std::vector<Mat>& parts, int layer) { return parts[static_cast<std::size_t>(layer - 1)]; }

NodeRange nodes_of(const GradientNetwork& net, const GradientTask& task, Index micro_batch) {
    return task.nodes > 0 ? NodeRange{0, task.nodes} : net.part().batch(micro_batch);
}

CMat input(const GradientNetwork& net, const GradientTask& task, int layer, NodeRange nodes) {
    return layer == 1 ? task.X.columns(nodes.first, nodes.count) : CMat(net.activation(layer - 1, nodes));
}

}  // namespace

void forward(Backend& be, const GradientNetwork& net, const GradientTask& task, Index micro_batch) {
    const Parameters& w = net.weights();
    const NodeRange nodes = nodes_of(net, task, micro_batch);
    const int L = net.shape().layers;
    Dropout dropout = task.dropout;
    dropout.node += nodes.first;
    for (int layer = net.layers().first; layer <= net.layers().last; ++layer) {
        const Mat A = net.activation(layer, nodes);
        const CMat A_prev = input(net, task, layer, nodes);
        be.gemm(Trans::no, Trans::no, 1, of(w.W, layer), A_prev, 0, A,
                Precision::working);  // A = W A_prev        2nmN flops
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
    const Index nodes = task.nodes > 0 ? task.nodes : net.part().nodes;
    be.loss_gradient(task.labels, 1 / static_cast<double>(task.nodes > 0 ? nodes : net.shape().nodes),
                     net.activation(L, {0, nodes}), net.figures() + (L - net.layers().first));
}

void backward(Backend& be, const GradientNetwork& net, const GradientTask& task, LayerRange layers, Index micro_batch) {
    const Parameters &w = net.weights(), &gradient = net.gradient();
    const NodeRange nodes = nodes_of(net, task, micro_batch);
    const auto gradient_of = [&](int l) { return net.activation_gradient(l, micro_batch).columns(0, nodes.count); };
    const int L = net.shape().layers;
    const real beta = micro_batch == 0 ? 0 : 1;
    for (int layer = layers.last; layer >= layers.first; --layer) {
        const Mat g = layer == L ? net.activation(L, nodes) : gradient_of(layer);
        const CMat A = layer == L ? CMat{} : CMat(net.activation(layer, nodes));
        const CMat A_prev = input(net, task, layer, nodes);
        be.activation_gradient(A, dropout_scale(task.dropout.rate), g, beta,
                               of(gradient.b, layer));  // g = g f'(A), d += rows' sums
        be.gemm(Trans::no, Trans::yes, 1, g, A_prev, beta, of(gradient.W, layer),
                Precision::working);  // G += g A_prev'   2nmN flops
        if (layer == 1) break;
        be.gemm(Trans::yes, Trans::no, 1, of(w.W, layer), g, 0, gradient_of(layer - 1),
                Precision::working);  // W' g             2nmN flops
    }
}

void backpropagate(Backend& be, const GradientNetwork& net, const GradientTask& task) {
    const Index batches = net.part().micro_batches;
    for (Index m = 0; m < batches; ++m) forward(be, net, task, m);
    loss_gradient(be, net, task);
    for (Index m = 0; m < batches; ++m) backward(be, net, task, net.layers(), m);
}

}  // namespace pdadmm
