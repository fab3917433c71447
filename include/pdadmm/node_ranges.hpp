// How sums over nodes are formed (design 3, "Second axis"): per range of nodes, then along one binary tree. Ranges
// follow from the number of nodes alone, so a sum has the same bits whoever holds which ranges.
#pragma once

#include <algorithm>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// `count` ranges of `length` nodes, the last one shorter.
struct NodeRanges {
    static constexpr Index most = 16;
    static constexpr Index multiple = 16;  // of a range's length
    Index nodes = 0, count = 1, length = 0;

    explicit NodeRanges(Index N) : NodeRanges(N, N < 4096 ? 1 : most) {}
    /// `wanted` ranges, or as many as there are of whole multiples of nodes.
    NodeRanges(Index N, Index wanted) : nodes(N), length(N) {
        if (wanted <= 1 || N <= multiple) return;
        length = ((N + wanted - 1) / wanted + multiple - 1) / multiple * multiple;
        count = (N + length - 1) / length;
    }
    Index first(Index range) const { return range * length; }
    Index size(Index range) const { return std::min(length, nodes - first(range)); }
};

/// add(i, j) makes part i the sum of parts i and j; afterwards part 0 is the sum of all `count`.
template <typename F>
void add_along_tree(Index count, F&& add) {
    for (Index stride = 1; stride < count; stride *= 2)
        for (Index i = 0; i + stride < count; i += 2 * stride) add(i, i + stride);
}

}  // namespace pdadmm
