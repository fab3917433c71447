// Counted work of layers (host/network/layer_kind.hpp).
#include "host/network/layer_kind.hpp"

namespace pdadmm {
namespace {

constexpr double flops_of_a_byte = 4;  // that a processor or a GPU does in fp32 while it moves one, roughly

}  // namespace

LayerKind kind_of(const NetworkShape& shape, int layer) {
    return layer == 1 ? LayerKind::first : layer == shape.layers ? LayerKind::last : LayerKind::hidden;
}

double counted_work(const NetworkShape& s, int layer) {
    const auto n = static_cast<double>(s.rows(layer)), m = static_cast<double>(s.cols(layer)),
               N = static_cast<double>(s.nodes);
    const double passes = flops_of_a_byte * sizeof(real) * N;
    const double products = iteration_products(s, layer).flops();
    if (layer == 1) return products + passes * 12 * n;
    const double own_problem = layer == s.layers ? 60 : 12;  // the last layer's takes tens of readings
    return products + passes * ((s.rule == StepRule::block ? 11 : 8) * m + own_problem * n);
}

std::vector<double> gradient_costs(const NetworkShape& s) {
    std::vector<double> costs;
    for (int layer = 1; layer <= s.layers; ++layer)
        costs.push_back((layer == 1 ? 4.0 : 6.0) * static_cast<double>(s.rows(layer)) *
                        static_cast<double>(s.cols(layer)) * static_cast<double>(s.nodes));
    return costs;
}

}  // namespace pdadmm
