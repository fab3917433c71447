// Memory of a network and its views (host/network/network.hpp).
#include "host/network/network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/network/features_by_graph.hpp"
#include "host/network/layer_slots.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t small_scratch = std::size_t{256}
                                      << 20;  // that a device can spare to let groups run at the same time

/// Reals of scratch that groups need.
struct ScratchSizes {
    Index g = 0, h = 0, G = 0, d_p = 0, q = 0, F = 0, move = 0, dW = 0, whole = 0;
    Index total() const { return g + h + G + d_p + q + F + move + dW + whole; }
};
ScratchSizes scratch_of(const NetworkShape& s, int first, int count, const FirstLayerForm& form,
                        const NetworkOptions& options) {
    const Index rows = s.rows(first), cols = s.cols(first);
    const Index held = s.own_nodes();
    const LayerForm behind = layer_form(s, first);
    const bool in_node_space = first == 1 && form.node_space, closed = first == 1 ? form.closed : behind.closed;
    const Index g = first == 1 ? 0 : count * cols * held, h = count * rows * held,
                weights = in_node_space ? 0 : count * rows * cols;
    ScratchSizes sizes{g, h, weights, options.quantized_p ? g : 0, options.rebuild_q ? count * s.hidden * held : 0};
    if (s.divided() && (in_node_space || (first > 1 && behind.W_from_nodes)))
        sizes.whole = count * (first == 1 ? rows : cols) * s.nodes;
    if (first == 1 && form.conjugate_steps > 0) return {h, h, 0, 0, sizes.q, 0, h, h, sizes.whole};
    if (!closed) return sizes;
    sizes.F = first == 1 || (behind.p_from_outputs && behind.W_from_nodes) ? 0 : count * cols * cols;
    sizes.move = in_node_space ? h : g;
    sizes.dW = behind.W_from_nodes ? 0 : weights;
    return sizes;
}
ScratchSizes larger(const ScratchSizes& a, const ScratchSizes& b) {
    return {std::max(a.g, b.g),       std::max(a.h, b.h),   std::max(a.G, b.G),
            std::max(a.d_p, b.d_p),   std::max(a.q, b.q),   std::max(a.F, b.F),
            std::max(a.move, b.move), std::max(a.dW, b.dW), std::max(a.whole, b.whole)};
}

/// Of `lanes` sets that groups take in turn.
std::vector<ScratchSizes> scratch_sets(const std::vector<ScratchSizes>& groups, int lanes) {
    std::vector<ScratchSizes> sets(std::min(groups.size(), static_cast<std::size_t>(lanes)));
    for (std::size_t g = 0; g < groups.size(); ++g) sets[g % sets.size()] = larger(sets[g % sets.size()], groups[g]);
    return sets;
}

}  // namespace

