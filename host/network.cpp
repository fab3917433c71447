// Memory of a network and its views (host/network.hpp).
// Slots: p_ holds p_2..p_L, and z_ r_ q_ u_ hold layers 1..L-1, each as one stack of (n, N), so that the neighbours of a
// stack of layers are views into the same allocations.
#include "host/network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

int largest_stack(const NetworkShape& shape, const NetworkOptions& options) {
    const int hidden = shape.layers - 2;
    return std::max(1, options.most_stacked > 0 ? std::min(options.most_stacked, hidden) : hidden);
}

bool uses_node_space(const NetworkShape& shape, const NetworkOptions& options) {
    return options.first_layer == FirstLayer::node_space ||
           (options.first_layer == FirstLayer::automatic && prefers_node_space(shape));
}

}  // namespace

NodeData::NodeData(Backend& backend, const AugmentedNodes& nodes)
    : inputs_(nodes.inputs),
      classes_(nodes.classes),
      counts_(nodes.counts),
      X_(backend, nodes.X),
      labels_(backend, nodes.labels),
      host_labels_(nodes.labels) {}

CMat NodeData::gram(Backend& backend) const {
    if (!gram_.data()) {
        gram_ = Buffer<real>(backend, train() * nodes());
        backend.gemm(Trans::yes, Trans::no, 1, X_train(), X(), 0, {gram_.data(), train(), nodes(), train()});
    }
    return {gram_.data(), train(), nodes(), train()};
}

bool prefers_node_space(const NetworkShape& shape) { return shape.nodes < 2 * shape.inputs; }

std::size_t network_bytes(const NetworkShape& s, const NodeData& data, const NetworkOptions& options) {
    const Index A = s.hidden * s.nodes, stack = largest_stack(s, options);
    Index reals = s.hidden * s.inputs + (s.layers - 2) * s.hidden * s.hidden + s.classes * s.hidden;  // W
    reals += 5 * (s.layers - 1) * A + 2 * s.classes * s.nodes;                                        // p z r q u
    reals += (options.quantized_p ? 3 : 2) * stack * A + stack * s.hidden * s.hidden;                 // scratch
    if (uses_node_space(s, options)) reals += 2 * A + (s.hidden + s.nodes) * data.nodes();
    return static_cast<std::size_t>(reals) * sizeof(real);
}

Network::Network(Backend& backend, const NetworkShape& shape, const NodeData& data, const NetworkOptions& options)
    : backend_(&backend), shape_(shape), data_(&data), options_(options), node_space_(uses_node_space(shape, options)) {
    const std::size_t need = network_bytes(shape, data, options), available = backend.free_memory();
    if (need > available)
        throw DeviceError(fmt::format("memory of the {} backend: {:.2f} GiB free, expected {:.2f} GiB for {} layers of {} neurons on {} "
                                      "nodes; use fewer layers, neurons or nodes",
                                      backend.name(), static_cast<double>(available) / (1 << 30),
                                      static_cast<double>(need) / (1 << 30), shape.layers, shape.hidden, shape.nodes));
    const Index n = shape.hidden, A = n * shape.nodes, L = shape.layers, stack = largest_stack(shape, options);
    const Index inputs_scratch = node_space_ ? 0 : n * shape.inputs;
    W_first_ = {backend, n * shape.inputs};
    W_hidden_ = {backend, (L - 2) * n * n};
    W_last_ = {backend, shape.classes * n};
    b_ = {backend, (L - 1) * n + shape.classes};
    d_ = {backend, (L - 1) * n + shape.classes};
    for (Buffer<real>* state : {&p_, &z_, &r_, &q_, &u_}) *state = {backend, (L - 1) * A};
    z_last_ = {backend, shape.classes * shape.nodes};
    r_last_ = {backend, shape.classes * shape.nodes};
    const Index widest = std::max(stack * A, shape.classes * shape.nodes);
    g_ = {backend, stack * A};
    h_ = {backend, widest};
    G_ = {backend, std::max({stack * n * n, shape.classes * n, inputs_scratch})};
    if (options.quantized_p) d_p_ = {backend, stack * A};
    if (node_space_) {
        V_ = {backend, A};
        S_ = {backend, A};
        V0_ = {backend, n * data.nodes()};
        node_scalars_ = {backend, 1};
    }
    inverse_ = {backend, L};
    pending_ = {backend, L};
    controls_ = {backend, 1};
    figures_ = {backend, L};
    build_groups();
}

Mat Network::hidden_view(const Buffer<real>& buffer, int slot) const {
    const Index n = shape_.hidden, A = n * shape_.nodes;
    return {buffer.data() + slot * A, n, shape_.nodes, n, 1, A};
}

