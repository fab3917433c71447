// Subproblem updates of pdADMM-G(-Q), each for one stack of equal layers (design 2).
// Fusion: the residual r = W p + b - z is carried through all six lines, so a layer needs four products an iteration.
// W' r, W g, r p', G p. The pass that closes an iteration does r, z, q, u and the figures in one reading.
// Closed forms (`block`) take P = (nu W'W + rho I)^-1 and Q = (nu p_c p_c' + mu I)^-1 in place of step sizes, in delta
// form: p -= P g and W -= G Q, so that an inexact inverse costs speed and not the fixed point. Products: W' r, P g, W
// d, p_c p_c', r p', dW p. Where a smaller matrix does the same work (host/network/layer_form.hpp), P and Q are never
// formed:
//   P g = (g - C' W g) / rho            with C = nu (nu W W' + rho I)^-1 W                    (Woodbury)
//   W - W_new = (nu y B' + mu D) / mu   with B = mu p_c (nu p_c' p_c + mu I)^-1, D = W - W_ref, y = (W_ref p - z)_c
// y B' is r_new p_c', so the second is the gradient at the new point, in which old W cancels: G Q itself by Woodbury
// would lose all digits where p_c is ill conditioned. (mu = 0: D = 0, y = r_c and the ridge in place of 1/mu.)
// Where other ranks hold some of the nodes, N are those of this one; products that sum over nodes ask for all of them:
// as sums along a tree (node_product), or from all columns (all_nodes), since a part of a sum is no column of it.
// Shapes: W G (n, m)  p g (m, N)  b d (n, 1)  z r q u h (n, N); every tensor is a stack of layers.
#include "host/admm/admm.hpp"

#include <algorithm>
#include <cmath>

#include "host/network/features_by_graph.hpp"
#include "pdadmm/node_ranges.hpp"

