// How much one iteration must multiply and move: the one table of the passes' least traffic, which the passes are timed
// against and floors of whole iterations are summed from.
#pragma once

#include <vector>

#include "host/network/network.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm::bench {

/// One layer: W (n, m), N nodes.
struct LayerShape {
    Index n, m, N;
};

enum class Pass {
    p_gradient,
    p_step_size,
    p_descend,
    W_gradient,
    W_step,
    W_descend,
    bias_step,
    activation_step,
    activation_step_grid,
    activation_step_difference,
    last_step,
    close_residual,
    add_bias,
    gather_columns,
    grid_move,
    grid_check,
    snap,
    difference_move,
    difference_check,
    center,
    descent_check,
    node_space_target,
    node_space_close,
    node_space_step,
    node_space_descend,
    encode,
    decode,
    dual_step,
    rebuild_q
};

/// Bytes that a pass reads and writes at least, each array once.
double bytes_of(Pass pass, const LayerShape& s);
const char* name_of(Pass pass);

/// What one iteration does to `count` equal layers.
struct LayerWork {
    Index count = 1;
    std::vector<Product> products;
    double pass_bytes = 0;  // of all `count`
};

/// First layer, hidden layers, last layer of a network (host/admm/admm.cpp). Inverses of closed forms are not counted:
/// they are no products and touch no node.
std::vector<LayerWork> iteration_work(const NetworkShape& shape, Quantize quantize, Codec codec, bool rebuild_q);

}  // namespace pdadmm::bench
