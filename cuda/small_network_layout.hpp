// Index arithmetic of the persistent kernel for small networks (small_network.cuh): which nodes a block works on, where
// its arrays lie in shared memory, and which tile of a product a thread computes. Plain functions, so that the host
// plans with what the device computes.
#pragma once

#include <cstddef>

#include "pdadmm/backend.hpp"

namespace pdadmm::cuda::small {

constexpr int threads = 384;  // three warps for each of a processor's four schedulers
constexpr int warps = threads / 32;
constexpr int most_cluster = 8;  // the largest portable cluster
constexpr int most_sums = 3;     // values of one exchange between the blocks of a cluster
constexpr int figure_count = sizeof(LayerFigures) / sizeof(double);

constexpr int tile_rows = 4;  // one 16-byte access of fp32
constexpr int slices = 4;     // threads that share a tile and split its depth
constexpr int warp_tiles = 32 / slices;
constexpr int least_width = 4, most_width = 6;  // columns of a tile: larger ones need more registers than there are

PDADMM_HD constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
PDADMM_HD constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }

/// Leading dimension in shared memory: an odd number of quads, so that eight threads that read a quad each from
/// neighbouring columns meet all 32 banks. The rows between are zero and stay so.
PDADMM_HD constexpr int padded(int rows) { return 4 * (ceil_div(rows, 4) | 1); }

/// One layer and its cut: n outputs, m inputs, N nodes over `cluster` blocks.
struct Shape {
    int n = 0, m = 0, N = 0, cluster = 1;
    bool node_space = false;
};

/// Nodes of block `rank`: first_node(rank) to first_node(rank + 1).
PDADMM_HD constexpr int first_node(int N, int cluster, int rank) {
    return static_cast<int>(static_cast<std::int64_t>(N) * rank / cluster);
}
PDADMM_HD constexpr int most_nodes(int N, int cluster) { return ceil_div(N, cluster); }

/// Byte offsets in a block's shared memory. Arrays whose lives do not meet share their place: h = W g lies over G, and
/// H = G p over g.
struct Layout {
    int warp_sums, p_sums, W_sums, figures, row_sums;  // doubles
    int W, G, p, r, g, z, K, b, d;                     // reals
    int bytes;
};

PDADMM_HD constexpr Layout layout_of(const Shape& s) {
    int at = 0;
    const auto take = [&at](int count, int size) {
        const int here = at;
        at += round_up(count * size, 16);
        return here;
    };
    const auto doubles = [&](int count) { return take(count, sizeof(double)); };
    const auto reals = [&](int count) { return take(count, sizeof(real)); };
    const int n = padded(s.n), m = padded(s.m), columns = most_nodes(s.N, s.cluster), weights = n * round_up(s.m, 4);
    const int own = n * columns, inputs = m * columns;
    Layout l{};
    l.warp_sums = doubles(figure_count * warps);
    l.p_sums = doubles(most_cluster * most_sums);
    l.W_sums = doubles(most_cluster * most_sums);
    l.figures = doubles(most_cluster * figure_count);
    l.row_sums = doubles(2 * s.n * s.cluster);
    l.z = reals(own);
    l.b = reals(s.n);
    l.d = reals(s.n);
    if (s.node_space) {
        l.r = reals(n * round_up(s.N, 4));  // of all nodes: T = r K1
        l.K = reals(padded(s.N) * columns);
        l.g = reals(own);
    } else {
        l.r = reals(own);
        l.W = reals(weights);
        l.G = reals(weights > own ? weights : own);
        l.p = reals(inputs);
        l.g = reals(inputs > own ? inputs : own);
    }
    l.bytes = at;
    return l;
}

/// An element of a (rows x columns) part; `at` counts without padding.
struct Element {
    int at, row, column;
};
/// How the threads of a block go through the elements of columns with `rows` rows, without a division.
struct Walk {
    int rows, reciprocal;  // 2^20 / rows, rounded up: exact for numbers below 2^20 / rows
    Element stride;        // of one thread
};
constexpr int largest_side = 1024;  // beyond it no layer fits
static_assert(threads * largest_side < 1 << 20);
PDADMM_HD constexpr Walk walk_of(int rows) {
    return {rows, ceil_div(1 << 20, rows), {threads, threads % rows, threads / rows}};
}
PDADMM_HD constexpr Element first_element(const Walk& w, int thread) {
    const int column = thread * w.reciprocal >> 20;
    return {thread, thread - column * w.rows, column};
}
PDADMM_HD constexpr Element next_element(const Walk& w, Element e) {
    e.at += w.stride.at;
    e.row += w.stride.row;
    e.column += w.stride.column;
    if (e.row >= w.rows) {
        e.row -= w.rows;
        ++e.column;
    }
    return e;
}

/// Tiles of a product with `rows` x `columns` results, `width` columns a tile; tile t takes row group t % groups.
struct Tiling {
    int groups, count;
};
PDADMM_HD constexpr Tiling tiling(int rows, int columns, int width) {
    const int groups = ceil_div(rows, tile_rows);
    return {groups, groups * ceil_div(columns, width)};
}
/// Row `i` of a row group: neighbouring rows where the operand is read along its columns, and rows `groups` apart where
/// it is read along rows (transposed), so that neighbouring threads read neighbouring columns.
PDADMM_HD constexpr int tile_row(bool transposed, int group, int groups, int i) {
    return transposed ? group + i * groups : tile_rows * group + i;
}

/// Tiles of r p': four rows by two quads of columns, the second `half` quads further on.
struct OuterTiling {
    int groups, quads, half, count;
};
PDADMM_HD constexpr OuterTiling outer_tiling(int n, int m) {
    const int groups = ceil_div(n, 4), quads = ceil_div(m, 4), half = ceil_div(quads, 2);
    return {groups, quads, half, groups * half};
}

/// Columns of a tile that cost least: rounds of all threads, each with `width` multiplications a loaded row and column.
PDADMM_HD constexpr int best_width(int n, int columns) {
    int best = least_width, least = 0;
    for (int width = least_width; width <= most_width; ++width) {
        const int cost = ceil_div(tiling(n, columns, width).count, warps * warp_tiles) * (tile_rows + width);
        if (least == 0 || cost < least) {
            least = cost;
            best = width;
        }
    }
    return best;
}

}  // namespace pdadmm::cuda::small