namespace pdadmm {
namespace {

// codec grid: try tau, 2 tau, ..., 2^10 tau (closed form: 1, 1/2, ... of the way), then snap in place. Every trial
// needs W d; usually the first is accepted.
void update_p_on_grid(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    be.repeat_while(s.pending, s.count, backtracking_trials + 1, [&] {
        be.grid_move(rules.p, s.p, s.closed_form ? s.move : s.g, s.inverse, s.pending,
                     s.d_p);                                                       // d = snap(p - g/tau) - p
        be.gemm(Trans::no, Trans::no, 1, s.W, s.d_p, 0, s.h, Precision::working);  // h = W d
        if (s.closed_form)
            be.descent_check(rules.p, s.g, s.d_p, s.h, k, s.inverse, s.pending, s.headers);
        else
            be.grid_check(s.d_p, s.h, k, s.inverse, s.pending);
    });
    be.set_inverse(s.inverse, s.count, -1);
    be.descend(s.inverse, s.d_p, s.p, s.h, s.r);  // p += d, r += h
    be.snap(rules.p, s.p);                        // p + d is a level but for rounding
}

// codec difference: the decoded move scales with 1/tau, so one product decides every trial. Nodes do not meet in p's
// subproblem, so every range of them has a width and a factor of its own, and asks no other rank.
void update_p_by_difference(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    for (Index range = 0; range < s.ranges; ++range) {
        const Mat p = nodes_of(s.p, range), g = nodes_of(s.g, range), d = nodes_of(s.d_p, range),
                  h = nodes_of(s.h, range), r = nodes_of(s.r, range);
        real* inverse = s.range_inverse + range * s.count;
        MessageHeader* headers = s.headers + range * s.count;
        if (s.ranges > 1) be.copy(Mat{s.inverse, s.count, 1, s.count}, {inverse, s.count, 1, s.count});
        be.difference_move(rules.p, s.closed_form ? nodes_of(s.move, range) : g, inverse, d, headers);  // d = Q(-g/tau)
        be.gemm(Trans::no, Trans::no, 1, s.W, d, 0, h, Precision::working);                             // h = W d
        if (s.closed_form)
            be.descent_check(rules.p, g, d, h, k, inverse, s.pending, headers);
        else
            be.difference_check(d, h, k, inverse, headers);
        be.descend(inverse, d, p, h, r);  // p += f d, r += f h
    }
}

/// The gradient g and where p goes from it, P g, over g = W' r.
void choose_minimiser(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    be.p_gradient(s.u_prev, s.p, s.q_prev, k, s.g, nullptr);  // g = nu g + u + rho (p - q)
    if (s.p_from_outputs) {
        be.gemm(Trans::no, Trans::no, 1, s.W, s.g, 0, s.h, Precision::working);  // W g         2nmN flops
        be.copy(s.g, s.move);
        be.gemm(Trans::yes, Trans::no, -1, s.G, s.h, 1, s.move, Precision::working);  // rho P g  2nmN flops
    } else {
        be.gemm(Trans::no, Trans::no, 1, s.F, s.g, 0, s.move, Precision::working);  // P g      2m^2 N flops
        be.set_inverse(s.inverse, s.count, 1);
    }
    if (rules.p.codec == Codec::none)
        be.gemm(Trans::no, Trans::no, 1, s.W, s.move, 0, s.h, Precision::working);  // W P g  2nmN flops
}

/// The gradient g and the size of a step along it. `begun`: g holds W' r.
void choose_step(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules, bool begun) {
    if (rules.p.codec == Codec::none || rules.step.rule != StepRule::backtracking)
        return be.p_step({s.W, begun ? CMat{} : s.r, s.u_prev, s.p, s.q_prev, s.g, s.h, s.norm_sq, s.inverse}, k,
                         rules.step);  // g = nu W' r + u + rho (p - q), h = W g          4nmN flops
    if (!begun) begin_p(be, s, k);
    be.p_gradient(s.u_prev, s.p, s.q_prev, k, s.g, s.norm_sq);
    be.set_inverse(s.inverse, s.count, backtracking_start);
}

}  // namespace

void begin_p(Backend& be, LayerGroup& s, const Controls* k) {
    be.gemm(Trans::yes, Trans::no, 1, s.W, s.r, 0, s.g, Precision::working);  // g = W' r           2nmN flops
    if (!s.closed_form) return;
    if (s.p_from_outputs) return be.push_through(Backend::Variable::p, k, s.W, s.G, s.inverse, s.failed);  // C
    be.gemm(Trans::yes, Trans::no, 1, s.W, s.W, 0, s.F);                                                   // W' W
    be.invert(Backend::Variable::p, k, s.F, s.failed);                                                     // P
}

void update_p(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules, bool begun) {
    if (s.closed_form && !begun) begin_p(be, s, k);
    if (s.rebuild_q) be.rebuild_q(s.z_prev, s.u_prev, k, s.q);  // q_prev views the same scratch
    if (s.closed_form)
        choose_minimiser(be, s, k, rules);
    else
        choose_step(be, s, k, rules, begun);
    switch (rules.p.codec) {
        case Codec::none:
            return be.descend(s.inverse, s.closed_form ? s.move : s.g, s.p, s.h, s.r);  // p -= g/tau, r -= h/tau
        case Codec::grid:
            be.reset_pending(s.pending, s.count);
            return update_p_on_grid(be, s, k, rules);
        case Codec::difference:
            return update_p_by_difference(be, s, k, rules);
    }
}

namespace {

// h = G p for a known step along the direction G of W, and b.                                        2nmN flops
void follow_W(Backend& be, LayerGroup& s, CMat G, const Controls* k) {
    be.W_b_step({G, s.p, s.r, s.h, s.d, s.b, nullptr, s.inverse}, k, {});
}

// Leaves r -= H/theta to the pass that follows: it reads r anyway. Where other ranks have parts of G, those of each
// half of the stack travel under a product of the other one.
void update_W(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    const auto multiply = [&](Index first, Index count) {
        be.begin_node_product(s.r.layers(first, count), s.p.layers(first, count), s.G.layers(first, count),
                              Precision::working);  // G = r p'           2nmN flops
    };
    const auto step = [&](Index first, Index count) {
        const Mat W = s.W.layers(first, count), G = s.G.layers(first, count);
        be.end_node_product(G);
        be.W_gradient(W, s.decay, k, G, s.norm_sq + first);  // G = nu G + mu (W - W_ref)
        be.W_b_step({G, s.p.layers(first, count), s.r.layers(first, count), s.h.layers(first, count),
                     s.d.layers(first, count), s.b.layers(first, count), s.norm_sq + first, s.inverse + first},
                    k, rules.step);                                       // H = G p, b       2nmN flops
        be.descend(s.inverse + first, G, W, s.decay, s.figures + first);  // W -= G/theta
    };
    const Index half = be.sums_travel(s.G.layers(0, s.count / 2)) ? s.count / 2 : 0;
    if (half > 0) multiply(0, half);
    multiply(half, s.count - half);
    if (half > 0) step(0, half);
    step(half, s.count - half);
}

// W to the minimiser of W and b together, for which b's part is centred out; leaves h = dW p as a step of size 1.
void minimise_W(Backend& be, LayerGroup& s, const Controls* k) {
    if (s.is_first) {  // X stays: so does its inverse
        be.keep_inverse(s.gram, k, s.kept, s.F, s.failed);
        be.center(s.r, s.h);
        be.node_product(s.h, s.p, s.G, Precision::working);  // G = r_c X'         2nmN flops
    } else {
        be.center(s.p, s.g);
        be.begin_node_product(s.g, s.g, s.F, Precision::full);     // p_c p_c'           m^2 N flops
        be.begin_node_product(s.r, s.g, s.G, Precision::working);  // G = r p_c'         2nmN flops
        be.end_node_product(s.F);
        be.invert(Backend::Variable::W, k, s.F, s.failed);  // Q
        be.end_node_product(s.G);
    }
    be.W_gradient(s.W, s.decay, k, s.G, s.norm_sq);       // G = nu G + mu (W - W_ref)
    be.gemm(Trans::no, Trans::no, 1, s.G, s.F, 0, s.dW);  // dW = G Q
    be.set_inverse(s.inverse, s.count, 1);
    be.descend(s.inverse, s.dW, s.W, s.decay, s.figures);  // W -= dW
    follow_W(be, s, s.dW, k);                              // h = dW p
}

// The same by the Gram matrix of nodes; leaves h = G p as a step of size 1/mu. y is no small change, unlike r: full
// precision.
void minimise_W_from_nodes(Backend& be, LayerGroup& s, const Controls* k) {
    be.center(s.p, s.g);
    const CMat p_c = be.all_nodes(s.g, s.whole);
    const Mat B = s.whole.data ? s.whole : s.g;
    be.push_through(Backend::Variable::W, k, p_c, B, s.inverse, s.failed);  // of all nodes, as no part can be
    if (s.whole.data) be.copy(B.columns(s.first_node, s.g.cols), s.g);
    be.node_space_target(k, s.decay, s.p, s.z, s.r, s.h);  // y
    be.node_product(s.h, s.g, s.G, Precision::full);       // G = r_new p_c'   2nmN flops
    be.W_gradient(s.W, s.decay, k, s.G, s.norm_sq);        // G = nu G + mu (W - W_ref)
    be.descend(s.inverse, s.G, s.W, s.decay, s.figures);   // W -= G/mu
    follow_W(be, s, s.G, k);                               // h = G p
}

// The same of W1 in node space, where one product is enough: r_c = -(mu/nu) T with T = nu z_c F.
void minimise_W_in_node_space(Backend& be, LayerGroup& s, const Controls* k) {
    be.keep_inverse(s.gram, k, s.kept, s.F, s.failed);
    be.node_space_target(k, s.decay, s.p, s.z, s.r, s.h);
    const CMat y = be.all_nodes(s.h, s.whole), F = s.F.columns(s.first_node, s.h.cols);
    be.gemm(Trans::no, Trans::no, 1, y, F, 0, s.move);  // y F                2nN^2 flops
    be.gemm(Trans::no, Trans::no, 1, be.all_nodes(s.move, s.whole), s.gram_mean, 0, s.d);  // y F X_c' xbar
    be.node_space_close({s.move, s.d, s.b, s.z, s.r, s.h, s.S, s.V}, k, s.kept, s.node_scalars, s.figures);
    be.set_inverse(s.inverse, s.count, 1);
}

// T = R K of all nodes' R, for the nodes that are here: 2nN^2 flops, or by the graph. K_c takes the means of R away, of
// which centred R has none, and those of T.
void times_K(Backend& be, const LayerGroup& s, CMat R, Mat T, Precision precision = Precision::full) {
    if (!s.by_graph) return be.gemm(Trans::no, Trans::no, 1, R, s.K, 0, T, precision);
    s.by_graph->multiply(R, s.feature_weights, {s.first_node, T.cols}, T);
    if (s.gram_mean.data) be.center(T, T);
}

// Steps towards the same minimiser from the last iterate's W1, where K_c is too large to be factorised. G = R X_c' with
// R = nu r_c - mu S; a step moves W1 by D = E X_c', and D X = U + d with U = E K_c.
void approach_W_in_node_space(Backend& be, LayerGroup& s, const Controls* k) {
    be.center(s.r, s.move);
    be.dual_gradient(s.S, k, s.move);  // R
    for (int step = 0; step < s.conjugate_steps; ++step) {
        times_K(be, s, be.all_nodes(s.move, s.whole), s.h);  // T = R K_c
        be.conjugate_weight(s.move, s.h, step == 0, s.conjugate);
        be.conjugate_direction(s.move, s.h, s.V, k, s.conjugate, s.direction, s.image, s.inverse, s.node_scalars,
                               s.figures);
        be.gemm(Trans::no, Trans::no, 1, be.all_nodes(s.direction, s.whole), s.gram_mean, 0, s.d);  // d = E X_c' xbar
        be.conjugate_step(s.inverse, k, s.direction, s.image, s.d, s.S, s.V, s.r, s.move);
    }
    be.set_inverse(s.inverse, s.count, INFINITY);  // r has moved
}

// W1 is never formed: V = W1 X moves by H = nu r K + mu V, and S collects the steps.
void update_W_in_node_space(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    const CMat r = be.all_nodes(s.r, s.whole);
    times_K(be, s, r, s.h, Precision::working);                                              // T = r K
    be.node_space_step(s.r, s.h, s.V, k, rules.step, s.inverse, s.node_scalars, s.figures);  // H over T, theta
    be.node_space_descend(s.inverse, s.r, s.h, k, s.S, s.V);
}

}  // namespace

void update_W_b(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    if (!s.node_space)
        return !s.closed_form   ? update_W(be, s, k, rules)
               : s.W_from_nodes ? minimise_W_from_nodes(be, s, k)
                                : minimise_W(be, s, k);
    if (s.closed_form)
        minimise_W_in_node_space(be, s, k);
    else if (s.conjugate_steps > 0)
        approach_W_in_node_space(be, s, k);
    else
        update_W_in_node_space(be, s, k, rules);
    be.bias_step(s.r, s.h, s.inverse, s.d, s.b);
}

void update_zqu(Backend& be, LayerGroup& s, const Controls* k, const Rules& rules) {
    if (s.rebuild_q && !s.is_last) be.rebuild_q(s.z, s.u, k, s.q);
    if (s.is_last)
        be.last_step(s.inverse, s.h, s.d, s.labels, k, s.r, s.z, s.figures);
    else
        be.activation_step({s.inverse, s.h, s.d, s.p_next, s.r, s.z, s.q, s.u}, k, rules.q, s.figures, s.headers);
}

void refresh_residual(Backend& be, LayerGroup& s) {
    if (s.node_space) {
        const CMat S = be.all_nodes(s.S, s.whole);
        be.copy(s.V0, s.V);
        be.scale_by_c(s.node_scalars, s.V);
        if (s.by_graph) {
            times_K(be, s, S, s.h);
            s.by_graph->subtract(s.h, s.V);
        } else {
            be.gemm(Trans::no, Trans::no, -1, S, s.K, 1, s.V);  // V = c W1_0 X - S X'X
        }
        if (s.gram_mean.data) {  // X_c'X = K_c + X_c' xbar 1'
            be.gemm(Trans::no, Trans::no, -1, S, s.gram_mean, 0, s.d);
            be.add_bias(s.d, true, s.V);
        }
        be.copy(s.V, s.r);
    } else {
        be.gemm(Trans::no, Trans::no, 1, s.W, s.p, 0, s.r, Precision::split);
    }
    be.close_residual(s.b, s.z, s.r);
}

void refresh(Backend& be, std::span<LayerGroup> groups) {
    for (LayerGroup& s : groups) refresh_residual(be, s);
}

namespace {

template <typename Body>
void each_group(Backend& be, std::span<LayerGroup> groups, const Rules& rules, Body&& body) {
    const auto lanes = std::min(groups.size(), static_cast<std::size_t>(rules.lanes));
    be.concurrently(static_cast<Index>(lanes), [&](Index lane) {
        for (auto g = static_cast<std::size_t>(lane); g < groups.size(); g += lanes) body(groups[g]);
    });
}

}  // namespace

void update_p(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules) {
    each_group(be, groups, rules, [&](LayerGroup& s) {
        if (!s.is_first) update_p(be, s, k, rules);
    });
}

void update_W_b_zqu(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules) {
    each_group(be, groups, rules, [&](LayerGroup& s) {
        update_W_b(be, s, k, rules);
        update_zqu(be, s, k, rules);
    });
}

void iterate(Backend& be, std::span<LayerGroup> groups, const Controls* k, const Rules& rules) {
    update_p(be, groups, k, rules);
    update_W_b_zqu(be, groups, k, rules);
}

}  // namespace pdadmm
