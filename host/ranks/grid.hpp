// Ranks as a grid of layers x nodes, and the fixed ranges that training nodes are cut into (design 3, second axis).
#pragma once

#include <string>

#include "host/network/node_data.hpp"

namespace pdadmm {

/// `layers` blocks of layers times `nodes` parts of the training nodes: rank i * nodes + j holds block i for part j.
struct Grid {
    int layers = 1, nodes = 1;
    int ranks() const { return layers * nodes; }
    bool operator==(const Grid&) const = default;
};

/// "4x2"; -1 for one of the two is what is left of `ranks`. Throws UsageError naming --grid.
Grid parse_grid(const std::string& text, int ranks);
std::string to_string(const Grid& grid);

/// Training nodes in `count` ranges by their number alone, never by the grid: sums over nodes are added range by range,
/// so that they have the same bits on any grid.
struct NodeRanges {
    Index nodes = 0;
    int count = 1;

    /// Of so many nodes where nothing else is asked for.
    static int usual(Index nodes) { return nodes < 4096 ? 1 : 16; }
    /// Of a range; of the last ones less.
    Index length() const;
    NodeRange range(int number) const;
    /// Numbers of the ranges that part `part` of `parts` holds.
    NodeRange held(int part, int parts) const { return NodeRange::share(count, part, parts); }
    /// Nodes of the largest of `parts` parts.
    Index most_of(int parts) const;
};

}  // namespace pdadmm
