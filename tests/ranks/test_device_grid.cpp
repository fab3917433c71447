// Grids of layers x nodes on GPUs, without one: ranks that are threads on the emulated device, with the NCCL that
// stands in. One result for every grid, bit for bit; what travels over nodes, by the formula of RANKS.md; and a peer
// that fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <emulation/hooks.hpp>
#include <emulation/nccl_hooks.hpp>
#include <mutex>
#include <set>

#include "host/run/trainers.hpp"
#include "tests/ranks/device_ranks.hpp"
#include "tests/ranks/grid_specs.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::AllOf;
using testing::Contains;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

namespace {

class DeviceGrid : public testing::Test {
protected:
    void SetUp() override { ::setenv("PDADMM_TEST_BACKEND", "cuda", 1); }
    void TearDown() override {
        emulation::reset_nccl();
        EXPECT_THAT(emulation::take_faults(), IsEmpty());
        emulation::clear_errors();
    }
    Deadline deadline_{300};
};

void expect_bits_of_one_rank(const std::vector<RunSpec>& specs, const std::vector<Grid>& grids) {
    for (RunSpec spec : specs) {
        const Trace whole = finish_run(spec, 1, 0);
        for (const Grid grid : grids) {
            spec.options.node_blocks = grid.nodes;
            EXPECT_EQ(difference_of_ranks(whole, finish_run_over_nccl(spec, grid.ranks())), "")
                << spec.name << ", " << to_string(grid);
        }
    }
}

TEST_F(DeviceGrid, GivesTheBitsOfOneRank) {
    PDADMM_SEEDED();
    const std::vector<Grid> grids{{1, 2}, {2, 2}, {1, 4}};
    auto turn = static_cast<std::size_t>(seed);
    for (const RunSpec& spec : ranged_specs(seed)) expect_bits_of_one_rank({spec}, {grids[turn++ % grids.size()]});
}

// More than a block of threads in a range, and fewer in the last.
TEST_F(DeviceGrid, GivesTheBitsOfOneRankWithManyNeurons) {
    PDADMM_SEEDED();
    RunSpec spec = ranged_spec(seed, "exact, wide", StepRule::exact);
    spec.options.hidden = 70;
    spec.options.stages = {{3, 2, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry}};
    expect_bits_of_one_rank({spec}, {{1, 2}});
}

TEST_F(DeviceGrid, AnyGivesTheBitsOfOneRankSlow) {
    PDADMM_SEEDED();
    std::vector<RunSpec> specs = ranged_specs(seed);
    specs.push_back(on_levels(specs[0]));
    specs.push_back(ranged_spec(seed, "block by nodes", StepRule::block, 90));
    specs.push_back(ranged_spec(seed, "exact by nodes", StepRule::exact, 90));
    expect_bits_of_one_rank(specs, {{2, 1}, {1, 2}, {2, 2}, {1, 4}, {2, 3}, {1, 6}});
}

// What is the same on all grids is right: other ranges, and none, change the last bits alone.
TEST_F(DeviceGrid, RangesChangeTheLastBitsAlone) {
    PDADMM_SEEDED();
    for (RunSpec spec : {ranged_spec(seed, "exact", StepRule::exact), ranged_spec(seed, "block", StepRule::block),
                         ranged_spec(seed, "exact by nodes", StepRule::exact, 90)}) {
        const Trace six = finish_run(spec, 1, 0);
        spec.options.node_ranges = 1;
        const Trace one = finish_run(spec, 1, 0);
        EXPECT_NE(first_difference(six, one), "") << spec.name;
        ASSERT_EQ(six.epochs.size(), one.epochs.size());
        for (std::size_t i = 0; i < one.epochs.size(); ++i)
            EXPECT_NEAR(six.epochs[i].objective, one.epochs[i].objective, 1e-4 * std::fabs(one.epochs[i].objective))
                << spec.name << ", epoch " << i + 1;
    }
}

/// What a rank of two that share the nodes notes of its products and phases.
std::set<std::string> notes_of(RunSpec spec) {
    spec.options.node_blocks = 2;
    std::mutex mutex;
    std::set<std::string> notes;
    finish_run_over_nccl(spec, 2, nullptr, [&](DeviceRank& rank) {
        const std::lock_guard lock(mutex);
        for (const std::string& line : rank.backend.product_algorithms()) notes.insert(line);
    });
    return notes;
}

TEST_F(DeviceGrid, ProductsHaveTheColumnsOfOneRangeAndPhasesAreRecorded) {
    PDADMM_SEEDED();
    const RunSpec spec = ranged_spec(seed, "exact", StepRule::exact);
    const auto notes = notes_of(spec);
    EXPECT_THAT(notes, Contains(ContainsRegex("NN 11 x 16 x 11 ")));
    EXPECT_THAT(notes, Not(Contains(ContainsRegex(" x (35|48|83)[ :]"))));  // all columns of a rank, or of the run
    EXPECT_THAT(notes, Not(Contains(HasSubstr("not recorded"))));
    EXPECT_THAT(notes_of(on_levels(spec)), Contains(HasSubstr("ask other ranks")));
}

// Products of which a part is no sum, and trials that all ranks decide, which no graph holds.
TEST_F(DeviceGrid, GathersColumnsAndAsksForTrials) {
    PDADMM_SEEDED();
    expect_bits_of_one_rank({ranged_spec(seed, "exact by nodes", StepRule::exact, 90),
                             on_levels(ranged_spec(seed, "exact", StepRule::exact))},
                            {{1, 2}});
}

TEST_F(DeviceGrid, ResumesOnAnother) {
    PDADMM_SEEDED();
    RunSpec spec = quantised(ranged_spec(seed, "exact", StepRule::exact), 4);
    spec.options.node_blocks = 2;
    const std::vector<Trace> first = finish_run_over_nccl(spec, 4);
    const CheckpointData& checkpoint = first.front().checkpoints[3];
    spec.options.node_blocks = 3;
    EXPECT_EQ(difference_of_ranks(first.front(), finish_run_over_nccl(spec, 3, &checkpoint)), "") << "1x3";
    spec.options.node_blocks = 1;
    EXPECT_EQ(difference_of_ranks(first.front(), finish_run_over_nccl(spec, 1, &checkpoint)), "") << "1x1";
}

// As on the processor: ranks that copy from each other.
TEST_F(DeviceGrid, LocalTransportsDoAsWell) {
    PDADMM_SEEDED();
    RunSpec spec = ranged_spec(seed, "exact", StepRule::exact);
    const Trace whole = finish_run(spec, 1, 0);
    spec.options.node_blocks = 2;
    EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, 4)), "");
}

