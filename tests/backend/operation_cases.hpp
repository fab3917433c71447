// The one list of operation cases: every operation of a backend on odd shapes, one layer and many, fewer and more
// elements than a block holds. A test checks each against float64; a benchmark may time `call` with `flops` and
// `bytes`.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/workbench.hpp"

namespace pdadmm {

/// n x m weights, N nodes, a stack of `batch` layers.
struct OperationShape {
    Index n, m, N, batch;
};

/// Arguments laid out: `call` runs the operation once, `check` compares what the first call left.
struct Prepared {
    std::function<void()> call, check;
};

struct OperationCase {
    std::string name;
    double flops, bytes;  // of one call, least traffic
    std::function<Prepared(Workbench&)> prepare;
};

/// Of the list, those that PDADMM_TEST_SHAPES names (text() of each, separated by commas); all where it is not set.
std::vector<OperationShape> operation_shapes();
std::vector<OperationCase> product_cases();          // products, copies, forward pass
std::vector<OperationCase> weight_cases();           // p and W, node space
std::vector<OperationCase> step_cases();             // p, and W with b, tile by tile
std::vector<OperationCase> block_cases();            // closed forms of p and W
std::vector<OperationCase> inverse_cases();          // their inverses
std::vector<OperationCase> conjugate_cases();        // the first layer past a factorisation
std::vector<OperationCase> codec_cases();            // quantised p, messages between ranks
std::vector<OperationCase> activation_cases();       // b, z, q, u, last layer, figures, schedule
std::vector<OperationCase> label_cases();            // several labels a node: last layer, gradient, tally
std::vector<OperationCase> backpropagation_cases();  // dropout, gradients, optimizers
/// All of them.
std::vector<OperationCase> operation_cases();

inline constexpr double unit = std::numeric_limits<real>::epsilon();
inline constexpr double rho = 1.5, nu = 0.25, mu = 0.75;  // of all cases but the schedule's; exact in float
inline Cells<Controls> controls(Workbench& bench) {
    return bench.cells("controls", std::vector<Controls>{{real(rho), real(nu), real(mu), 0, 0}});
}
/// Layer l's step size, of both signs.
std::vector<real> steps(Index batch);

/// Weights of classes in the risk, some of them far from 1; where not `weighted`, 1 each.
inline std::vector<double> weights_of_classes(Index classes, bool weighted) {
    std::vector<double> weights(static_cast<std::size_t>(classes), 1.0);
    for (std::size_t c = 0; c < weights.size() && weighted; ++c) weights[c] = c % 3 == 0 ? 0.05 : c % 3 == 1 ? 1 : 7.5;
    return weights;
}

/// "n31_m31_N127_batch2".
std::string text(const OperationShape& s);

}  // namespace pdadmm
