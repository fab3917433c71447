// Counted work of layers (host/network/layer_kind.hpp).
#include "host/network/layer_kind.hpp"

namespace pdadmm {
namespace {

constexpr double flops_of_a_byte = 4;  // that a processor or a GPU does in fp32 while it moves one, roughly

}  // namespace

LayerKind kind_of(const NetworkShape& shape, int layer) {
    return layer == 1 ? LayerKind::first : layer == shape.layers ? LayerKind::last : LayerKind::hidden;
}

double Work::counted() const { return flops + flops_of_a_byte * bytes; }

Work& Work::operator+=(const Work& more) {
    flops += more.flops;
    bytes += more.bytes;
    return *this;
}

Work LayerWork::sum() const {
    Work all;
    for (const Work* part : {&begin_p, &move_p, &gradient_W, &move_W, &close}) all += *part;
    return all;
}

LayerWork layer_work(const NetworkShape& s, int layer, Index columns, bool p_quantised) {
    const ProductsByPart parts = products_by_part(s, layer, columns, p_quantised);
    LayerWork work{{parts.begin_p.flops(), 0},
                   {parts.move_p.flops(), 0},
                   {parts.gradient_W.flops(), 0},
                   {parts.move_W.flops(), 0},
                   {}};
    const double pass = sizeof(real) * static_cast<double>(columns);
    const double own_problem = layer == s.layers ? 60 : 12;  // the last layer's takes tens of readings
    work.close.bytes = pass * own_problem * static_cast<double>(s.rows(layer));
    if (layer > 1) work.move_p.bytes = pass * (s.rule == StepRule::block ? 11 : 8) * static_cast<double>(s.cols(layer));
    return work;
}

double counted_work(const NetworkShape& s, int layer) { return layer_work(s, layer, s.nodes).sum().counted(); }

std::vector<double> gradient_costs(const NetworkShape& s) {
    std::vector<double> costs;
    for (int layer = 1; layer <= s.layers; ++layer)
        costs.push_back((layer == 1 ? 4.0 : 6.0) * static_cast<double>(s.rows(layer)) *
                        static_cast<double>(s.cols(layer)) * static_cast<double>(s.nodes));
    if (s.graph_entries > 0) costs[0] = 2 * static_cast<double>(s.rows(1)) * by_graph_work(s);
    return costs;
}

}  // namespace pdadmm
