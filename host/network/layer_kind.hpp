// Kinds of layers, and the work that training does on them by count.
#pragma once

#include <array>
#include <vector>

#include "host/network/network.hpp"

namespace pdadmm {

/// Layers of one kind differ in no shape, and so in no cost.
enum class LayerKind { first, hidden, last };
constexpr std::size_t layer_kinds = 3;
LayerKind kind_of(const NetworkShape& shape, int layer);

/// Something of each kind of layer.
using ByKind = std::array<double, layer_kinds>;

/// Products and factors in flops, and what passes over memory read and write, in bytes.
struct Work {
    double flops = 0, bytes = 0;
    /// In flops; a byte counts as some.
    double counted() const;
    Work& operator+=(const Work& more);
};
/// Work of an iteration on one layer by what it must wait for (ProductsByPart), and the pass that closes it.
struct LayerWork {
    Work begin_p, move_p, gradient_W, move_W, close;
    Work sum() const;
};
/// For `columns` of the training nodes. Passes over W are left out: beside those over nodes they are few.
LayerWork layer_work(const NetworkShape& shape, int layer, Index columns, bool p_quantised = false);

/// Work of an iteration on one layer for all nodes, in flops.
double counted_work(const NetworkShape& shape, int layer);

/// Counted work of an epoch on each layer, layer l at l - 1: three products, two in the first layer;
/// those by the graph where it has graph_entries.
std::vector<double> gradient_costs(const NetworkShape& shape);

}  // namespace pdadmm
