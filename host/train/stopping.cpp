// Cadence and end of stages (host/train/stopping.hpp).
#include "host/train/stopping.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/network/layer_kind.hpp"
#include "host/ranks/placement.hpp"

namespace pdadmm {
namespace {

constexpr double evaluation_share = 0.1;  // of the work between two evaluations, at most

/// Flops of a forward pass over `columns` nodes.
double forward_work(const NetworkShape& s, bool admm, Index columns) {
    const double nodes = static_cast<double>(columns);
    const auto of_layer = [&](int layer) {  // multiplications of a neuron
        if (layer == 1 && admm && first_layer_form(s).node_space) return static_cast<double>(s.nodes) * nodes;
        if (layer == 1 && !admm && s.graph_entries > 0) return by_graph_work(s) / 2;  // of all nodes, however few
        return static_cast<double>(s.cols(layer)) * nodes;
    };
    double products = 0;
    for (int layer = 1; layer <= s.layers; ++layer) products += static_cast<double>(s.rows(layer)) * of_layer(layer);
    return 2 * products;
}

}  // namespace

NodeSets deciding_sets(const std::array<Index, 3>& counts) {
    return counts[1] > 0 ? NodeSets{false, true, false} : NodeSets{true, false, false};
}

Index evaluation_period(Optimizer optimizer, const NetworkShape& shape, const std::array<Index, 3>& counts) {
    const bool admm = optimizer == Optimizer::admm;
    const std::vector<double> costs = admm ? CostModel().of(shape) : gradient_costs(shape);
    const double iteration = std::accumulate(costs.begin(), costs.end(), 0.0);
    const double forward = forward_work(shape, admm, counts[1] > 0 ? counts[1] : counts[0]);
    return std::max<Index>(1, static_cast<Index>(std::ceil(forward / (evaluation_share * iteration))));
}

bool StageWatch::see(double figure) {
    const bool better = !best || figure > *best;
    since_best = better ? 0 : since_best + 1;
    if (better) best = figure;
    return better;
}

}  // namespace pdadmm
