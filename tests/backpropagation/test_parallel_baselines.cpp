// Backpropagation on several ranks, as threads: any grid of layers x nodes has the bits of one rank with the same
// ranges of nodes and pieces of them, which change only the order of sums; what travels is what the formulas say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

#include "pdadmm/error.hpp"
#include "tests/backpropagation/ranks_case.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/sparse_graph.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

constexpr Index V = 5;  // ranges of 48 nodes and of 18, in 210

std::string of_run(const SolverOptions& o, int ranks) {
    return "optimizer " + std::to_string(static_cast<int>(o.optimizer)) + ", " + std::to_string(o.micro_batches) +
           " micro-batches, " + std::to_string(ranks / o.node_blocks) + "x" + std::to_string(o.node_blocks);
}

TEST(Pipeline, HasTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Optimizer optimizer : methods)
        for (const int micro_batches : {1, 5, 100}) {  // 41 at most
            const SolverOptions options = on_grid(growing(optimizer, 0.25, seed), 1, 0, micro_batches);
            const Finished whole = run_on(options, nodes, 0);
            ASSERT_EQ(whole.epochs.size(), 12u);
            for (const int ranks : {1, 2, 3, 6})
                EXPECT_EQ(difference(whole, run_on(options, nodes, ranks), ranks), "") << of_run(options, ranks);
        }
}

// A first layer by the graph, of so many nodes that products of X are formed range by range.
TEST(Pipeline, HasTheBitsOfOneRankByTheGraph) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = nodes_by_graph({4100, 70, 30}, 2, seed);
    const SolverOptions options = growing(Optimizer::adamw, 0.25, seed);
    const Finished whole = run_on(options, nodes, 0);
    for (const int ranks : {1, 2, 3}) {
        EXPECT_EQ(difference(whole, run_on(options, nodes, ranks), ranks), "") << of_run(options, ranks);
        EXPECT_EQ(difference(whole, run_on(options, nodes, ranks, &whole.checkpoints[5]), ranks), "")
            << "resumed, " << of_run(options, ranks);
    }
}

// Of V ranges: blocks of one subtree and of several, unequal ones, more blocks of layers than a stage has layers.
TEST(Grid, HasTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {210, 25, 10}, seed);
    std::size_t turn = static_cast<std::size_t>(seed);
    for (const int micro_batches : {1, 12})
        for (const Grid grid : {Grid{1, 2}, {1, 3}, {1, 4}, {1, 5}, {2, 1}, {2, 2}, {2, 3}, {3, 2}, {2, 5}, {6, 2}}) {
            SolverOptions options = on_grid(growing(methods[turn++ % methods.size()], 0.25, seed), 1, V, micro_batches);
            const Finished whole = run_on(options, nodes, 0);
            options.node_blocks = grid.nodes;
            const Finished other = run_on(options, nodes, grid.ranks());
            EXPECT_EQ(difference(whole, other, grid.ranks()), "") << of_run(options, grid.ranks());
            for (const auto& bytes : other.held) EXPECT_EQ(bytes, whole.held.front()) << "every rank's weights";
        }
}

// Of wide layers, whose gradients go in several buckets and slices.
TEST(Grid, HasTheBitsOfOneRankWithManyNeurons) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(300, 3, {210, 4, 4}, seed);
    SolverOptions options = options_of(Optimizer::adam, {stage_of(5, 2, 0.01, 0.01)}, 0.25, seed);
    options.hidden = 200;
    options = on_grid(options, 1, V);
    const Finished whole = run_on(options, nodes, 0);
    for (const Grid grid : {Grid{1, 2}, {1, 3}, {1, 5}, {2, 2}, {2, 3}}) {
        options.node_blocks = grid.nodes;
        EXPECT_EQ(difference(whole, run_on(options, nodes, grid.ranks()), grid.ranks()), "") << to_string(grid);
    }
}

TEST(MicroBatches, OfWholeRangesChangeNoBit) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {210, 25, 10}, seed);
    const SolverOptions options = on_grid(growing(Optimizer::adam, 0.25, seed), 1, V);
    const Finished whole = run_on(options, nodes, 0);
    for (const int micro_batches : {2, 3, 5})
        for (const Grid grid : {Grid{1, 1}, {2, 1}, {1, 2}, {2, 2}}) {
            const SolverOptions other = on_grid(options, grid.nodes, V, micro_batches);
            EXPECT_EQ(difference(whole, run_on(other, nodes, grid.ranks()), grid.ranks()), "")
                << of_run(other, grid.ranks());
        }
    const auto last = [&](int micro_batches) {
        return weights_of(run_on(on_grid(options, 1, V, micro_batches), nodes, 0));
    };
    EXPECT_EQ(last(6), last(10)) << "two pieces of each range";
    EXPECT_NE(last(5), last(6));
}