NetworkPlan plan_network(const Backend& backend, const NetworkShape& s, const NodeData& data,
                         const NetworkOptions& options, LayerRange layers, std::size_t available) {
    NetworkPlan plan;
    plan.first = first_layer_form(s, options.first_layer);
    const Index held = s.own_nodes(), A = s.hidden * held;
    const LayerRange hidden = hidden_weights(layers, s.layers);
    const bool first = layers.has(1), last = layers.has(s.layers);
    const Index zr = slots_of_zr(layers, s.layers).count(), qu = slots_of_qu(layers, s.layers).count(),
                p = slots_of_p(layers, s.layers).count();
    Index weights = hidden.count() * s.hidden * s.hidden + (first ? s.hidden * s.inputs : 0) +
                    (last ? s.classes * (s.hidden + held) : 0);  // W, z of the last layer
    if (plan.first.node_space && first)
        weights += 2 * A + (s.hidden + (plan.first.by_graph ? 0 : s.nodes)) * data.nodes();  // or some of them
    if (plan.first.closed && first)  // the inverse, and of features a Gram matrix
        weights += (plan.first.node_space ? 1 : 2) * plan.first.factor * plan.first.factor;
    const Index state = weights + (2 * zr + p + (options.rebuild_q ? 1 : 2) * qu) * A + (last ? s.classes * held : 0);
    const auto bytes = [](Index reals) { return static_cast<std::size_t>(reals) * sizeof(real); };
    plan.weights = bytes(weights);
    const int highest = std::max(1, hidden.count());
    const bool on_device = backend.run_ahead() > 1;
    /// Lays out stacks of that many layers on that many lanes, 0: one for each group; false where they do not fit.
    const auto lay_out = [&](int stacked, int lanes) {
        std::vector<ScratchSizes> groups;
        for (const LayerRange& g : group_spans(layers, s.layers, stacked))
            groups.push_back(scratch_of(s, g.first, g.count(), plan.first, options));
        plan.stacked = stacked;
        plan.lanes =
            lanes > 0 ? std::min(lanes, std::max(1, static_cast<int>(groups.size()))) : static_cast<int>(groups.size());
        Index scratch = 0;
        for (const ScratchSizes& set : scratch_sets(groups, plan.lanes)) scratch += set.total();
        plan.bytes = bytes(state + scratch);
        return plan.bytes <= available && (lanes > 0 || bytes(scratch) <= small_scratch);
    };
    const int chosen = on_device ? options.lanes : 1;
    int stacked = options.most_stacked > 0 ? std::min(options.most_stacked, highest) : highest;
    for (;; stacked = (stacked + 1) / 2) {
        if (chosen == 0 && lay_out(stacked, 0)) return plan;
        if (lay_out(stacked, std::max(1, chosen)) || stacked == 1 || options.most_stacked > 0) break;
    }
    // Much scratch: stacks of half the size on two lanes take as much of it, and passes may run beside products. Ranks
    // that hold some of the layers or nodes work on one group after the other.
    if (chosen != 0 || hidden.count() < 2 || layers != LayerRange{1, s.layers} || s.divided()) return plan;
    for (int half = std::min(stacked, (highest + 1) / 2);; half = (half + 1) / 2) {
        if (lay_out(half, 2)) return plan;
        if (half == 1 || options.most_stacked > 0) break;
    }
    lay_out(stacked, 1);
    return plan;
}

void require_memory(const Backend& backend, std::size_t bytes, const NetworkShape& shape) {
    const std::size_t free = backend.free_memory();
    const auto gibibytes = [](std::size_t count) { return static_cast<double>(count) / (1 << 30); };
    if (bytes > free)
        throw DeviceError(
            fmt::format("memory of the {} backend: {:.2f} GiB free, expected {:.2f} GiB for {} layers of {} neurons on "
                        "{} training nodes; "
                        "use fewer layers, neurons or nodes",
                        backend.name(), gibibytes(free), gibibytes(bytes), shape.layers, shape.hidden, shape.nodes));
}

Network::Network(Backend& backend, const NetworkShape& shape, const NodeData& data, const NetworkOptions& options)
    : Network(backend, shape, data, options, {1, shape.layers}) {}

