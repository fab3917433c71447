// Ranks as a grid of layers x nodes: its text, sums over nodes along one tree, one result for every grid, bit for bit,
// with growth, schedules, codecs and resumption, and what must fail these tests: other ranges, and a replica that went
// astray.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "host/admm/first_state.hpp"
#include "host/ranks/node_exchange.hpp"
#include "host/transport/local.hpp"
#include "tests/support/backend_memory.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

constexpr Index ranges = 5;  // of 210 training nodes, the last one shorter

/// Growth to six layers on few nodes in five ranges. Where there are fewer nodes than inputs the first layer is kept by
/// nodes, where there are fewer than neurons weights are formed from nodes: such need columns of all ranks.
std::vector<RunSpec> grid_specs(std::uint64_t seed) {
    const auto spec = [&](const char* name, StepRule rule, auto&& change) {
        RunSpec run{name, made_up_nodes(7, 3, {210, 70, 30}, seed), {}};
        run.options.node_ranges = ranges;
        run.options.stages = {{2, 3, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                              {4, 3, 0.02, 0.01, 1e-3, ZInit::carry, LastInit::carry},
                              {6, 5, 0.05, 0.02, 1e-3, ZInit::forward, LastInit::random}};
        run.options.step.rule = rule;
        run.options.hidden = 11;
        run.options.eval_every = 2;
        run.options.refresh_every = 4;
        run.options.seed = seed;
        change(run.options);
        return run;
    };
    const auto by_nodes = [&](Index inputs, std::array<Index, 3> counts, RunSpec run) {
        run.nodes = made_up_nodes(inputs, 3, counts, seed);
        return run;
    };
    const auto quantised = [](int bits) { return [bits](SolverOptions& o) { quantise(o, bits); }; };
    return {
        spec("exact", StepRule::exact,
             [](SolverOptions& o) {
                 o.schedule = {RhoSchedule::Watch::risk, 100, 3, 1, 2};
                 o.metric = Metric::macro_f1;
             }),
        spec("exact, 4 bits", StepRule::exact, quantised(4)),
        spec("block", StepRule::block, [](SolverOptions& o) { o.decay_to = DecayTo::identity; }),
        spec("block, 4 bits", StepRule::block, quantised(4)),
        spec("block, 2 bits", StepRule::block, quantised(2)),
        spec("wide, block", StepRule::block, [](SolverOptions& o) { o.hidden = 60; }),  // than a range: cut into rows
        spec("wide, exact", StepRule::exact, [](SolverOptions& o) { o.hidden = 60; }),
        spec("backtracking, cost, carried", StepRule::backtracking,
             [](SolverOptions& o) {
                 o.schedule = {RhoSchedule::Watch::cost, 100, 2, 1, 2};
                 o.grow_state = GrowState::carry;
             }),
        spec("exact, fixed levels", StepRule::exact, [](SolverOptions& o) { use_fixed_levels(o); }),
        by_nodes(130, {210, 70, 30},
                 spec("exact, node space, cost", StepRule::exact,
                      [](SolverOptions& o) {
                          o.schedule = {RhoSchedule::Watch::cost, 100, 2, 1, 2};
                          o.stage_from = StageFrom::best;
                      })),
        by_nodes(230, {210, 70, 30},
                 spec("block, node space, 4 bits, test nodes by W1", StepRule::block,
                      [&](SolverOptions& o) {
                          quantise(o, 4);
                          o.eval_every = 0;
                      })),
        by_nodes(90, {80, 12, 70},  // validation nodes in one range: on one rank
                 spec("block, weights from nodes", StepRule::block,
                      [](SolverOptions& o) {
                          o.hidden = 120;
                          o.decay_to = DecayTo::identity;
                      })),
    };
}

std::vector<Trace> finish_on(RunSpec spec, Grid grid, const CheckpointData* checkpoint = nullptr) {
    spec.options.node_blocks = grid.nodes;
    return finish_run_on_ranks(spec, grid.ranks(), checkpoint);
}

void expect_bits_of_one_rank(std::uint64_t seed, const std::vector<Grid>& grids) {
    for (const RunSpec& spec : grid_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        for (const Grid grid : grids)
            EXPECT_EQ(difference_of_ranks(whole, finish_on(spec, grid)), "") << spec.name << ", " << to_string(grid);
    }
}

TEST(Grid, GivesTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(240);
    expect_bits_of_one_rank(seed, {{1, 4}, {2, 2}, {2, 3}, {4, 1}});
}

TEST(Grid, AnyGivesTheBitsOfOneRankSlow) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(480);
    expect_bits_of_one_rank(seed, {{1, 2}, {1, 3}, {1, 5}, {2, 1}, {2, 5}, {3, 2}, {6, 1}, {4, 5}});
}