TEST(Threads, ChangeNoBit) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const AugmentedNodes nodes = made_up_nodes(90, 3, {210, 25, 10}, seed);
    SolverOptions options = on_grid(growing(Optimizer::adam, 0.25, seed), 1, V);
    options.hidden = 70;
    const auto with_threads = [&](int threads) {
        const auto own = open_test_backend(threads).backend;
        const NodeData data = rank_data(*own, nodes, options, 0, 1);
        Backpropagation trainer(*own, data, options);
        while (!trainer.finished()) trainer.step();
        return bytes_of(trainer);
    };
    const auto one = with_threads(1);
    for (const int threads : {2, 5}) EXPECT_EQ(with_threads(threads), one) << threads;
}

/// All micro-batches of a part, as they follow each other.
std::vector<MicroBatch> batches_of(const GradientPart& part) {
    std::vector<MicroBatch> all;
    for (Index m = 0; m < part.batches; ++m) all.push_back(part.batch(m));
    return all;
}

TEST(MicroBatches, HoldEveryNodeOnceWhateverTheGrid) {
    const NetworkShape shape{6, 9, 7, 3, 210};
    for (const int micro_batches : {1, 3, 5, 7, 12, 500})
        for (const int node_blocks : {1, 2, 3, 5}) {
            const SolverOptions options = on_grid({}, node_blocks, V, micro_batches);
            Index nodes = 0, pieces = 0;
            for (int rank = 0; rank < node_blocks; ++rank) {
                const GradientPart part = gradient_part(options, shape, rank, node_blocks);
                pieces = part.pieces;
                Index next = 0;
                for (const MicroBatch& batch : batches_of(part)) {
                    EXPECT_EQ(batch.nodes.first, next);
                    EXPECT_GT(batch.nodes.count, 0);
                    EXPECT_LE(batch.nodes.count, part.widest_batch());
                    next += batch.nodes.count;
                }
                EXPECT_EQ(next, part.nodes());
                nodes += next;
            }
            EXPECT_EQ(nodes, 210);
            EXPECT_EQ(pieces, std::min((micro_batches + V - 1) / V, Index{18})) << "the last range has 18 nodes";
        }
}

/// Every layer's gradient of one epoch on `ranks` ranks, with the risk last.
std::vector<double> gradient_on(const SolverOptions& options, const AugmentedNodes& nodes, int ranks) {
    std::vector<std::vector<double>> gradients(static_cast<std::size_t>(ranks));
    on_ranks(options, nodes, ranks, [&](LocalRank& rank, Backpropagation& trainer) {
        const double risk = trainer.step().risk;
        const Parameters& g = trainer.network().gradient();
        std::vector<double> own;
        for (std::size_t k = 0; k < g.W.size(); ++k)
            for (const Mat& m : {g.W[k], g.b[k]})
                if (m.data)
                    for (const real x : download(trainer.backend(), m)) own.push_back(static_cast<double>(x));
        own = trainer.network().layers().count() == trainer.shape().layers ? own : trainer.ranks().gather(own);
        own.push_back(risk);
        gradients[static_cast<std::size_t>(rank.control.rank())] = own;
    });
    for (const auto& other : gradients) EXPECT_EQ(other, gradients[0]) << "all ranks hold the same sums";
    return gradients[0];
}

TEST(Gradients, DifferByTheOrderOfSumsAlone) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    struct Shape {
        int layers;
        Index inputs, hidden, nodes;
        double dropout;
    };
    for (const Shape& s :
         {Shape{2, 5, 4, 9, 0}, Shape{6, 9, 7, 81, 0.25}, Shape{5, 300, 200, 70, 0.5}}) {  // the last: several buckets
        const AugmentedNodes nodes = made_up_nodes(s.inputs, 3, {s.nodes, 4, 4}, seed);
        SolverOptions options = options_of(Optimizer::gd, {stage_of(s.layers, 1, 0.1, 0)}, s.dropout, seed);
        options.hidden = s.hidden;
        const std::vector<double> one = gradient_on(options, nodes, 1);
        double largest = 0;
        for (const double x : one) largest = std::fmax(largest, std::fabs(x));
        // Sums over nodes, neurons and layers of terms of the gradient's size: rounding errors add up like a random
        // walk.
        const double bound = 64 * static_cast<double>(std::numeric_limits<real>::epsilon()) *
                             std::sqrt(static_cast<double>(s.nodes * s.layers)) * largest;
        const auto check = [&](const std::vector<double>& other, const std::string& what) {
            ASSERT_EQ(other.size(), one.size()) << what;
            double worst = 0;
            for (std::size_t i = 0; i < one.size(); ++i)
                worst = std::fmax(worst, std::isfinite(other[i]) ? std::fabs(other[i] - one[i]) : INFINITY);
            EXPECT_LE(worst, bound) << what << ", hidden " << s.hidden;
        };
        for (const Index ranges : {2, 3, 5})
            check(gradient_on(on_grid(options, 1, ranges), nodes, 1), std::to_string(ranges) + " ranges");
        for (const int micro_batches : {2, 3, 9})
            for (const int ranks : {1, 2})
                check(gradient_on(on_grid(options, 1, 0, micro_batches), nodes, ranks),
                      std::to_string(micro_batches) + " micro-batches");
    }
}

