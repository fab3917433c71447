// Which rank holds which layers (design 3): contiguous blocks, balanced by counted work.
#pragma once

#include <span>
#include <vector>

#include "host/network.hpp"

namespace pdadmm {

/// Work of an iteration on one layer, in flops; a byte that a pass moves counts as some.
double layer_cost(const NetworkShape& shape, int layer);

/// Layers of each rank, in order. Ranks beyond the number of layers hold none.
class Placement {
public:
    /// The split into blocks whose costliest one is cheapest.
    static Placement uniform(const NetworkShape& shape, int ranks);
    /// The same by given costs: costs[l - 1] is that of layer l.
    static Placement balanced(std::span<const double> costs, int ranks);

    LayerRange of(int rank) const { return ranges_[static_cast<std::size_t>(rank)]; }
    int owner(int layer) const;
    /// Ranks that hold layers: 0 .. active() - 1.
    int active() const;
    int ranks() const { return static_cast<int>(ranges_.size()); }

private:
    std::vector<LayerRange> ranges_;
};

}  // namespace pdadmm
