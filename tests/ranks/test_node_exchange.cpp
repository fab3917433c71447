// Sums over nodes along one tree, whichever ranks hold the ranges, and what of them travels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "host/ranks/node_exchange.hpp"
#include "host/transport/local.hpp"
#include "tests/support/backend_memory.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

template <typename T>
void expect_tree_of_ranks(std::mt19937_64& random, Index all_ranges, int blocks, Index count) {
    const NodeRanges nodes(all_ranges * NodeRanges::multiple - 3, all_ranges);
    ASSERT_EQ(nodes.count, all_ranges);
    std::vector<T> parts(static_cast<std::size_t>(all_ranges * count));
    for (T& part : parts) part = static_cast<T>(std::normal_distribution<double>()(random));
    std::vector<T> expected = parts;
    add_along_tree(all_ranges, [&](Index i, Index j) {
        for (Index e = 0; e < count; ++e)
            expected[static_cast<std::size_t>(i * count + e)] += expected[static_cast<std::size_t>(j * count + e)];
    });
    expected.resize(static_cast<std::size_t>(count));
    run_local_ranks(blocks, [&](LocalRank& rank) {
        const auto backend = open_test_backend(1).backend;
        rank.nodes.use_memory(local_memory(*backend));
        NodeExchange exchange(*backend, rank.nodes, {1, blocks}, nodes);
        const NodeRange held = NodeBlock{rank.control.rank(), blocks}.ranges_of(nodes);
        const Buffer<T> here(
            *backend, std::vector<T>(parts.begin() + static_cast<std::ptrdiff_t>(held.first * count),
                                     parts.begin() + static_cast<std::ptrdiff_t>((held.first + held.count) * count)));
        if constexpr (std::is_same_v<T, double>) {
            exchange.complete(here.data(), count);
        } else {  // as under other work
            exchange.begin(here.data(), count);
            exchange.advance();
            exchange.end();
        }
        std::vector<T> own = here.download();
        own.resize(static_cast<std::size_t>(count));
        EXPECT_EQ(own, expected) << all_ranges << " ranges on " << blocks << " ranks, " << count << " values";
        if (all_ranges != blocks || (blocks & (blocks - 1)) != 0 || count % blocks != 0) return;
        const auto sent = rank.nodes.traffic(Direction::send).bytes / sizeof(T);
        const auto others = static_cast<std::uint64_t>(blocks - 1), values = static_cast<std::uint64_t>(count);
        EXPECT_EQ(sent,
                  count <= TreeSums::few ? others * values : 2 * others * values / static_cast<std::uint64_t>(blocks));
    });
}

TEST(NodeExchange, AddsAlongTheTreeWhoeverHoldsTheRanges) {
    PDADMM_SEEDED();
    const Deadline deadline(60);
    std::mt19937_64 random(seed);
    for (const Index all : {1, 2, 3, 4, 5, 7, 8, 16})
        for (const int blocks : {1, 2, 3, 4, 7, 8})
            for (const Index count : {Index{1}, Index{37}, TreeSums::few + 24}) {
                if (blocks > all) continue;
                expect_tree_of_ranks<double>(random, all, blocks, count);
                expect_tree_of_ranks<float>(random, all, blocks, count);
            }
}

TEST(NodeExchange, GathersColumnsInTheirOrder) {
    const Deadline deadline(60);
    const NodeRanges nodes(70, 5);
    const std::size_t each = 3 * sizeof(double);
    std::vector<double> all(3 * 70);
    std::iota(all.begin(), all.end(), 1.0);
    for (const int blocks : {2, 3, 5})
        run_local_ranks(blocks, [&](LocalRank& rank) {
            const auto backend = open_test_backend(1).backend;
            rank.nodes.use_memory(local_memory(*backend));
            NodeExchange exchange(*backend, rank.nodes, {1, blocks}, nodes);
            const NodeRange held = exchange.nodes_of(rank.control.rank());
            const auto at = all.begin() + 3 * held.first;
            const Buffer<double> own(*backend, std::vector<double>(at, at + 3 * held.count)),
                found(*backend, static_cast<Index>(all.size()));
            exchange.gather(reinterpret_cast<const std::byte*>(own.data()), reinterpret_cast<std::byte*>(found.data()),
                            each);
            EXPECT_EQ(found.download(), all) << blocks << " ranks";
            EXPECT_EQ(rank.nodes.traffic(Direction::send).bytes,
                      static_cast<std::uint64_t>(held.count * (blocks - 1)) * each);
        });
}

TEST(NodeExchange, SendsTheLargestSubtreesItHolds) {
    const auto subtrees = [](Index all, Index first, Index count) {
        return maximal_subtrees(all, NodeRange{first, count});
    };
    EXPECT_THAT(subtrees(16, 0, 16), testing::ElementsAre(Subtree{0, 16}));
    EXPECT_THAT(subtrees(16, 8, 4), testing::ElementsAre(Subtree{8, 4}));
    EXPECT_THAT(subtrees(16, 5, 6), testing::ElementsAre(Subtree{5, 1}, Subtree{6, 2}, Subtree{8, 2}, Subtree{10, 1}));
    EXPECT_THAT(subtrees(5, 2, 3), testing::ElementsAre(Subtree{2, 2}, Subtree{4, 1}));
    EXPECT_THAT(subtrees(7, 4, 3), testing::ElementsAre(Subtree{4, 3}));
}

}  // namespace
