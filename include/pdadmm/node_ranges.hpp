// How work over training nodes is cut (design 3, "Second axis"): into ranges that follow from the number of nodes and
// the user alone, or from whose the nodes are. Every product and pass is called per range, and sums are formed per
// range, then along one binary tree: so results have the same bits whoever holds which ranges.
#pragma once

#include <algorithm>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// `count` ranges of `length` nodes, the last one shorter; or by a list, of at most `length` nodes.
struct NodeRanges {
    static constexpr Index automatic = 16, most = 64;
    static constexpr Index multiple = 16;  // of a range's length
    Index nodes = 0, count = 1, length = 0;
    const Index* bounds = nullptr;  // of a list: the first node of each range, and the end

    explicit NodeRanges(Index N) : NodeRanges(N, N < 4096 ? 1 : automatic) {}
    /// `wanted` ranges, or as many as there are of whole multiples of nodes.
    NodeRanges(Index N, Index wanted) : nodes(N), length(N) {
        if (wanted <= 1 || N <= multiple) return;
        length = ((N + wanted - 1) / wanted + multiple - 1) / multiple * multiple;
        count = (N + length - 1) / length;
    }
    /// As SolverOptions::node_ranges asks for: 0 stands for what N says.
    static NodeRanges asked_for(Index N, Index wanted) { return wanted > 0 ? NodeRanges(N, wanted) : NodeRanges(N); }
    /// By a list of count + 1 bounds, which outlives this; `longest` is the length of the longest range.
    NodeRanges(const Index* list, Index ranges, Index longest)
        : nodes(list[ranges]), count(ranges), length(longest), bounds(list) {}
    /// Those of a view whose columns are training nodes; of another one, by its columns alone.
    template <typename T>
    explicit NodeRanges(const MatView<T>& m) : NodeRanges(m.cols) {
        if (m.range <= 0) return;
        length = m.range;
        bounds = m.bounds;
        count = bounds ? 1 : std::max<Index>(1, (m.cols + length - 1) / length);
        while (bounds && bounds[count] < m.cols) ++count;
    }
    Index first(Index range) const { return bounds ? bounds[range] : range * length; }
    Index size(Index range) const {
        return bounds ? bounds[range + 1] - bounds[range] : std::min(length, nodes - first(range));
    }
    /// The range of a node.
    Index of(Index node) const {
        return bounds ? std::upper_bound(bounds + 1, bounds + count, node) - (bounds + 1) : node / length;
    }
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
