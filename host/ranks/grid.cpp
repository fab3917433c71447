// Grids by text, and ranges of nodes (host/ranks/grid.hpp).
#include "host/ranks/grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index alignment = 16;  // of a range's length

/// A whole number from 1, or -1.
std::optional<int> side(std::string_view text) {
    int value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || stop != text.data() + text.size() || value == 0 || value < -1) return std::nullopt;
    return value;
}

}  // namespace

Grid parse_grid(const std::string& text, int ranks) {
    const std::size_t cross = text.find('x');
    const std::optional<int> layers = side(std::string_view(text).substr(0, cross)),
                             nodes = cross == std::string::npos ? std::nullopt
                                                                : side(std::string_view(text).substr(cross + 1));
    if (!layers || !nodes || (*layers < 0 && *nodes < 0))
        throw UsageError(fmt::format(
            "--grid: '{}', expected auto or layers x nodes like 4x2; -1 in place of one of them is the rest", text));
    const int known = std::max(*layers, 1) * std::max(*nodes, 1);
    if ((*layers < 0 || *nodes < 0) && ranks % known != 0)
        throw UsageError(
            fmt::format("--grid: {} of {} ranks, expected a divisor of {}; take another number", text, ranks, ranks));
    return {*layers < 0 ? ranks / known : *layers, *nodes < 0 ? ranks / known : *nodes};
}

std::string to_string(const Grid& grid) { return fmt::format("{}x{}", grid.layers, grid.nodes); }

Index NodeRanges::length() const {
    if (count == 1) return nodes;
    return ((nodes + count - 1) / count + alignment - 1) / alignment * alignment;
}

NodeRange NodeRanges::range(int number) const {
    const Index first = std::min(nodes, number * length());
    return {first, std::min(nodes, first + length()) - first};
}

Index NodeRanges::most_of(int parts) const {
    Index most = 0;
    for (int part = 0; part < parts; ++part) {
        const NodeRange own = held(part, parts);
        const NodeRange last = own.count > 0 ? range(static_cast<int>(own.first + own.count) - 1) : NodeRange{};
        if (own.count > 0) most = std::max(most, last.first + last.count - range(static_cast<int>(own.first)).first);
    }
    return most;
}

}  // namespace pdadmm