Network::Network(Backend& backend, const NetworkShape& shape, const NodeData& data, const NetworkOptions& options,
                 LayerRange layers)
    : backend_(&backend), shape_(shape), layers_(layers), data_(&data), options_(options) {
    shape_.held = data.held()[0];
    const std::size_t available = backend.free_memory();
    plan_ = plan_network(backend, shape_, data, options, layers, available);
    require_memory(backend, plan_.bytes, shape);
    const Index n = shape.hidden, held = data.held()[0], A = n * held;
    const int L = shape.layers;
    const int own = layers.count();
    const Index biases = layers.has(L) ? (own - 1) * n + shape.classes : own * n;
    if (layers.has(1)) W_first_ = {backend, n * shape.inputs};
    W_hidden_ = {backend, hidden_weights(layers, L).count() * n * n};
    if (layers.has(L)) W_last_ = {backend, shape.classes * n};
    b_ = {backend, biases};
    d_ = {backend, biases};
    p_ = {backend, slots_of_p(layers, L).count() * A};
    for (Buffer<real>* state : {&z_, &r_}) *state = {backend, slots_of_zr(layers, L).count() * A};
    u_ = {backend, slots_of_qu(layers, L).count() * A};
    if (!options.rebuild_q) q_ = {backend, slots_of_qu(layers, L).count() * A};
    if (layers.has(L)) {
        z_last_ = {backend, shape.classes * held};
        r_last_ = {backend, shape.classes * held};
    }
    if (plan_.first.node_space && layers.has(1)) {
        V_ = {backend, A};
        S_ = {backend, A};
        V0_ = {backend, n * data.held_nodes()};
        node_scalars_ = {backend, 1};
    }
    if (plan_.first.closed && layers.has(1)) {
        F_first_ = {backend, plan_.first.factor * plan_.first.factor};
        kept_ = {backend, std::vector<KeptInverse>{{}}};
    }
    if (plan_.first.conjugate_steps > 0 && layers.has(1)) conjugate_ = {backend, 1};
    norm_sq_ = {backend, own};
    inverse_ = {backend, own};
    pending_ = {backend, own};
    failed_ = {backend, std::vector<std::int32_t>(static_cast<std::size_t>(own))};
    controls_ = {backend, 1};
    figures_ = {backend, own};
    headers_ = {backend, own * data.held_ranges()};
    if (data.held_ranges() > 1) range_inverse_ = {backend, own * data.held_ranges()};
    build_groups();
}

Mat Network::over_nodes(real* data, Index rows, Index layers) const {
    const Index held = data_->held()[0];
    return {data, rows, held, rows, layers, rows * held, data_->ranges().length, data_->bounds_here()};
}
Mat Network::hidden_view(const Buffer<real>& buffer, LayerRange slots, int layer) const {
    const Index n = shape_.hidden;
    return over_nodes(slots.has(layer) ? buffer.data() + (layer - slots.first) * n * data_->held()[0] : nullptr, n);
}

Mat Network::W(int layer) const {
    const Index rows = shape_.rows(layer), cols = shape_.cols(layer);
    const LayerRange hidden = hidden_weights(layers_, shape_.layers);
    real* data = nullptr;
    if (layer == 1)
        data = W_first_.data();
    else if (layer == shape_.layers)
        data = W_last_.data();
    else if (hidden.has(layer))
        data = W_hidden_.data() + (layer - hidden.first) * rows * cols;
    return {data, rows, cols, rows, 1, rows * cols};
}
Mat Network::b(int layer) const {
    real* data = layers_.has(layer) ? b_.data() + (layer - layers_.first) * shape_.hidden : nullptr;
    return {data, shape_.rows(layer), 1, shape_.rows(layer), 1, shape_.hidden};
}
Parameters Network::parameters() const {
    Parameters all{shape_, {}, {}};
    for (int layer = 1; layer <= shape_.layers; ++layer) {
        all.W.push_back(layer == 1 && node_space() ? Mat{} : W(layer));
        all.b.push_back(b(layer));
    }
    return all;
}
Mat Network::p(int layer) const {
    if (layer > 1) return hidden_view(p_, slots_of_p(layers_, shape_.layers), layer);
    const CMat X = data_->X_train();
    // Never written: the first layer has no p update.
    return {const_cast<real*>(X.data), X.rows, X.cols, X.ld, 1, 0, X.range, X.bounds};
}
Mat Network::z(int layer) const {
    return layer < shape_.layers ? hidden_view(z_, slots_of_zr(layers_, shape_.layers), layer)
                                 : over_nodes(z_last_.data(), shape_.classes);
}
Mat Network::r(int layer) const {
    return layer < shape_.layers ? hidden_view(r_, slots_of_zr(layers_, shape_.layers), layer)
                                 : over_nodes(r_last_.data(), shape_.classes);
}
Mat Network::q(int layer) const { return hidden_view(q_, slots_of_qu(layers_, shape_.layers), layer); }
Mat Network::u(int layer) const { return hidden_view(u_, slots_of_qu(layers_, shape_.layers), layer); }
Mat Network::V0() const { return {V0_.data(), shape_.hidden, data_->held_nodes(), shape_.hidden}; }