/// Bytes that a rank sends over nodes in each of `iterations`.
std::uint64_t sent_over_nodes(RunSpec spec, int blocks, int iterations) {
    spec.options.node_blocks = blocks;
    spec.options.stages = {{4, iterations, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry}};
    std::mutex mutex;
    std::uint64_t bytes = 0;
    finish_run_over_nccl(spec, blocks, nullptr, [&](DeviceRank& rank) {
        const std::lock_guard lock(mutex);
        bytes += rank.nodes->traffic(Direction::send).bytes;
    });
    return bytes;
}

// Every rank holds one subtree: it sends each sum to the others, or of a large one a slice, and that finished.
TEST_F(DeviceGrid, SendsWhatTheFormulaSays) {
    PDADMM_SEEDED();
    RunSpec spec = ranged_spec(seed, "exact", StepRule::exact);
    spec.nodes = made_up_nodes(7, 3, {64, 0, 0}, seed);
    spec.options.node_ranges = 4;
    spec.options.hidden = 48;  // two hidden layers have 4608 weights: more than are sent whole
    spec.options.eval_every = 0;
    const std::uint64_t n = 48, inputs = 7, classes = 3, of_real = sizeof(real), of_double = sizeof(double);
    const std::uint64_t first = n * inputs * of_real + (2 * n + 1 + 4) * of_double,
                        hidden = 2 * (2 + 2 * n + 1 + 4) * of_double, weights = 2 * n * n * of_real,
                        last = classes * n * of_real + (2 + 2 * classes + 1 + 2) * of_double;
    for (const int blocks : {2, 4}) {
        const auto others = static_cast<std::uint64_t>(blocks - 1), all = static_cast<std::uint64_t>(blocks);
        const std::uint64_t formula = all * others * (first + hidden + last) + 2 * others * weights;
        EXPECT_EQ(sent_over_nodes(spec, blocks, 3) - sent_over_nodes(spec, blocks, 2), formula) << blocks;
    }
}

