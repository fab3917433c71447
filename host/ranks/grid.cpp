// Grids as text (host/ranks/grid.hpp).
#include "host/ranks/grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int the_rest = -1, most_blocks = 100000;

/// 0 where the text is no number of blocks.
int blocks(const std::string& text) {
    int value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && stop == text.data() + text.size();
    return whole && (value == the_rest || (value >= 1 && value <= most_blocks)) ? value : 0;
}

}  // namespace

std::optional<Grid> parse_grid(const std::string& text) {
    if (text == "auto") return std::nullopt;
    const std::size_t between = text.find('x');
    const Grid grid{blocks(text.substr(0, between)), between < text.size() ? blocks(text.substr(between + 1)) : 0};
    if (grid.layers == 0 || grid.nodes == 0 || (grid.layers == the_rest && grid.nodes == the_rest))
        throw UsageError(fmt::format(
            "--grid: '{}', expected blocks of layers x blocks of nodes like 4x2, -1 for the rest of one, or auto",
            printable(text)));
    return grid;
}

Grid complete_grid(const Grid& choice, int ranks) {
    const auto rest_of = [&](int blocks, int others) {
        return blocks == the_rest ? ranks % others == 0 ? ranks / others : 0 : blocks;
    };
    const Grid grid{rest_of(choice.layers, choice.nodes), rest_of(choice.nodes, choice.layers)};
    if (grid.layers > 0 && grid.nodes > 0 && grid.ranks() == ranks) return grid;
    throw UsageError(fmt::format("--grid: {} on {} rank{}, expected layers * nodes = {}; use another grid or start {}",
                                 to_string(choice), ranks, ranks == 1 ? "" : "s", ranks,
                                 choice.layers == the_rest || choice.nodes == the_rest
                                     ? fmt::format("a multiple of {} ranks", std::max(choice.layers, choice.nodes))
                                     : fmt::format("{} ranks", choice.ranks())));
}

std::string to_string(const Grid& grid) { return fmt::format("{}x{}", grid.layers, grid.nodes); }

}  // namespace pdadmm