Mat Network::W(int layer) const {
    const Index n = shape_.hidden, rows = shape_.rows(layer), cols = shape_.cols(layer);
    if (layer == 1) return {W_first_.data(), rows, cols, rows, 1, rows * cols};
    if (layer == shape_.layers) return {W_last_.data(), rows, cols, rows, 1, rows * cols};
    return {W_hidden_.data() + (layer - 2) * n * n, n, n, n, 1, n * n};
}
Mat Network::b(int layer) const {
    return {b_.data() + (layer - 1) * shape_.hidden, shape_.rows(layer), 1, shape_.rows(layer), 1, shape_.hidden};
}
Mat Network::p(int layer) const {
    if (layer > 1) return hidden_view(p_, layer - 2);
    const CMat X = data_->X_train();
    return {const_cast<real*>(X.data), X.rows, X.cols, X.ld, 1, 0};  // never written: the first layer has no p update
}
Mat Network::z(int layer) const {
    return layer < shape_.layers ? hidden_view(z_, layer - 1) : Mat{z_last_.data(), shape_.classes, shape_.nodes, shape_.classes};
}
Mat Network::r(int layer) const {
    return layer < shape_.layers ? hidden_view(r_, layer - 1) : Mat{r_last_.data(), shape_.classes, shape_.nodes, shape_.classes};
}
Mat Network::q(int layer) const { return hidden_view(q_, layer - 1); }
Mat Network::u(int layer) const { return hidden_view(u_, layer - 1); }
Mat Network::V0() const { return {V0_.data(), shape_.hidden, data_->nodes(), shape_.hidden}; }

LayerGroup Network::stack(int first, int count) const {
    const auto stacked = [count](Mat m) { return m.layers(0, count); };
    const Index rows = shape_.rows(first), cols = shape_.cols(first), N = shape_.nodes;
    LayerGroup s;
    s.first = first;
    s.count = count;
    s.is_first = first == 1;
    s.is_last = first == shape_.layers;
    s.node_space = s.is_first && node_space_;
    s.W = stacked(W(first));
    s.b = stacked(b(first));
    s.d = stacked({d_.data() + (first - 1) * shape_.hidden, rows, 1, rows, 1, shape_.hidden});
    s.p = stacked(p(first));
    s.z = stacked(z(first));
    s.r = stacked(r(first));
    if (!s.is_last) {
        s.q = stacked(q(first));
        s.u = stacked(u(first));
        s.p_next = stacked(p(first + 1));
    }
    if (!s.is_first) {
        s.q_prev = stacked(q(first - 1));
        s.u_prev = stacked(u(first - 1));
        s.g = {g_.data(), cols, N, cols, count, cols * N};
        s.d_p = {d_p_.data(), cols, N, cols, count, cols * N};
    }
    s.h = {h_.data(), rows, N, rows, count, rows * N};
    s.G = {G_.data(), rows, cols, rows, count, rows * cols};
    s.inverse = inverse_.data() + (first - 1);
    s.pending = pending_.data() + (first - 1);
    s.figures = figures_.data() + (first - 1);
    if (s.is_last) s.labels = data_->labels();
    if (s.node_space) {
        s.K = data_->gram(*backend_).columns(0, N);
        s.V0 = V0().columns(0, N);
        s.V = V();
        s.S = S();
        s.node_scalars = node_scalars_.data();
    }
    return s;
}

void Network::build_groups() {
    const int stacked = largest_stack(shape_, options_);
    groups_.push_back(stack(1, 1));
    for (int layer = 2; layer < shape_.layers; layer += stacked)
        groups_.push_back(stack(layer, std::min(stacked, shape_.layers - layer)));
    groups_.push_back(stack(shape_.layers, 1));
}

void Network::form_node_space() { backend_->gemm(Trans::no, Trans::no, 1, W0(), data_->X(), 0, V0()); }

std::vector<NamedTensor> Network::state(int layer) const {
    std::vector<NamedTensor> tensors;
    if (layer == 1 && node_space_)
        tensors = {{"W0", W0()}, {"V", V()}, {"S", S()}};
    else
        tensors = {{"W", W(layer)}};
    tensors.push_back({"b", b(layer)});
    if (layer > 1) tensors.push_back({"p", p(layer)});
    tensors.push_back({"z", z(layer)});
    tensors.push_back({"r", r(layer)});
    if (layer < shape_.layers) {
        tensors.push_back({"q", q(layer)});
        tensors.push_back({"u", u(layer)});
    }
    return tensors;
}

}  // namespace pdadmm