/// The model of rank 0 and every rank's objectives, by Adam with dropout.
struct Trained {
    std::vector<double> objectives;
    Model model;
};
Trained train_by_adam(const RunSpec& spec, DeviceRank& rank) {
    const NodeData data = rank_data(rank.backend, spec.nodes, spec.options, rank.rank(), rank.control.size());
    const auto trainer = make_trainer(rank.backend, data, spec.options, {&rank.transport, &rank.control, rank.nodes});
    Trained trained;
    while (!trainer->finished()) trained.objectives.push_back(trainer->step().objective);
    trained.model = trainer->model();
    return trained;
}

// Gradients of ranges, in few values and in many, and pieces of ranges that flow through the layers meanwhile.
TEST_F(DeviceGrid, BackpropagationHasTheBitsOfOneRank) {
    PDADMM_SEEDED();
    RunSpec spec = ranged_spec(seed, "adam", StepRule::exact);
    spec.options.optimizer = Optimizer::adam;
    spec.options.dropout = 0.25;
    for (const Index hidden : {11, 70})
        for (const int micro_batches : {1, 8}) {
            spec.options.hidden = hidden;
            spec.options.micro_batches = micro_batches;
            const auto on = [&](Grid grid) {
                spec.options.node_blocks = grid.nodes;
                std::vector<Trained> all(static_cast<std::size_t>(grid.ranks()));
                run_device_ranks(
                    grid.ranks(),
                    [&](DeviceRank& rank) { all[static_cast<std::size_t>(rank.rank())] = train_by_adam(spec, rank); },
                    nullptr, grid.nodes > 1);
                return all;
            };
            const Trained one = on({1, 1}).front();
            ASSERT_EQ(one.objectives.size(), 5u);
            for (const Grid grid : {Grid{1, 2}, {2, 2}, {1, 3}}) {
                const std::vector<Trained> all = on(grid);
                EXPECT_EQ(all.front().model.W, one.model.W) << to_string(grid) << ", " << hidden << " neurons";
                EXPECT_EQ(all.front().model.b, one.model.b) << to_string(grid);
                for (const Trained& rank : all) EXPECT_EQ(rank.objectives, one.objectives) << to_string(grid);
            }
        }
}

TEST_F(DeviceGrid, APeerThatFailsAmidSumsEndsAllWithItsLine) {
    PDADMM_SEEDED();
    RunSpec spec = ranged_spec(seed, "exact", StepRule::exact);
    spec.options.node_blocks = 2;
    for (const bool later : {false, true}) {
        emulation::plant_nccl_fault({"ncclGroupEnd", 2, 25, ncclRemoteError, later});
        std::vector<std::string> lines;
        const auto body = [&](DeviceRank& rank) {
            finish_run_as_rank(spec, rank.backend, {&rank.transport, &rank.control, rank.nodes});
        };
        try {
            run_device_ranks(4, body, &lines, true);
            ADD_FAILURE() << "the failure was not noticed";
        } catch (const PeerError& error) {
            EXPECT_EQ(error.code(), ExitCode::peer);
        }
        EXPECT_TRUE(emulation::nccl_fault_happened());
        for (const std::string& line : lines)
            EXPECT_THAT(line, AllOf(StartsWith("rank "), HasSubstr("restart with --resume")));
        EXPECT_THAT(lines[2], AllOf(StartsWith("rank 2: "), HasSubstr(ncclGetErrorString(ncclRemoteError))));
        emulation::reset_nccl();
    }
}

}  // namespace
