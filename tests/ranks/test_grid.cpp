// Ranks as a grid of layers x nodes: its text, what its sums travel under, one result for every grid, bit for bit,
// with growth, schedules, codecs and resumption, and what must fail these tests: other ranges, and a replica that went
// astray.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/admm/first_state.hpp"
#include "host/transport/local.hpp"
#include "tests/support/backend_memory.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/forwarding_backend.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/sparse_graph.hpp"
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
    const auto by_graph = [&](int hops, RunSpec run) {
        run.nodes = nodes_by_graph({210, 70, 30}, hops, seed);
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
        by_graph(
            3, spec("exact, by the graph", StepRule::exact, [](SolverOptions& o) { o.stage_from = StageFrom::best; })),
        by_graph(2, spec("block, by the graph, 4 bits", StepRule::block, quantised(4))),
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

/// Knows whether messages are under way.
class UnderWay final : public Transport {
public:
    explicit UnderWay(Transport& inner) : Transport(inner.rank(), inner.size()), inner_(inner) {}
    std::string name() const override { return inner_.name(); }
    bool now = false;

private:
    void start_messages(std::span<const Message> messages) override {
        inner_.start(messages);
        now = true;
    }
    void finish_messages(std::span<const Message>) override {
        now = false;
        inner_.finish();
    }
    void abandon_messages() noexcept override { inner_.abandon(); }
    Transport& inner_;
};

/// Writes down which work of W begins, and whether sums are under way then.
class WatchedWork final : public ForwardingBackend {
public:
    WatchedWork(Backend& inner, const UnderWay& sums) : ForwardingBackend(inner), sums_(sums) {}
    std::vector<std::string> found;

    bool sums_travel(CMat C) const override { return inner_.sums_travel(C); }
    void begin_node_product(CMat A, CMat B, Mat C, Precision precision) override {
        note(A.data == B.data ? "Gram" : "product", C.batch);
        inner_.begin_node_product(A, B, C, precision);
    }
    void end_node_product(Mat C) override { inner_.end_node_product(C); }
    void invert(Variable v, const Controls* k, Mat F, std::int32_t* failed) override {
        if (v == Variable::W) note("inverse", F.batch);
        inner_.invert(v, k, F, failed);
    }
    void p_step(const StepOfP& a, const Controls* k, StepSpec spec) override { inner_.p_step(a, k, spec); }
    void W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec) override {
        note("step", a.G.batch);
        inner_.W_b_step(a, k, spec);
        EXPECT_FALSE(sums_.now) << "a step waits for the sums before it";
    }

private:
    void note(const char* work, Index layers) {
        found.push_back(std::string(work) + " of " + std::to_string(layers) + (sums_.now ? ", sums travel" : ""));
    }
    const UnderWay& sums_;
};

const std::vector<std::string> gradient_steps{
    "product of 1",           "step of 1", "product of 2", "product of 2, sums travel",
    "step of 2, sums travel", "step of 2", "product of 1", "step of 1"};
const std::vector<std::string> block_steps{
    "step of 1", "Gram of 4", "product of 4, sums travel", "inverse of 4, sums travel",
    "step of 4", "Gram of 1", "product of 1, sums travel", "inverse of 1, sums travel",
    "step of 1"};

/// What each of `blocks` ranks sends in an iteration of the network below: a sum of few values goes to every other rank
/// at once, of many a slice and then what it became.
Traffic sent_in_iteration(StepRule rule, std::uint64_t blocks) {
    const std::uint64_t n = 48, inputs = 7, classes = 3, value = sizeof(real), one = sizeof(double),
                        others = blocks - 1, slices = 2 * 4 * n * n * value / blocks;
    const std::uint64_t G = (inputs * n + classes * n) * value, figures = (4 + 4 * 4 + 2) * one;
    if (rule == StepRule::exact)  // of p; of r and H, and of H^2
        return {others * (2 + 2 + 4 + 3 + 2 * 2),
                others * (G + figures + (4 * 2 + 2) * one + (5 * (2 * n + 1) + 2 * classes + 1) * one + slices)};
    return {others * (3 + 2 + 1 + 3 + 3 + 2 * 2),  // of p or r; Gram of the last layer; of r and its change
            others * (G + figures + 6 * n * one + n * n * value + (5 * 2 * n + 2 * classes) * one + 2 * slices)};
}

// Layers 2 to 5 are a stack, of whose halves each has more weights than are sent at once; 1 and 6 stand alone.
TEST(Grid, SumsOfOneHalfTravelUnderProductsOfTheOther) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(cpu, 1);
    const Deadline deadline(60);
    for (const StepRule rule : {StepRule::exact, StepRule::block})
        for (const int blocks : {2, 4}) {
            RunSpec spec = grid_specs(seed)[0];
            spec.options.stages = {{6, 2, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry}};
            spec.options.hidden = 48;
            spec.options.node_ranges = 4;
            spec.options.eval_every = 0;
            spec.options.step.rule = rule;
            spec.options.schedule = {};
            const Trace whole = finish_run(spec, 1, 0);
            spec.options.node_blocks = blocks;
            run_local_ranks(blocks, [&](LocalRank& rank) {
                const auto backend = open_test_backend(1).backend;
                UnderWay sums(rank.nodes);
                WatchedWork work(*backend, sums);
                std::vector<Traffic> sent;
                const Trace part = finish_run_as_rank(spec, work, {&rank.transport, &rank.control, &sums}, nullptr,
                                                      [&](Solver&) { sent.push_back(sums.traffic(Direction::send)); });
                if (rank.control.rank() == 0) {
                    EXPECT_EQ(first_difference(whole, part), "");
                }
                const std::vector<std::string>& one = rule == StepRule::exact ? gradient_steps : block_steps;
                std::vector<std::string> expected = one;
                expected.insert(expected.end(), one.begin(), one.end());
                EXPECT_EQ(work.found, expected) << blocks << " ranks";
                const Traffic formula = sent_in_iteration(rule, static_cast<std::uint64_t>(blocks));
                EXPECT_EQ(sent.at(1).messages - sent.at(0).messages, formula.messages) << blocks << " ranks";
                EXPECT_EQ(sent.at(1).bytes - sent.at(0).bytes, formula.bytes) << blocks << " ranks";
            });
        }
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
