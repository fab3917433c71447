// Index arithmetic of the persistent kernel for small networks: every node, element and result is somebody's, exactly
// once, and nothing lies over anything else that lives at the same time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>
#include <vector>

#include "cuda/small_network_layout.hpp"

using namespace pdadmm::cuda::small;

namespace {

TEST(SmallNetworkLayout, NodesAreSplitEvenly) {
    for (int N = 1; N <= 300; ++N)
        for (int cluster : {1, 2, 4, 8}) {
            EXPECT_EQ(first_node(N, cluster, 0), 0);
            EXPECT_EQ(first_node(N, cluster, cluster), N);
            for (int rank = 0; rank < cluster; ++rank) {
                const int count = first_node(N, cluster, rank + 1) - first_node(N, cluster, rank);
                EXPECT_GE(count, N / cluster);
                EXPECT_LE(count, most_nodes(N, cluster));
            }
        }
}

TEST(SmallNetworkLayout, WalkIsDivision) {
    for (int rows = 1; rows <= largest_side; ++rows) {
        const Walk w = walk_of(rows);
        for (int thread = 0; thread < threads; ++thread) {
            Element e = first_element(w, thread);
            for (int step = 0; step < 4; ++step, e = next_element(w, e)) {
                ASSERT_EQ(e.at, thread + step * threads);
                ASSERT_EQ(e.row, e.at % rows) << rows << " rows, element " << e.at;
                ASSERT_EQ(e.column, e.at / rows) << rows << " rows, element " << e.at;
            }
        }
    }
}

using Places = std::multiset<std::pair<int, int>>;

/// All (row, column) that the tiles of a product take, with repetitions.
Places taken(bool transposed, int rows, int columns, int width) {
    Places all;
    const Tiling tiles = tiling(rows, columns, width);
    for (int tile = 0; tile < tiles.count; ++tile)
        for (int slice = 0; slice < slices; ++slice)
            for (int j = 0; j < width; ++j) {
                const int row = tile_row(transposed, tile % tiles.groups, tiles.groups, slice),
                          column = tile / tiles.groups * width + j;
                EXPECT_LT(row, round_up(rows, 4));  // as many columns are there to be read
                if (row < rows && column < columns) all.insert({row, column});
            }
    return all;
}

TEST(SmallNetworkLayout, TilesCoverAProductOnce) {
    for (int rows = 1; rows <= 21; ++rows)
        for (int columns = 1; columns <= 20; ++columns)
            for (int width = least_width; width <= most_width; ++width)
                for (bool transposed : {false, true}) {
                    const auto all = taken(transposed, rows, columns, width);
                    EXPECT_EQ(all.size(), static_cast<std::size_t>(rows * columns));
                    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());  // they are sorted
                }
}

TEST(SmallNetworkLayout, OuterTilesCoverAllQuads) {
    for (int n = 1; n <= 40; ++n)
        for (int m = 1; m <= 40; ++m) {
            const OuterTiling tiles = outer_tiling(n, m);
            std::set<std::pair<int, int>> quads;
            for (int tile = 0; tile < tiles.count; ++tile)
                for (int side = 0; side < 2; ++side) {
                    const int left = tile / tiles.groups,
                              quad = side == 0 || left + tiles.half >= tiles.quads ? left : left + tiles.half;
                    EXPECT_LE(4 * quad + 4, padded(m));
                    quads.insert({tile % tiles.groups, quad});
                }
            EXPECT_EQ(quads.size(), static_cast<std::size_t>(ceil_div(n, 4) * ceil_div(m, 4)));
        }
}

TEST(SmallNetworkLayout, EightNeighbouringColumnsMeetAllBanks) {
    for (int rows = 1; rows <= 300; ++rows) {
        std::set<int> banks;
        for (int column = 0; column < 8; ++column) banks.insert(column * padded(rows) % 32);
        EXPECT_EQ(banks.size(), 8u);
        EXPECT_GE(padded(rows), rows);
        EXPECT_LT(padded(rows), rows + 8);
    }
}

TEST(SmallNetworkLayout, ArraysDoNotMeet) {
    for (const Shape& s : {Shape{100, 100, 140, 8}, Shape{7, 100, 140, 8}, Shape{100, 1433, 140, 8, true},
                           Shape{3, 5, 9, 4}, Shape{128, 128, 256, 8}, Shape{9, 6, 40, 1}}) {
        const Layout l = layout_of(s);
        std::vector<int> begins{l.warp_sums, l.p_sums, l.W_sums, l.figures, l.row_sums, l.z, l.b, l.d, l.r, l.g};
        if (s.node_space)
            begins.push_back(l.K);
        else
            begins.insert(begins.end(), {l.W, l.G, l.p});
        std::sort(begins.begin(), begins.end());
        EXPECT_EQ(std::adjacent_find(begins.begin(), begins.end()), begins.end());
        EXPECT_LT(begins.back(), l.bytes);
        for (int begin : begins) EXPECT_EQ(begin % 16, 0);
        const int real_bytes = static_cast<int>(sizeof(pdadmm::real)), columns = most_nodes(s.N, s.cluster);
        EXPECT_GE(l.bytes, (s.node_space ? padded(s.n) * s.N : 2 * padded(s.n) * s.m) * real_bytes);
        if (s.node_space) continue;
        EXPECT_GE(l.p - l.G, padded(s.n) * columns * real_bytes);  // h lies over G
    }
}

TEST(SmallNetworkLayout, WhatFits) {
    if (sizeof(pdadmm::real) != 4) GTEST_SKIP() << "of the build in single precision";
    const int most = 227 * 1024 - 1024;
    EXPECT_LE(layout_of({100, 100, 140, 8}).bytes, most);
    EXPECT_LE(layout_of({100, 7165, 140, 8, true}).bytes, most);
    EXPECT_LE(layout_of({128, 128, 256, 8}).bytes, most);
    EXPECT_LE(layout_of({128, 7165, 256, 8, true}).bytes, most);
    std::printf("Cora %d, first layer %d; n 128, N 256: %d, first layer %d bytes of shared memory\n",
                layout_of({100, 100, 140, 8}).bytes, layout_of({100, 7165, 140, 8, true}).bytes,
                layout_of({128, 128, 256, 8}).bytes, layout_of({128, 7165, 256, 8, true}).bytes);
    EXPECT_GT(layout_of({256, 256, 140, 8}).bytes, most);
}

TEST(SmallNetworkLayout, TilesAreAsWideAsPays) {
    EXPECT_EQ(best_width(100, 18), 6);
    EXPECT_EQ(best_width(100, 15), 5);
    EXPECT_EQ(best_width(100, 8), 4);
}

}  // namespace
