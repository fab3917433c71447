// Forms of layers by counting (host/network/layer_form.hpp). The lists follow host/admm/admm.cpp.
#include "host/network/layer_form.hpp"

#include <algorithm>

#include "host/network/network.hpp"

namespace pdadmm {
namespace {

constexpr double most_factor_work =
    2e12;  // flops of one factorisation of the first layer: some tens of seconds on two cores

constexpr int conjugate_steps = 4;  // on real graphs close to the minimiser after 20 iterations, and no better with 8

constexpr Trans no = Trans::no, yes = Trans::yes;

double cube(Index m) { return static_cast<double>(m) * static_cast<double>(m) * static_cast<double>(m); }

/// An (m, m) inverse from its factor, m^3 flops in double.
double inverse_flops(Index m) { return 2 * cube(m); }

/// Backend::push_through of (k, c) by a (k, k) Gram matrix, in double.
double push_through_flops(Index k, Index c) {
    return 2 * (cube(k) / 3 + 3 * static_cast<double>(k) * static_cast<double>(k) * static_cast<double>(c));
}

/// From g to P g.
LayerProducts direction_of_p(Index n, Index m, Index N, bool from_outputs) {
    if (from_outputs) return {{{no, no, n, N, m}, {yes, no, m, N, n}}, push_through_flops(n, m)};  // W g, C' W g
    return {{{yes, no, m, m, n}, {no, no, m, N, m}}, inverse_flops(m)};                            // W'W, P g
}

/// From p_c to the step of W, but for the gradient r p_c' (from nodes: y B') that both have.
LayerProducts step_of_W(Index n, Index m, Index N, bool from_nodes) {
    if (from_nodes) return {{}, push_through_flops(N, m)};               // B
    return {{{no, yes, m, m, N}, {no, no, n, m, m}}, inverse_flops(m)};  // p_c p_c', G Q
}

void add(LayerProducts& to, const LayerProducts& more) {
    to.products.insert(to.products.end(), more.products.begin(), more.products.end());
    to.factor_flops += more.factor_flops;
}

LayerProducts first_layer_products(const NetworkShape& s) {
    const FirstLayerForm form = first_layer_form(s);
    const Index n = s.rows(1), m = s.cols(1), N = s.nodes;
    if (form.node_space)  // r K, y F, or R K of every step
        return {std::vector<Product>(static_cast<std::size_t>(std::max(1, form.conjugate_steps)), {no, no, n, N, N}),
                0};
    LayerProducts direct{{{no, yes, n, m, N}, {no, no, n, N, m}}, 0};                         // G = r X', G X or dW X
    if (form.closed) direct.products.insert(direct.products.begin() + 1, {no, no, n, m, m});  // G Q
    return direct;
}

}  // namespace

double LayerProducts::flops() const {
    double sum = factor_flops;
    for (const Product& p : products) sum += p.flops();
    return sum;
}

FirstLayerForm first_layer_form(const NetworkShape& s, FirstLayer choice) {
    if (choice == FirstLayer::conjugate) return {true, false, 0, conjugate_steps};
    const bool forced = choice != FirstLayer::automatic, node_space = choice == FirstLayer::node_space;
    if (s.rule ==
        StepRule::block) {  // both spaces factorise the smaller Gram matrix; an iteration in node space is one product
        const bool in_node_space = forced ? node_space : s.nodes < s.inputs;
        const Index rows = in_node_space ? s.nodes : s.inputs;
        if (forced || cube(rows) <= most_factor_work) return {in_node_space, true, rows};
    }
    const bool in_node_space = forced ? node_space : s.nodes < 2 * s.inputs;  // 2 n N^2 flops, else 4 n n0 N
    return {in_node_space, false, 0, in_node_space && s.rule == StepRule::block ? conjugate_steps : 0};
}

bool products_pay_for_test(const NetworkShape& s) {
    constexpr double new_best_models = 32;  // about as many as a run has
    const double N = static_cast<double>(s.nodes), n0 = static_cast<double>(s.inputs);
    return N * n0 < new_best_models * static_cast<double>(s.hidden) * (n0 - N);  // X_c' x, or W1 x in place of S X_c' x
}

LayerForm layer_form(const NetworkShape& s, int layer) {
    if (layer == 1 || s.rule != StepRule::block) return {};
    const Index n = s.rows(layer), m = s.cols(layer), N = s.nodes;
    return {true, direction_of_p(n, m, N, true).flops() < direction_of_p(n, m, N, false).flops(),
            step_of_W(n, m, N, true).flops() < step_of_W(n, m, N, false).flops()};
}

LayerProducts iteration_products(const NetworkShape& s, int layer, bool p_quantised) {
    if (layer == 1) return first_layer_products(s);
    const LayerForm form = layer_form(s, layer);
    const Index n = s.rows(layer), m = s.cols(layer), N = s.nodes;
    const Product along_p{no, no, n, N, m};
    LayerProducts all{{{yes, no, m, N, n}}, 0};  // W' r
    if (form.closed)
        add(all, direction_of_p(n, m, N, form.p_from_outputs));
    else if (!p_quantised || s.rule == StepRule::exact)
        all.products.push_back(along_p);                              // W g
    if (form.closed || p_quantised) all.products.push_back(along_p);  // W P g, or W d
    if (form.closed) add(all, step_of_W(n, m, N, form.W_from_nodes));
    all.products.insert(all.products.end(), {{no, yes, n, m, N}, along_p});  // r p' or y B'; G p or dW p
    return all;
}

}  // namespace pdadmm
