// Forms of layers by counting (host/network/layer_form.hpp). The lists follow host/admm/admm.cpp.
#include "host/network/layer_form.hpp"

#include <algorithm>
#include <cmath>

#include "host/network/network.hpp"

namespace pdadmm {
namespace {

constexpr double most_factor_work =
    2e12;  // flops of one factorisation of the first layer: some tens of seconds on two cores

constexpr int conjugate_steps = 4;  // on real graphs close to the minimiser after 20 iterations, and no better with 8

constexpr double iterations_of_stage = 100;  // about, among which the work of a factorisation is divided

constexpr Trans no = Trans::no, yes = Trans::yes;

double cube(Index m) { return static_cast<double>(m) * static_cast<double>(m) * static_cast<double>(m); }

/// An (m, m) inverse from its factor, m^3 flops in double.
double inverse_flops(Index m) { return 2 * cube(m); }

/// Backend::push_through of (k, c) by a (k, k) Gram matrix, in double.
double push_through_flops(Index k, Index c) {
    return 2 * (cube(k) / 3 + 3 * static_cast<double>(k) * static_cast<double>(k) * static_cast<double>(c));
}

void add(LayerProducts& to, const LayerProducts& more) {
    to.products.insert(to.products.end(), more.products.begin(), more.products.end());
    to.factor_flops += more.factor_flops;
}

/// W'W and the inverse P, or C; then P g.
void direction_of_p(ProductsByPart& parts, Index n, Index m, Index N, bool from_outputs) {
    if (from_outputs) {
        add(parts.begin_p, {{}, push_through_flops(n, m)});               // C
        add(parts.move_p, {{{no, no, n, N, m}, {yes, no, m, N, n}}, 0});  // W g, C' W g
    } else {
        add(parts.begin_p, {{{yes, no, m, m, n}}, inverse_flops(m)});  // W'W, P
        add(parts.move_p, {{{no, no, m, N, m}}, 0});                   // P g
    }
}

/// From p_c to the step of W, but for the gradient r p_c' (from nodes: y B') that both have; B is one for `all` nodes.
void step_of_W(ProductsByPart& parts, Index n, Index m, Index N, Index all, bool from_nodes) {
    if (from_nodes) return add(parts.gradient_W, {{}, push_through_flops(all, m)});  // B
    add(parts.gradient_W, {{{no, yes, m, m, N}}, 0});                                // p_c p_c'
    add(parts.move_W, {{{no, no, n, m, m}}, inverse_flops(m)});                      // G Q
}

/// Of a stage whose first layer goes to its minimiser: a Gram matrix, its inverse, and every iteration. Infinite where
/// the matrix is too large to be factorised.
double closed_flops(const NetworkShape& s, bool node_space) {
    const double N = static_cast<double>(s.nodes), n0 = static_cast<double>(s.inputs);
    const Index rows = node_space ? s.nodes : s.inputs;
    if (cube(rows) > most_factor_work) return INFINITY;
    const double iteration = 2 * static_cast<double>(s.hidden) * (node_space ? N * N : n0 * (2 * N + n0));
    return 2 * N * n0 * static_cast<double>(rows) + inverse_flops(rows) + iterations_of_stage * iteration;
}

/// Whether the first layer is updated with less work by the graph, in node space, than in any other way.
bool worth_by_graph(const NetworkShape& s) {
    if (s.graph_entries == 0) return false;
    const double N = static_cast<double>(s.nodes), n0 = static_cast<double>(s.inputs);
    if (s.rule != StepRule::block) return by_graph_work(s) < std::min(N * N, 2 * n0 * N);
    const double stage = iterations_of_stage * conjugate_steps * 2 * static_cast<double>(s.hidden) * by_graph_work(s);
    return stage < std::min(closed_flops(s, false), closed_flops(s, true));
}

ProductsByPart first_layer_parts(const NetworkShape& s, Index N) {
    const FirstLayerForm form = first_layer_form(s);
    const Index n = s.rows(1), m = s.cols(1);
    if (form.node_space) {  // r K, y F, or R K of every step
        // By the graph a node needs its neighbours, and theirs: all of the work, for however few of the nodes.
        const Product product{
            no, no, n, form.by_graph ? s.nodes : N,
            form.by_graph ? static_cast<Index>(by_graph_work(s) / static_cast<double>(s.nodes)) + 1 : s.nodes};
        const auto times = static_cast<std::size_t>(std::max(1, form.conjugate_steps));
        return {{}, {}, {}, {std::vector<Product>(times, product), 0}};
    }
    ProductsByPart direct{{}, {}, {{{no, yes, n, m, N}}, 0}, {}};          // G = r X'
    if (form.closed) direct.move_W.products.push_back({no, no, n, m, m});  // G Q
    direct.move_W.products.push_back({no, no, n, N, m});                   // G X or dW X
    return direct;
}

/// Flops of one of the two choices that layer_form() has.
template <typename Choice>
double flops_of(Choice choice, bool other) {
    ProductsByPart parts;
    choice(parts, other);
    return parts.begin_p.flops() + parts.move_p.flops() + parts.gradient_W.flops() + parts.move_W.flops();
}

}  // namespace

double LayerProducts::flops() const {
    double sum = factor_flops;
    for (const Product& p : products) sum += p.flops();
    return sum;
}

double by_graph_work(const NetworkShape& s) { return 2 * entry_over_product * s.graph_entries; }

FirstLayerForm first_layer_form(const NetworkShape& s, FirstLayer choice) {
    if (choice == FirstLayer::conjugate) return {true, false, 0, false, conjugate_steps};
    const bool forced = choice != FirstLayer::automatic, node_space = choice == FirstLayer::node_space;
    if (s.owned) {  // by features, or not at all
        const bool closed = s.rule == StepRule::block && std::isfinite(closed_flops(s, false));
        return {false, closed, closed ? s.inputs : 0};
    }
    if (!forced && worth_by_graph(s)) return {true, false, 0, true, s.rule == StepRule::block ? conjugate_steps : 0};
    if (s.rule == StepRule::block) {
        const bool in_node_space = forced ? node_space : closed_flops(s, true) < closed_flops(s, false);
        if (forced || std::isfinite(closed_flops(s, in_node_space)))
            return {in_node_space, true, in_node_space ? s.nodes : s.inputs};
    }
    const bool in_node_space = forced ? node_space : s.nodes < 2 * s.inputs;  // 2 n N^2 flops, else 4 n n0 N
    return {in_node_space, false, 0, false, in_node_space && s.rule == StepRule::block ? conjugate_steps : 0};
}

bool products_pay_for_test(const NetworkShape& s) {
    constexpr double new_best_models = 32;  // about as many as a run has
    const double N = static_cast<double>(s.nodes), n0 = static_cast<double>(s.inputs);
    return N * n0 < new_best_models * static_cast<double>(s.hidden) * (n0 - N);  // X_c' x, or W1 x in place of S X_c' x
}

LayerForm layer_form(const NetworkShape& s, int layer) {
    if (layer == 1 || s.rule != StepRule::block) return {};
    const Index n = s.rows(layer), m = s.cols(layer), N = s.nodes;
    const auto of_p = [=](ProductsByPart& parts, bool from_outputs) { direction_of_p(parts, n, m, N, from_outputs); };
    const auto of_W = [=](ProductsByPart& parts, bool from_nodes) { step_of_W(parts, n, m, N, N, from_nodes); };
    return {true, flops_of(of_p, true) < flops_of(of_p, false),
            !s.owned && flops_of(of_W, true) < flops_of(of_W, false)};
}

ProductsByPart products_by_part(const NetworkShape& s, int layer, Index columns, bool p_quantised) {
    if (layer == 1) return first_layer_parts(s, columns);
    const LayerForm form = layer_form(s, layer);
    const Index n = s.rows(layer), m = s.cols(layer), N = columns;
    const Product along_p{no, no, n, N, m};
    ProductsByPart parts{{{{yes, no, m, N, n}}, 0}, {}, {}, {}};  // W' r
    if (form.closed)
        direction_of_p(parts, n, m, N, form.p_from_outputs);
    else if (!p_quantised || s.rule == StepRule::exact)
        parts.move_p.products.push_back(along_p);                              // W g
    if (form.closed || p_quantised) parts.move_p.products.push_back(along_p);  // W P g, or W d
    if (form.closed) step_of_W(parts, n, m, N, s.nodes, form.W_from_nodes);
    parts.gradient_W.products.push_back({no, yes, n, m, N});  // r p' or y B'
    parts.move_W.products.push_back(along_p);                 // G p or dW p
    return parts;
}

LayerProducts iteration_products(const NetworkShape& s, int layer, bool p_quantised) {
    const ProductsByPart parts = products_by_part(s, layer, s.nodes, p_quantised);
    LayerProducts all;
    for (const LayerProducts* part : {&parts.begin_p, &parts.move_p, &parts.gradient_W, &parts.move_W}) add(all, *part);
    return all;
}

}  // namespace pdadmm
