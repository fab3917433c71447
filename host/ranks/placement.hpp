// Which rank holds which layers (design 3): contiguous blocks, of equal numbers, of numbers that the user lists, or
// balanced by what an iteration on each layer costs. The result of training is the same for all of them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/network/layer_kind.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// What an iteration on each layer costs: its counted work times a factor for its kind of layer, 1 until it was
/// measured.
class CostModel {
public:
    /// Costs in seconds from now on: seconds[k] were measured for the work work[k] on layers of kind k. A kind without
    /// measurement gets the factor of all others together; where there is none at all, nothing changes.
    void fit(const ByKind& work, const ByKind& seconds);
    /// Of all layers, layer l at l - 1.
    std::vector<double> of(const NetworkShape& shape) const;

private:
    ByKind factors_{1, 1, 1};
};

/// Layers of each rank, in order. Ranks beyond the number of layers hold none.
class Placement {
public:
    Placement() = default;  // of no rank
    /// Equal numbers of layers; where that cannot be, the first ranks hold one more.
    static Placement uniform(int layers, int ranks);
    /// The split into blocks whose costliest one is cheapest. costs[l - 1] is that of layer l.
    static Placement balanced(std::span<const double> costs, int ranks);
    /// `final_layers[k]` layers of the deepest network on rank k. With fewer layers (a growth stage) the borders lie at
    /// the same shares of the depth, rounded to whole layers, and each rank holds one at least as long as there are
    /// any.
    static Placement listed(int layers, std::span<const int> final_layers);

    LayerRange of(int rank) const { return ranges_[static_cast<std::size_t>(rank)]; }
    int owner(int layer) const;
    /// Ranks that hold layers: 0 .. active() - 1.
    int active() const;
    int ranks() const { return static_cast<int>(ranges_.size()); }
    bool operator==(const Placement&) const = default;

private:
    /// Rank k holds the layers up to last[k]; of `ranks` ranks, those beyond hold none.
    Placement(std::span<const int> last, int ranks);

    std::vector<LayerRange> ranges_;
};

/// By `rule`, on `ranks` ranks; `automatic` is balanced by `costs`.
Placement place_layers(const PlacementRule& rule, const NetworkShape& shape, int ranks, const CostModel& costs);

/// Cost of a rank's layers, and of the costliest rank's.
double block_cost(const Placement& placement, int rank, std::span<const double> costs);
double costliest_block(const Placement& placement, std::span<const double> costs);

/// "1-3", "4", or "-" where there is none.
std::string range_text(LayerRange range);

/// Where a rank is.
struct RankPlace {
    std::string host, device;
};
/// A line a rank, under a heading: its place where there are `places`, its layers, which of `nodes` blocks of nodes
/// where there are several, its share of the cost and `memory[rank]` bytes.
std::string placement_table(const Placement& placement, std::span<const double> costs,
                            std::span<const std::size_t> memory, int nodes = 1, std::span<const RankPlace> places = {});

}  // namespace pdadmm
