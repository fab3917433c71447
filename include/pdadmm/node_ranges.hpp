// How work over training nodes is cut (design 3, "Second axis"): into ranges that follow from the number of nodes and
// the user alone. Every product and pass is called per range, and sums are formed per range, then along one binary
// tree: so results have the same bits whoever holds which ranges.
#pragma once

#include <algorithm>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// `count` ranges of `length` nodes, the last one shorter.
struct NodeRanges {
    static constexpr Index automatic = 16, most = 64;
    static constexpr Index multiple = 16;  // of a range's length
    Index nodes = 0, count = 1, length = 0;

    explicit NodeRanges(Index N) : NodeRanges(N, N < 4096 ? 1 : automatic) {}
    /// `wanted` ranges, or as many as there are of whole multiples of nodes.
    NodeRanges(Index N, Index wanted) : nodes(N), length(N) {
        if (wanted <= 1 || N <= multiple) return;
        length = ((N + wanted - 1) / wanted + multiple - 1) / multiple * multiple;
        count = (N + length - 1) / length;
    }
    /// Those of a view whose columns are training nodes; of another one, by its columns alone.
    template <typename T>
    explicit NodeRanges(const MatView<T>& m) : NodeRanges(m.cols) {
        if (m.range <= 0) return;
        length = m.range;
        count = std::max<Index>(1, (m.cols + length - 1) / length);
    }
    Index first(Index range) const { return range * length; }
    Index size(Index range) const { return std::min(length, nodes - first(range)); }
};

/// The columns of one range, for work that does not look beyond it.
template <typename T>
MatView<T> nodes_of(const MatView<T>& m, Index range) {
    const NodeRanges ranges(m);
    return m.columns(ranges.first(range), ranges.size(range));
}

/// add(i, j) makes part i the sum of parts i and j; afterwards part 0 is the sum of all `count`.
template <typename F>
void add_along_tree(Index count, F&& add) {
    for (Index stride = 1; stride < count; stride *= 2)
        for (Index i = 0; i + stride < count; i += 2 * stride) add(i, i + stride);
}

}  // namespace pdadmm
