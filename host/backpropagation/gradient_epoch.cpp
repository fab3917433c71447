// An epoch on a grid of ranks (host/backpropagation/gradient_epoch.hpp).
// With layers a..b: A_{a-1} comes from the left and A_b goes right in the order of micro-batches; then g_b comes from
// the right and g_{a-1} goes left in the same order, in which gradients are added.
#include "host/backpropagation/gradient_epoch.hpp"

namespace pdadmm {

GradientSums::GradientSums(Backend& backend, const GradientNetwork& net, Ranks& ranks)
    : net_(net),
      transport_(ranks.grid().nodes > 1 ? &ranks.node_transport() : nullptr),
      sums_(backend, ranks.grid(), ranks.rank(), transport_ ? ranks.node_ranges() : net.part().ranges.count) {}

GradientSums::~GradientSums() {
    if (transport_) transport_->abandon();
}

void GradientSums::complete(std::size_t bucket, std::vector<Message>& messages) {
    const Mat of_ranges = net_.range_gradients(net_.buckets()[bucket]),
              sum = net_.range(GradientNetwork::Array::gradient, net_.buckets()[bucket]);
    sums_.add_up(of_ranges.data, sum.size(), sum.data);
    sums_.gather(sum.data, sum.size(), messages);
}

void GradientSums::add(std::size_t bucket) {
    const Mat of_ranges = net_.range_gradients(net_.buckets()[bucket]);
    std::vector<Message> messages;
    if (transport_) transport_->finish();
    if (bucket > 0) complete(bucket - 1, messages);
    sums_.scatter(of_ranges.data, of_ranges.size(), messages);
    if (transport_) transport_->start(messages);
}

void GradientSums::finish() {
    std::vector<Message> messages;
    if (transport_) transport_->finish();
    complete(net_.buckets().size() - 1, messages);
    if (transport_) transport_->exchange(messages);
}

GradientEpoch::GradientEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task, Ranks& ranks)
    : ranks_(ranks), sums_(backend, net, ranks) {
    const LayerRange own = net.layers();
    if (own.count() == 0) return;
    const bool left = own.first > 1, right = own.last < net.shape().layers;
    const auto bytes = [](CMat m) { return static_cast<std::size_t>(m.size()) * sizeof(real); };
    const Index batches = net.part().batches;
    batches_ = static_cast<std::size_t>(batches);
    for (Index m = 0; m < batches; ++m) {
        const NodeRange nodes = net.part().batch(m).nodes;
        forward_work_.push_back(backend.record([&backend, &net, task, m, batches] {
            if (m == 0) backend.count_step(net.step());
            forward(backend, net, task, m);
            if (m + 1 == batches) loss_gradient(backend, net, task);
        }));
        const std::vector<LayerRange> all_at_once{own};
        for (const LayerRange layers : m + 1 < batches ? all_at_once : net.buckets())
            backward_work_.push_back(
                backend.record([&backend, &net, task, m, layers] { backward(backend, net, task, layers, m); }));
        if (left) {
            const Mat A = net.activation(own.first - 1).columns(nodes.first, nodes.count),
                      g = net.activation_gradient(own.first - 1, m);
            forward_.in.push_back(Message::receive(ranks.left(), A.data, bytes(A)));
            backward_.out.push_back(Message::send(ranks.left(), g.data, bytes(g)));
        }
        if (right) {
            const Mat A = net.activation(own.last).columns(nodes.first, nodes.count),
                      g = net.activation_gradient(own.last, m);
            forward_.out.push_back(Message::send(ranks.right(), A.data, bytes(A)));
            backward_.in.push_back(Message::receive(ranks.right(), g.data, bytes(g)));
        }
    }
    forward_.work = [this](std::size_t m) { forward_work_[m]->run(); };
    backward_.work = [this](std::size_t m) { go_back(m); };
}

GradientEpoch::~GradientEpoch() {
    ranks_.transport().abandon();
}  // an error between start and finish: the messages' memory goes now

void GradientEpoch::run() {
    if (batches_ == 0) return;
    std::vector<Message> left_over;
    pass(forward_, left_over);
    pass(backward_, left_over);
    ranks_.transport().start(left_over);  // the rank on the left waits for these
    sums_.finish();
    ranks_.transport().finish();
}

void GradientEpoch::go_back(std::size_t micro_batch) {
    if (micro_batch + 1 < batches_) return backward_work_[micro_batch]->run();
    for (std::size_t bucket = 0; micro_batch + bucket < backward_work_.size(); ++bucket) {
        backward_work_[micro_batch + bucket]->run();
        sums_.add(bucket);
    }
}

// Under the work on a micro-batch travel the result of the one before it and the input of the one after it.
void GradientEpoch::pass(const Way& way, std::vector<Message>& left_over) {
    Transport& transport = ranks_.transport();
    if (!way.in.empty()) left_over.push_back(way.in.front());
    transport.exchange(left_over);
    left_over.clear();
    for (std::size_t m = 0; m < batches_; ++m) {
        if (m + 1 < way.in.size()) left_over.push_back(way.in[m + 1]);
        transport.start(left_over);
        way.work(m);
        transport.finish();
        left_over.clear();
        if (!way.out.empty()) left_over.push_back(way.out[m]);
    }
}

}  // namespace pdadmm