TEST(Grid, ResumesOnAnother) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    for (const RunSpec& spec : grid_specs(seed)) {
        const std::vector<Trace> first = finish_on(spec, {2, 3});
        const std::size_t epochs = first.front().checkpoints.size();
        for (const std::size_t epoch : {epochs / 2, epochs - 2})
            for (const Grid grid : {Grid{1, 1}, {1, 4}, {3, 2}})
                EXPECT_EQ(difference_of_ranks(first.front(), finish_on(spec, grid, &first.front().checkpoints[epoch])),
                          "")
                    << spec.name << ", from epoch " << epoch + 1 << " on " << to_string(grid);
    }
}

TEST(Grid, OtherRangesGiveOtherBits) {  // so the comparison sees in which order sums are formed
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (RunSpec spec : grid_specs(seed)) {
        const Trace five = finish_run(spec, 1, 0);
        spec.options.node_ranges = 4;
        EXPECT_NE(first_difference(five, finish_run(spec, 1, 0)), "") << spec.name;
        spec.options.node_ranges = 1;
        const Trace one = finish_run(spec, 1, 0);
        spec.options.node_ranges = 0;
        EXPECT_EQ(first_difference(one, finish_run(spec, 1, 0)), "") << spec.name;
    }
}

TEST(Grid, FewTrainingNodesInOneRangeLeaveOthersInSeveral) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    RunSpec spec = grid_specs(seed)[0];
    spec.nodes = made_up_nodes(7, 3, {15, 70, 30}, seed);
    const Trace several = finish_run(spec, 1, 0);
    spec.options.node_ranges = 1;
    const Trace one = finish_run(spec, 1, 0);
    ASSERT_EQ(several.epochs.size(), one.epochs.size());
    for (std::size_t i = 0; i < one.epochs.size(); ++i) {
        EXPECT_EQ(several.epochs[i].objective, one.epochs[i].objective) << "epoch " << i + 1;
        if (!one.epochs[i].evaluated) continue;
        const Evaluation &found = several.epochs[i].evaluation, &expected = one.epochs[i].evaluation;
        for (std::size_t set = 0; set < 3; ++set) {  // products of other shapes round differently
            EXPECT_NEAR(found.cost[set], expected.cost[set], 1e-4 * expected.cost[set]) << "epoch " << i + 1;
            EXPECT_NEAR(found.accuracy[set], expected.accuracy[set], 0.1) << "epoch " << i + 1;
        }
    }
}

TEST(Grid, MoreBlocksThanRangesAreRefused) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    RunSpec spec = grid_specs(seed)[0];
    try {
        finish_on(spec, {1, 6});
        ADD_FAILURE() << "six blocks of five ranges were taken";
    } catch (const UsageError& error) {
        EXPECT_STREQ(
            error.what(),
            "--grid: 6 blocks of nodes, expected at most the 5 ranges of 210 training nodes; add --node-ranges "
            "7, also to the run that you compare with");  // 6 make five of 48 nodes
    }
    EXPECT_EQ(ranges_to_ask_for(210, 7), 7);
    EXPECT_EQ(ranges_to_ask_for(210, 15), 0) << "ranges have 16 nodes or more";
    EXPECT_THROW(finish_on(spec, {7, 2}), UsageError);
}

