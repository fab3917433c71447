// How sums over nodes are formed (design 3, "Second axis"): per range of nodes, then along one binary tree. Ranges
// follow from the number of nodes alone, so a sum has the same bits whoever holds which ranges.
#pragma once

#include <algorithm>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// `count` ranges of `length` nodes, the last one shorter.
struct NodeRanges {
    static constexpr Index most = 16;
    Index nodes = 0, count = 1, length = 0;

    explicit NodeRanges(Index N)
        : nodes(N), count(N < 4096 ? 1 : most), length(count == 1 ? N : ((N + most - 1) / most + 15) / 16 * 16) {}
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