LayerGroup Network::stack(int first, int count, std::size_t scratch) const {
    const auto stacked = [count](Mat m) { return m.layers(0, count); };
    const Index rows = shape_.rows(first), cols = shape_.cols(first), held = data_->held()[0];
    const Index own_index = first - layers_.first;
    const Scratch& own = scratch_[scratch];
    LayerGroup s;
    s.first = first;
    s.count = count;
    s.is_first = first == 1;
    s.is_last = first == shape_.layers;
    s.node_space = s.is_first && node_space();
    const LayerForm form = layer_form(shape_, first);
    s.closed_form = s.is_first ? plan_.first.closed : form.closed;
    s.p_from_outputs = form.p_from_outputs;
    s.W_from_nodes = form.W_from_nodes;
    if (!s.is_first && !s.is_last) s.decay = options_.decay;
    s.W = stacked(W(first));
    s.b = stacked(b(first));
    s.d = stacked({d_.data() + own_index * shape_.hidden, rows, 1, rows, 1, shape_.hidden});
    s.p = stacked(p(first));
    s.z = stacked(z(first));
    s.r = stacked(r(first));
    s.rebuild_q = options_.rebuild_q;
    const Mat q_scratch = over_nodes(own.q.data(), shape_.hidden, count);
    if (s.rebuild_q) s.q = q_scratch;
    if (!s.is_last) {
        if (!s.rebuild_q) s.q = stacked(q(first));
        s.u = stacked(u(first));
        s.p_next = stacked(p(first + 1));
    }
    if (!s.is_first) {
        s.q_prev = s.rebuild_q ? q_scratch : stacked(q(first - 1));
        if (s.rebuild_q) s.z_prev = stacked(z(first - 1));
        s.u_prev = stacked(u(first - 1));
        s.g = over_nodes(own.g.data(), cols, count);
        s.d_p = over_nodes(own.d_p.data(), cols, count);
    }
    s.h = over_nodes(own.h.data(), rows, count);
    s.G = {own.G.data(), rows, cols, rows, count, rows * cols};
    s.norm_sq = norm_sq_.data() + own_index;
    s.inverse = inverse_.data() + own_index;
    s.pending = pending_.data() + own_index;
    s.figures = figures_.data() + own_index;
    s.ranges = data_->held_ranges();
    s.first_node = data_->first_node();
    if (shape_.divided() && (s.node_space || s.W_from_nodes)) {
        const Index height = s.is_first ? rows : cols;
        s.whole = {own.whole.data(), height, shape_.nodes, height, count, height * shape_.nodes};
    }
    s.headers = headers_.data() + own_index * s.ranges;
    s.range_inverse = s.ranges > 1 ? range_inverse_.data() + own_index * s.ranges : s.inverse;
    if (s.is_last) s.labels = data_->training_labels();
    if (s.closed_form) {
        s.failed = failed_.data() + own_index;
        s.F = {own.F.data(), cols, cols, cols, count, cols * cols};
        s.move = over_nodes(own.move.data(), s.is_first ? rows : cols, count);
        s.dW = {own.dW.data(), rows, cols, rows, count, rows * cols};
    }
    if (s.closed_form && s.is_first) {
        const Index m = plan_.first.factor;
        s.F = {F_first_.data(), m, m, m, 1, m * m};
        s.gram = data_->first_layer_gram(*backend_, s.node_space);
        s.kept = kept_.data();
    }
    if (s.node_space) {
        const bool centred = plan_.first.centred();
        s.feature_weights = plan_.first.feature_weights();
        if (plan_.first.by_graph)
            s.by_graph = data_->by_graph(*backend_, rows);
        else
            s.K = centred ? data_->first_layer_gram(*backend_, true).columns(s.first_node, held)
                          : data_->gram(*backend_, {0, held}, false);
        if (centred) s.gram_mean = data_->gram_mean(*backend_, s.feature_weights);
        s.conjugate_steps = plan_.first.conjugate_steps;
        s.V0 = V0().columns(0, held);
        s.V = V();
        s.S = S();
        if (s.conjugate_steps > 0) {
            s.conjugate = conjugate_.data();
            s.direction = over_nodes(own.g.data(), rows);
            s.move = over_nodes(own.move.data(), rows);
            s.image = over_nodes(own.dW.data(), rows);
        }
        s.node_scalars = node_scalars_.data();
    }
    return s;
}