TEST(Trajectories, StayWithThatOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Optimizer optimizer : methods) {
        const SolverOptions options = growing(optimizer, 0.25, seed);
        const Finished whole = run_on(options, nodes, 0);
        const std::vector<double> expected = weights_of(whole);
        for (const auto& [node_blocks, ranges, micro_batches, ranks] :
             {std::tuple(2, 2, 1, 2), std::tuple(3, 3, 1, 3), std::tuple(1, 1, 4, 2), std::tuple(2, 2, 4, 4)}) {
            const SolverOptions divided = on_grid(options, node_blocks, ranges, micro_batches);
            const Finished other = run_on(divided, nodes, ranks);
            const std::string what = of_run(divided, ranks);
            for (std::size_t i = 0; i < whole.epochs.size(); ++i) {
                const EpochRecord &one = whole.epochs[i], &now = other.epochs[i];
                EXPECT_NEAR(now.objective, one.objective, exact ? 1e-10 : 1e-3) << what;
                ASSERT_EQ(now.evaluated, one.evaluated);
                for (std::size_t set = 0; set < 3 && one.evaluated; ++set) {
                    EXPECT_NEAR(now.evaluation.cost[set], one.evaluation.cost[set], exact ? 1e-9 : 1e-2) << what;
                    EXPECT_NEAR(now.evaluation.accuracy[set], one.evaluation.accuracy[set], exact ? 1e-12 : 0.11)
                        << what;  // of ten test nodes, one
                }
            }
            const std::vector<double> found = weights_of(other);
            ASSERT_EQ(found.size(), expected.size());
            std::size_t off = 0;
            for (std::size_t i = 0; i < found.size(); ++i)
                off += !(std::fabs(found[i] - expected[i]) <= (exact ? 1e-9 : 1e-4));
            // Adam and Adagrad divide by the gradient's size: in float a gradient of the size of its rounding error
            // steps either way.
            EXPECT_LE(off,
                      exact || optimizer == Optimizer::gd || optimizer == Optimizer::adadelta ? 0 : found.size() / 50)
                << what;
            for (const auto& bytes : other.held) EXPECT_EQ(bytes, other.held.front()) << what;
            EXPECT_EQ(other.held.size(), ranks == node_blocks ? static_cast<std::size_t>(ranks) : 0) << what;
        }
    }
}

TEST(Resumed, IsUninterrupted) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Optimizer optimizer : methods)
        for (const int micro_batches : {1, 4}) {
            const SolverOptions options = on_grid(growing(optimizer, 0.25, seed), 1, 3, micro_batches);
            const Finished whole = run_on(options, nodes, 3);
            for (const std::size_t done : {1u, 3u, 10u})
                for (const Grid grid : {Grid{1, 1}, {2, 1}, {1, 3}, {2, 2}}) {
                    const SolverOptions other = on_grid(options, grid.nodes, 3, micro_batches);
                    EXPECT_EQ(difference(whole, run_on(other, nodes, grid.ranks(), &whole.checkpoints[done - 1]),
                                         grid.ranks()),
                              "")
                        << of_run(other, grid.ranks()) << ", after epoch " << done;
                }
        }
}

// Of 4 ranges in wide layers: a rank's share of the ranges is one subtree where 2 or 4 divide them, and with 3 it is
// one range, one, and two neighbours that are one subtree.
TEST(Messages, AreWhatTheFormulaSays) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(300, 3, {120, 25, 10}, seed);
    for (const Grid grid : {Grid{3, 1}, {1, 2}, {1, 3}, {1, 4}, {2, 2}})
        for (const int layers : {3, 6}) {
            SolverOptions options =
                on_grid(options_of(Optimizer::adam, {stage_of(layers, 2, 0.01, 0)}, 0, seed), grid.nodes, 4, 4);
            options.hidden = 200;
            options.eval_every = 1 << 30;
            on_ranks(options, nodes, grid.ranks(), [&](LocalRank& rank, Backpropagation& trainer) {
                ASSERT_EQ(trainer.data().ranges().count, 4);
                const auto sent = [](LocalTransport& of) { return of.traffic(Direction::send); };
                const auto total = [&](std::uint64_t own) {
                    double sum = 0;
                    for (const double x : trainer.ranks().gather({static_cast<double>(own)})) sum += x;
                    return static_cast<std::uint64_t>(sum);
                };
                trainer.ranks().gather({});
                const Traffic border = sent(rank.transport), column = sent(rank.nodes);
                const EpochRecord record = trainer.step();
                const std::uint64_t over_borders = total(sent(rank.transport).bytes - border.bytes);
                std::uint64_t over_nodes = total(sent(rank.nodes).bytes - column.bytes);
                const auto blocks = static_cast<std::uint64_t>(grid.layers),
                           columns = static_cast<std::uint64_t>(grid.nodes);
                EXPECT_EQ(over_borders, 2 * (blocks - 1) * 200 * 120 * sizeof(real)) << to_string(grid);
                // Figures: the risk, of everyone for everyone.
                if (columns > 1) over_nodes -= columns * (columns - 1) * sizeof(double);
                std::uint64_t parameters = 0;  // with rows of 64
                for (const LayerRange& bucket : GradientNetwork::buckets(trainer.shape(), {1, layers}))
                    parameters += static_cast<std::uint64_t>(GradientNetwork::parameters_of(trainer.shape(), bucket));
                EXPECT_EQ(over_nodes, 2 * (columns - 1) * parameters * sizeof(real)) << to_string(grid);
                EXPECT_EQ(record.bytes, over_borders + over_nodes) << to_string(grid);
            });
        }
}

