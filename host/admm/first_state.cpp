// Initial weights, the forward pass that makes the first iterate, and growth (host/admm/first_state.hpp).
#include "host/admm/first_state.hpp"

#include <algorithm>
#include <cmath>

#include "host/network/weights.hpp"

namespace pdadmm {
namespace {

/// Layers of a network on their way to where those of a deeper one are held.
struct Move {
    Network& from;
    const Placement& before;
    Ranks& ranks;
    void operator()(int from_layer, CMat m, int to_layer, Mat to) const {
        ranks.move(m, ranks.rank_of(before.owner(from_layer)), to, ranks.owner(to_layer));
    }
};

double square_sum(const std::vector<real>& values) {
    double sum = 0;
    for (const real v : values) sum += static_cast<double>(v) * static_cast<double>(v);
    return sum;
}

/// +1 at the label's row, or at those of all labels, -1 elsewhere.
std::vector<real> label_logits(const NetworkShape& shape, const NodeData& data) {
    std::vector<real> z(static_cast<std::size_t>(shape.classes * shape.own_nodes()), -1);
    if (data.multi_label()) {
        for (std::size_t i = 0; i < z.size(); ++i) z[i] = data.host_targets()[i] != 0 ? 1 : -1;
        return z;
    }
    for (Index j = 0; j < shape.own_nodes(); ++j)
        z[static_cast<std::size_t>(j * shape.classes + data.host_labels()[static_cast<std::size_t>(j)])] = 1;
    return z;
}

/// z, q and p: those of the old network in its hidden layers, a forward pass above them (old = nullptr: everywhere); u
/// = 0, z_L by the stage's rule.
void first_state(Network& net, const NodeData& data, const Stage& stage, const Rules& rules, Ranks& ranks,
                 const Move* old) {
    Backend& be = net.backend();
    const LayerRange own = net.layers();
    const int L = net.shape().layers, kept = old ? old->from.shape().layers - 1 : 0;
    for (int layer = 1; layer <= kept; ++layer) {
        (*old)(layer, old->from.z(layer), layer, net.z(layer));
        (*old)(layer, old->from.q(layer), layer, net.q(layer));
        (*old)(layer, old->from.p(layer + 1), layer, net.p(layer + 1));
        if (own.has(layer)) be.fill(net.u(layer), 0);
    }
    if (own.count() == 0) return;
    if (own.first > 1) {
        ranks.receive_left(net.p(own.first));
        ranks.receive_left(net.q(own.first - 1));
        be.fill(net.u(own.first - 1), 0);
    }
    for (int layer = std::max(own.first, kept + 1); layer <= own.last; ++layer) {
        const Mat z = net.z(layer);
        if (layer == 1 && net.node_space())
            be.copy(net.V(), z);
        else
            be.gemm(Trans::no, Trans::no, 1, net.W(layer), net.p(layer), 0, z);
        if (layer == L) break;
        const Mat p_next = net.p(layer + 1);
        be.copy(z, p_next);
        be.add_bias(net.b(layer), true, z);
        be.add_bias(net.b(layer), false, p_next);
        if (!net.options().rebuild_q) be.copy(p_next, net.q(layer));
        be.fill(net.u(layer), 0);
        if (rules.p.codec == Codec::grid) be.snap(rules.p, net.p(layer + 1));
        if (rules.q.codec == Codec::grid) be.snap(rules.q, net.q(layer));
    }
    if (own.last < L) {
        ranks.send_right(net.p(own.last + 1));
        ranks.send_right(net.q(own.last));
        return;
    }
    be.add_bias(net.b(L), true, net.z(L));
    if (stage.z_init == ZInit::zero) be.fill(net.z(L), 0);
    if (stage.z_init != ZInit::label) return;
    const std::vector<real> logits = label_logits(net.shape(), data);
    be.upload(logits.data(), net.z(L).data, logits.size() * sizeof(real));
}

/// W1 = 0 in place of what weight decay leaves of W1_0: conjugate gradients then stay within the span of the features.
void drop_first_weights(Network& net, const Stage& stage) {
    if (net.plan().first.conjugate_steps == 0 || !net.layers().has(1) || stage.weight_decay == 0) return;
    NodeSpaceScalars scalars;
    net.backend().download(net.node_scalars(), &scalars, sizeof scalars);
    if (scalars.c == 0) return;
    scalars = {0, 0};
    net.backend().upload(&scalars, net.node_scalars(), sizeof scalars);
    net.backend().fill(net.S(), 0);
}

void close_residuals(Network& net) {
    for (LayerGroup& s : net.groups()) refresh_residual(net.backend(), s);
}

void set_controls(Network& net, const Stage& stage) {
    const Controls k{static_cast<real>(stage.rho), static_cast<real>(stage.nu), static_cast<real>(stage.weight_decay),
                     0, INFINITY};
    net.backend().upload(&k, net.controls(), sizeof k);
}

}  // namespace

void start(Network& net, const NodeData& data, const SolverOptions& options, const Stage& stage, const Rules& rules,
           Ranks& ranks) {
    for (int layer = net.layers().first; layer <= net.layers().last; ++layer)
        draw_layer(net.backend(), layer == 1 && net.node_space() ? net.W0() : net.W(layer), net.b(layer), layer,
                   options, 0);
    if (net.node_space() && net.layers().has(1)) {
        Backend& be = net.backend();
        std::vector<real> W0(static_cast<std::size_t>(net.W0().size()));
        be.download(net.W0().data, W0.data(), W0.size() * sizeof(real));
        const NodeSpaceScalars scalars{1, square_sum(W0)};
        be.upload(&scalars, net.node_scalars(), sizeof scalars);
        net.form_node_space();
        be.copy(net.V0().columns(0, net.shape().own_nodes()), net.V());
        be.fill(net.S(), 0);
    }
    set_controls(net, stage);
    first_state(net, data, stage, rules, ranks, nullptr);
    drop_first_weights(net, stage);
    close_residuals(net);
}

void grow(Network& net, Network& old, const NodeData& data, const SolverOptions& options, const Stage& stage,
          const Rules& rules, int stage_index, Ranks& ranks, const Placement& before) {
    Backend& be = net.backend();
    const Move move{old, before, ranks};
    const auto carry = [&](int from, int to) {
        move(from, old.W(from), to, net.W(to));
        move(from, old.b(from), to, net.b(to));
    };
    const int L = net.shape().layers, old_last = old.shape().layers;
    if (net.node_space() && net.layers().has(1)) {  // layer 1 is always on the first block
        net.take_W0(old);
        be.copy(old.V(), net.V());
        be.copy(old.S(), net.S());
        NodeSpaceScalars scalars;
        be.download(old.node_scalars(), &scalars, sizeof scalars);
        be.upload(&scalars, net.node_scalars(), sizeof scalars);
        be.copy(old.b(1), net.b(1));
    } else if (!net.node_space()) {
        carry(1, 1);
    }
    net.take_inverse(old);
    grow_layers(be, old_last, net.parameters(), net.layers(), carry, options, stage, stage_index);
    set_controls(net, stage);
    first_state(net, data, stage, rules, ranks, options.grow_state == GrowState::carry ? &move : nullptr);
    if (stage.z_init == ZInit::carry) move(old_last, old.z(old_last), L, net.z(L));
    drop_first_weights(net, stage);
    close_residuals(net);
}

}  // namespace pdadmm
