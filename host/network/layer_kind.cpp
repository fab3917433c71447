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
    if (layer == 1) {
        const FirstLayerForm form = first_layer_form(s);
        const double direct = 4 * n * m * N + (form.closed ? 2 * n * m * m : 0);
        return (form.node_space ? 2 * n * N * N : direct) + passes * 12 * n;
    }
    const double around =
        passes * (8 * m + (layer == s.layers ? 60 : 12) * n);      // the last layer's problem takes tens of readings
    if (s.rule != StepRule::block) return 8 * n * m * N + around;  // four products
    return 8 * n * m * N + 3 * m * m * N + 2 * m * m * (2 * m + 2 * n) + around +
           passes * 3 * m;  // P g, a Gram matrix, two inverses, dW
}

std::vector<double> gradient_costs(const NetworkShape& s) {
    std::vector<double> costs;
    for (int layer = 1; layer <= s.layers; ++layer)
        costs.push_back((layer == 1 ? 4.0 : 6.0) * static_cast<double>(s.rows(layer)) *
                        static_cast<double>(s.cols(layer)) * static_cast<double>(s.nodes));
    return costs;
}

}  // namespace pdadmm
