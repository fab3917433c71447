// Traffic of passes and work of an iteration (traffic.hpp).
#include "bench/gpu/traffic.hpp"

namespace pdadmm::bench {
namespace {

/// Arrays of (m, N), (n, N) and (n, m) that pass through memory.
struct Arrays {
    const char* name;
    double in_nodes, out_nodes, weights;
};

// In the order of Pass. "r w" names what is read and what is written.
constexpr Arrays table[] = {
    {"p_gradient", 5, 0, 0},         // u p q g, g
    {"step_size of p", 0, 1, 0},     // h
    {"descend p, r", 3, 3, 0},       // g p, p; h r, r
    {"W_gradient", 0, 0, 3},         // W G, G
    {"step_size of W, b", 0, 2, 0},  // r H: behind a product, so not measured by itself
    {"descend W", 0, 0, 3},          // G W, W
    {"bias_step", 0, 2, 0},          // r h
    {"activation_step", 0, 10, 0},   // r h z p q u, r z q u
    {"activation_step, q on a grid", 0, 10, 0},
    {"activation_step, q by difference", 0, 14, 0},  // the largest change first: r h z p q u, r z; then z p q u, q u
    {"last_step", 0, 5, 0},                          // r h z, r z
    {"close_residual", 0, 3, 0},                     // r z, r
    {"add_bias", 0, 2, 0},
    {"gather_columns", 0, 2, 0},
    {"grid_move", 3, 0, 0},   // p g, d
    {"grid_check", 1, 1, 0},  // d h
    {"snap", 2, 0, 0},
    {"difference_move", 3, 0, 0},     // the largest first: g; then g, d
    {"difference_check", 1, 1, 0},    // d h
    {"center", 3, 0, 0},              // the mean first: x; then x, y
    {"descent_check", 2, 1, 0},       // g d, h
    {"node_space_target", 0, 3, 0},   // the mean first: z; then z, y
    {"node_space_close", 0, 9, 0},    // y F, z r h S V, h S V
    {"node_space_step", 0, 4, 0},     // r T V, T
    {"node_space_descend", 0, 6, 0},  // r H S V, S V
    {"encode, 4 bits", 0, 1.125, 0},  // x, codes
    {"decode, 4 bits", 0, 2.125, 0},  // codes x, x
    {"dual_step", 0, 4, 0},           // p q u, u
    {"rebuild_q", 0, 3, 0},           // z u, q
};

}  // namespace

double bytes_of(Pass pass, const LayerShape& s) {
    const Arrays& a = table[static_cast<int>(pass)];
    const double n = static_cast<double>(s.n), m = static_cast<double>(s.m), N = static_cast<double>(s.N);
    return (a.in_nodes * m * N + a.out_nodes * n * N + a.weights * n * m) * static_cast<double>(sizeof(real));
}

const char* name_of(Pass pass) { return table[static_cast<int>(pass)].name; }

std::vector<LayerWork> iteration_work(const NetworkShape& shape, Quantize quantize, Codec codec, bool rebuild_q) {
    const bool p_quantised = quantize != Quantize::none;
    const auto of_layer = [&](int layer, Index count) {
        const LayerShape s{shape.rows(layer), shape.cols(layer), shape.nodes};
        LayerWork work;
        work.count = count;
        work.products = iteration_products(shape, layer, p_quantised).products;
        const auto pass_over = [&](Pass pass) { work.pass_bytes += static_cast<double>(count) * bytes_of(pass, s); };
        const FirstLayerForm first = first_layer_form(shape);
        const LayerForm form = layer_form(shape, layer);
        const bool closed = layer == 1 ? first.closed : form.closed;
        if (layer > 1) {
            if (rebuild_q)
                work.pass_bytes +=
                    static_cast<double>(count) * bytes_of(Pass::rebuild_q, {s.m, s.m, s.N});  // of the layer before
            pass_over(Pass::p_gradient);
            if (!closed) pass_over(Pass::p_step_size);
            if (p_quantised) {
                pass_over(codec == Codec::grid ? Pass::grid_move : Pass::difference_move);
                pass_over(closed                 ? Pass::descent_check
                          : codec == Codec::grid ? Pass::grid_check
                                                 : Pass::difference_check);
                if (codec == Codec::grid) pass_over(Pass::snap);
            }
            pass_over(Pass::p_descend);
        }
        if (layer == 1 && first.node_space) {
            pass_over(closed ? Pass::node_space_target : Pass::node_space_step);
            pass_over(closed ? Pass::node_space_close : Pass::node_space_descend);
        } else {
            if (closed)
                work.pass_bytes += static_cast<double>(count) *
                                   bytes_of(Pass::center, layer == 1 ? LayerShape{s.n, s.n, s.N} : s);  // of r, of p
            if (form.W_from_nodes) pass_over(Pass::node_space_target);
            pass_over(Pass::W_gradient);
            if (!closed) pass_over(Pass::W_step);
            pass_over(Pass::W_descend);
        }
        if (closed || (layer == 1 && first.node_space)) pass_over(Pass::bias_step);
        if (rebuild_q && layer < shape.layers) pass_over(Pass::rebuild_q);
        if (layer == shape.layers)
            pass_over(Pass::last_step);
        else if (quantize == Quantize::pq)
            pass_over(codec == Codec::grid ? Pass::activation_step_grid : Pass::activation_step_difference);
        else
            pass_over(Pass::activation_step);
        return work;
    };
    std::vector<LayerWork> work{of_layer(1, 1)};
    if (shape.layers > 2) work.push_back(of_layer(2, shape.layers - 2));
    work.push_back(of_layer(shape.layers, 1));
    return work;
}

}  // namespace pdadmm::bench
