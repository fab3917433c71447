// Ranks as a grid of layers x nodes (design 3, "Second axis"): a rank holds a block of layers for a block of training
// nodes. Ranks that hold the same layers follow one another, so that a launcher which fills machines in order puts them
// on one machine: the node axis carries more bytes than the layer axis.
#pragma once

#include <optional>
#include <string>

namespace pdadmm {

struct Grid {
    int layers = 1, nodes = 1;  // blocks along each axis; -1, in a choice alone: the rest

    int ranks() const { return layers * nodes; }
    int layer_block(int rank) const { return rank / nodes; }
    int node_block(int rank) const { return rank % nodes; }
    int rank(int layer_block, int node_block) const { return layer_block * nodes + node_block; }
    bool operator==(const Grid&) const = default;
};

/// "4x2", "-1x2" or "4x-1"; none for "auto". Throws UsageError.
std::optional<Grid> parse_grid(const std::string& text);

/// The grid of `ranks` ranks that a choice stands for: its -1 is what is left. Throws UsageError, naming every number,
/// where there is none.
Grid complete_grid(const Grid& choice, int ranks);

/// "4x2".
std::string to_string(const Grid& grid);

}  // namespace pdadmm