TEST(Buckets, HoldEveryLayerOnceFromTheLast) {
    for (const Index hidden : {3, 100, 300})
        for (const int layers : {2, 3, 10}) {
            int next = layers;
            for (const LayerRange& bucket : GradientNetwork::buckets({layers, 500, hidden, 5, 70}, {1, layers})) {
                EXPECT_EQ(bucket.last, next);
                EXPECT_GE(bucket.count(), 1);
                next = bucket.first - 1;
            }
            EXPECT_EQ(next, 0);
        }
}

TEST(Memory, OfAPartIsLess) {
    PDADMM_SEEDED();
    const NetworkShape shape{7, 50, 30, 4, 90};
    for (const Grid grid : {Grid{3, 1}, {1, 3}, {2, 2}}) {
        SolverOptions options = options_of(Optimizer::adam, {stage_of(7, 1, 0.01, 0)}, 0, seed);
        options.hidden = 30;
        const GradientPart whole = gradient_part(on_grid(options, 1, 4), shape, 0, 1);
        options = on_grid(options, grid.nodes, 4, 6);
        Index layers = 0, held = 0;
        for (int rank = 0; rank < grid.ranks(); ++rank) {
            const GradientPart part = gradient_part(options, shape, rank, grid.ranks());
            layers += part.layers.count();
            held += part.nodes();
            EXPECT_LT(GradientNetwork::bytes(shape, options.optimizer, part),
                      GradientNetwork::bytes(shape, options.optimizer, whole))
                << "a part is less than the whole";
        }
        EXPECT_EQ(layers, 7 * grid.nodes);
        EXPECT_EQ(held, 90 * grid.layers);
    }
}

TEST(Runs, StopWhereTheLossIsNotFinite) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    const SolverOptions options = options_of(Optimizer::gd, {stage_of(4, 50, 1e200, 0)}, 0, seed);
    for (const Grid grid : {Grid{3, 1}, {1, 3}, {2, 2}})
        EXPECT_THROW(run_on(on_grid(options, grid.nodes, 3, 2), nodes, grid.ranks()), DivergedError);
}

TEST(Ranks, AreAsManyAsThereIsWorkFor) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {4, 5, 6}, seed);
    const SolverOptions options = options_of(Optimizer::gd, {stage_of(2, 2, 0.01, 0)}, 0, seed);
    EXPECT_THROW(run_on(options, nodes, 3), UsageError);
    EXPECT_EQ(run_on(options, nodes, 2).epochs.size(), 4u);
    EXPECT_THROW(run_on(on_grid(options, 2, 0), nodes, 2), UsageError) << "four nodes are one range";
    EXPECT_THROW(run_on(workers(options, Parallel::elastic), nodes, 5), UsageError);
    EXPECT_EQ(run_on(workers(options, Parallel::elastic), nodes, 4).epochs.size(), 8u);
}

TEST(Ranks, OneThatThrowsEndsAll) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Grid grid : {Grid{3, 1}, {1, 3}, {2, 2}})
        for (int bad = 0; bad < grid.ranks(); ++bad) {
            const SolverOptions options = on_grid(growing(Optimizer::adam, 0, seed), grid.nodes, 3, 4);
            const auto train = [&](LocalRank& rank, Backpropagation& trainer) {
                while (!trainer.finished()) {
                    trainer.step();
                    if (rank.control.rank() == bad && trainer.progress().epoch == 5) throw OutputError("planted");
                }
            };
            EXPECT_THROW(on_ranks(options, nodes, grid.ranks(), train), OutputError) << to_string(grid) << ", " << bad;
        }
}

}  // namespace