void Network::build_groups() {
    const std::vector<LayerRange> spans = group_spans(layers_, shape_.layers, plan_.stacked);
    std::vector<ScratchSizes> groups;
    for (const LayerRange& g : spans) groups.push_back(scratch_of(shape_, g.first, g.count(), plan_.first, options_));
    for (const ScratchSizes& s : scratch_sets(groups, plan_.lanes))
        scratch_.push_back({{*backend_, s.g},
                            {*backend_, s.h},
                            {*backend_, s.G},
                            {*backend_, s.d_p},
                            {*backend_, s.q},
                            {*backend_, s.F},
                            {*backend_, s.move},
                            {*backend_, s.dW},
                            {*backend_, s.whole}});
    for (std::size_t g = 0; g < spans.size(); ++g)
        groups_.push_back(stack(spans[g].first, spans[g].count(), g % scratch_.size()));
}

void Network::forget_state() {
    groups_.clear();
    scratch_.clear();
    for (Buffer<real>* state : {&p_, &z_, &r_, &q_, &u_, &r_last_}) *state = {};
}

void Network::take_inverse(const Network& from) {
    if (!kept_.data() || !from.kept_.data() || F_first_.count() != from.F_first_.count()) return;
    const Index m = plan_.first.factor;
    backend_->copy(CMat{from.F_first_.data(), m, m, m}, Mat{F_first_.data(), m, m, m});
    kept_.upload(from.kept_.download());
}

std::string Network::not_invertible() const {
    const std::vector<std::int32_t> failed = failed_.download();
    for (int layer = layers_.first; layer <= layers_.last; ++layer)
        if (const std::int32_t bits = failed[static_cast<std::size_t>(layer - layers_.first)])
            return fmt::format("{} of layer {}", bits & Backend::bit_of(Backend::Variable::p) ? "p" : "W", layer);
    return "";
}

std::vector<NamedTensor> Network::state(int layer) const {
    std::vector<NamedTensor> tensors;
    if (layer == 1 && node_space())
        tensors = {{"W0", W0()}, {"V", V()}, {"S", S()}};
    else
        tensors = {{"W", W(layer)}};
    tensors.push_back({"b", b(layer)});
    if (layer > 1) tensors.push_back({"p", p(layer)});
    tensors.push_back({"z", z(layer)});
    tensors.push_back({"r", r(layer)});
    if (layer < shape_.layers) {
        if (!options_.rebuild_q) tensors.push_back({"q", q(layer)});
        tensors.push_back({"u", u(layer)});
    }
    return tensors;
}

std::vector<std::pair<int, NamedTensor>> Network::halos() const {
    if (layers_.count() == 0) return {};
    const int before = layers_.first - 1, after = layers_.last + 1;
    std::vector<std::pair<int, NamedTensor>> tensors;
    if (before >= 1) tensors = {{before, {"q", q(before)}}, {before, {"u", u(before)}}};
    if (after <= shape_.layers) tensors.push_back({after, {"p", p(after)}});
    return tensors;
}

}  // namespace pdadmm
