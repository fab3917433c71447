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

/// Work of an iteration on one layer, in flops; a byte that a pass moves counts as some.
double counted_work(const NetworkShape& shape, int layer);

/// Counted work of an epoch on each layer, layer l at l - 1: three products, two in the first layer.
std::vector<double> gradient_costs(const NetworkShape& shape);

}  // namespace pdadmm