/// W1, b1 and z of the last layer after some iterations with the first layer by conjugate gradients, which networks
/// have by themselves on many thousands of nodes alone.
std::vector<std::vector<real>> conjugate_run(const RunSpec& spec, Backend& backend, RankLinks links, NodeBlock block) {
    const NodeData data(backend, spec.nodes, true, block);
    Ranks ranks(backend, links, block.blocks, data.ranges());
    const NetworkShape shape{4, data.inputs(), spec.options.hidden, data.classes(), data.train(), StepRule::block};
    ranks.place(Placement::uniform(shape.layers, 1));
    Network net(backend, shape, data, {FirstLayer::conjugate});
    const Stage stage{4, 6, 0.02, 0.01, 1e-3};
    Rules rules{spec.options.step, {}, {}, 0};
    start(net, data, spec.options, stage, rules, ranks);
    for (int iteration = 0; iteration < 6; ++iteration) {
        if (iteration == 4) refresh(backend, net.groups());
        iterate(backend, net.groups(), net.controls(), rules);
    }
    const Buffer<real> W1(backend, shape.hidden * shape.inputs);
    const Mat to{W1.data(), shape.hidden, shape.inputs, shape.hidden};
    net.gather_S();
    net.form_W1(to);
    std::vector<std::vector<real>> found{ranks.collect(net.z(4), 4), ranks.collect(net.V(), 1)};
    found.push_back(download(backend, to));  // of every rank
    found.push_back(download(backend, net.b(1)));
    return found;
}

TEST(Grid, ConjugateGradientsGiveTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    RunSpec spec = grid_specs(seed)[2];
    spec.nodes = made_up_nodes(40, 3, {210, 0, 0}, seed);
    const auto whole = conjugate_run(spec, *backend, {}, {0, 1, ranges});
    for (const int blocks : {2, 3, 5})
        run_local_ranks(blocks, [&](LocalRank& rank) {
            const auto own = open_test_backend(1).backend;
            rank.transport.use_memory(local_memory(*own));
            rank.nodes.use_memory(local_memory(*own));
            const int number = rank.control.rank();
            const auto part =
                conjugate_run(spec, *own, {&rank.transport, &rank.control, &rank.nodes}, {number, blocks, ranges});
            for (std::size_t i = number == 0 ? 0 : 2; i < whole.size(); ++i)
                EXPECT_EQ(part[i], whole[i]) << "value " << i << " of rank " << number << " of " << blocks;
        });
}

TEST(Grid, AReplicaThatWentAstrayIsFound) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(cpu, 1);
    const Deadline deadline(60);
    RunSpec spec = grid_specs(seed)[0];
    spec.options.stages = {spec.options.stages.back()};
    spec.options.check_replicas = 2;
    spec.options.node_blocks = 2;
    try {
        finish_run_on_ranks(spec, 4, nullptr, [](Solver& solver) {
            if (solver.progress().epoch != 2 || solver.ranks().rank() != 3) return;
            const Mat W = solver.network().W(5);
            const real wrong = 1000;
            solver.backend().upload(&wrong, W.data, sizeof wrong);
        });
        ADD_FAILURE() << "W was wrong, and nobody noticed";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::internal);
        EXPECT_THAT(error.what(), testing::StartsWith("W and b of rank 2 and rank 3, which hold the same layers"));
    }
}

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
        exchange.complete(here.data(), count);
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

TEST(GridText, IsReadAndCompleted) {
    EXPECT_EQ(parse_grid("4x2"), (Grid{4, 2}));
    EXPECT_EQ(parse_grid("auto"), std::nullopt);
    EXPECT_EQ(complete_grid(*parse_grid("-1x2"), 6), (Grid{3, 2}));
    EXPECT_EQ(complete_grid(*parse_grid("4x-1"), 4), (Grid{4, 1}));
    for (const char* wrong : {"", "4", "x2", "4x", "4x2x1", "0x2", "-1x-1", "-2x4", "4X2", " 4x2"})
        EXPECT_THROW(parse_grid(wrong), UsageError) << wrong;
    try {
        complete_grid({4, 2}, 6);
        ADD_FAILURE() << "8 ranks of 6 were taken";
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(),
                     "--grid: 4x2 on 6 ranks, expected layers * nodes = 6; use another grid or start 8 ranks");
    }
    EXPECT_THROW(complete_grid({-1, 4}, 6), UsageError);
    const Grid grid{3, 2};
    for (int rank = 0; rank < grid.ranks(); ++rank)
        EXPECT_EQ(grid.rank(grid.layer_block(rank), grid.node_block(rank)), rank);
}

}  // namespace
