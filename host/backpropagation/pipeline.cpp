// Layers on ranks (host/backpropagation/gradient_epoch.hpp).
// With layers a..b: A_{a-1} comes from the left and A_b goes right in the order of micro-batches; then g_b comes from
// the right and g_{a-1} goes left in the same order, in which gradients are added.
#include "host/backpropagation/gradient_epoch.hpp"

namespace pdadmm {

PipelineEpoch::PipelineEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task, Ranks& ranks)
    : ranks_(ranks) {
    const LayerRange own = net.layers();
    if (own.count() == 0) return;
    const bool left = own.first > 1, right = own.last < net.shape().layers;
    const int before = ranks.rank() - 1, after = ranks.rank() + 1;
    const auto bytes = [](CMat m) { return static_cast<std::size_t>(m.size()) * sizeof(real); };
    const Index batches = net.part().micro_batches;
    for (Index m = 0; m < batches; ++m) {
        const NodeRange nodes = net.part().batch(m);
        forward_.work.push_back(backend.record([&backend, &net, task, m, batches] {
            if (m == 0) backend.count_step(net.step());
            forward(backend, net, task, m);
            if (m + 1 == batches) loss_gradient(backend, net, task);
        }));
        backward_.work.push_back(
            backend.record([&backend, &net, task, m, own] { backward(backend, net, task, own, m); }));
        if (left) {
            const Mat A = net.activation(own.first - 1, nodes), g = net.activation_gradient(own.first - 1, m);
            forward_.in.push_back(Message::receive(before, A.data, bytes(A)));
            backward_.out.push_back(Message::send(before, g.data, bytes(g)));
        }
        if (right) {
            const Mat A = net.activation(own.last, nodes), g = net.activation_gradient(own.last, m);
            forward_.out.push_back(Message::send(after, A.data, bytes(A)));
            backward_.in.push_back(Message::receive(after, g.data, bytes(g)));
        }
    }
}

PipelineEpoch::~PipelineEpoch() {
    ranks_.transport().abandon();
}  // an error between start and finish: the messages' memory goes now

void PipelineEpoch::run() {
    if (forward_.work.empty()) return;
    std::vector<Message> left_over;
    pass(forward_, left_over);
    pass(backward_, left_over);
    ranks_.transport().exchange(left_over);
}

// Under the work on a micro-batch travel the result of the one before it and the input of the one after it.
void PipelineEpoch::pass(const Way& way, std::vector<Message>& left_over) {
    Transport& transport = ranks_.transport();
    if (!way.in.empty()) left_over.push_back(way.in.front());
    transport.exchange(left_over);
    left_over.clear();
    for (std::size_t m = 0; m < way.work.size(); ++m) {
        if (m + 1 < way.in.size()) left_over.push_back(way.in[m + 1]);
        transport.start(left_over);
        way.work[m]->run();
        transport.finish();
        left_over.clear();
        if (!way.out.empty()) left_over.push_back(way.out[m]);
    }
}

}  // namespace pdadmm
