// Backpropagation on several ranks, as threads: a pipeline has the bits of one rank with as many micro-batches,
// whatever the ranks; dividing nodes or making micro-batches changes only the order of sums; what travels is what the
// formulas say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

#include "pdadmm/error.hpp"
#include "tests/backpropagation/ranks_case.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

TEST(Pipeline, HasTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Optimizer optimizer : methods)
        for (const int micro_batches : {1, 5, 100}) {  // 41 at most
            const SolverOptions options = with(growing(optimizer, 0.25, seed), Parallel::pipeline, micro_batches);
            const Finished whole = run_on(options, nodes, 0);
            ASSERT_EQ(whole.epochs.size(), 12u);
            for (const int ranks : {1, 2, 3, 6})
                EXPECT_EQ(difference(whole, run_on(options, nodes, ranks), ranks), "")
                    << "optimizer " << static_cast<int>(optimizer) << ", " << micro_batches << " micro-batches, "
                    << ranks << " ranks";
        }
}

TEST(DataParallel, OfOneRankIsThatRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    const SolverOptions options = growing(Optimizer::adam, 0.25, seed);
    const Finished whole = run_on(options, nodes, 0);
    for (const int ranks : {0, 1})
        EXPECT_EQ(difference(whole, run_on(with(options, Parallel::data, 1), nodes, ranks), ranks), "") << ranks;
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
         {Shape{2, 5, 4, 9, 0}, Shape{6, 9, 7, 41, 0.25}, Shape{5, 300, 200, 70, 0.5}}) {  // the last: several buckets
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
        for (const int ranks : {2, 3, 5})
            check(gradient_on(with(options, Parallel::data, 1), nodes, ranks),
                  std::to_string(ranks) + " parts of the nodes");
        for (const int micro_batches : {2, 3, 9})
            for (const int ranks : {1, 2})
                check(gradient_on(with(options, Parallel::pipeline, micro_batches), nodes, ranks),
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
        for (const auto& [parallel, micro_batches, ranks] :
             {std::tuple(Parallel::data, 1, 2), std::tuple(Parallel::data, 1, 3),
              std::tuple(Parallel::pipeline, 4, 2)}) {
            const Finished other = run_on(with(options, parallel, micro_batches), nodes, ranks);
            const std::string what = std::string(parallel == Parallel::data ? "data" : "pipeline") + ", optimizer " +
                                     std::to_string(static_cast<int>(optimizer));
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
            EXPECT_EQ(other.held.size(), parallel == Parallel::data ? static_cast<std::size_t>(ranks) : 0) << what;
        }
    }
}

TEST(Resumed, IsUninterrupted) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Optimizer optimizer : methods)
        for (const Parallel parallel : {Parallel::pipeline, Parallel::data}) {
            const SolverOptions options = with(growing(optimizer, 0.25, seed), parallel, 4);
            const Finished whole = run_on(options, nodes, 3);
            for (const std::size_t done : {1u, 3u, 10u})
                for (const int ranks : {1, 2, 3}) {
                    if (parallel == Parallel::data && ranks != 3) continue;  // its bits belong to a number of ranks
                    EXPECT_EQ(difference(whole, run_on(options, nodes, ranks, &whole.checkpoints[done - 1]), ranks), "")
                        << "optimizer " << static_cast<int>(optimizer) << ", after epoch " << done << " on " << ranks
                        << " ranks";
                }
        }
}

TEST(Messages, AreWhatTheFormulaSays) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(300, 3, {41, 25, 10}, seed);
    for (const Parallel parallel : {Parallel::pipeline, Parallel::data})
        for (const int layers : {3, 6}) {
            SolverOptions options =
                with(options_of(Optimizer::adam, {stage_of(layers, 2, 0.01, 0)}, 0, seed), parallel, 5);
            options.hidden = 200;
            options.eval_every = 1 << 30;
            on_ranks(options, nodes, 3, [&](LocalRank& rank, Backpropagation& trainer) {
                const Traffic before = rank.transport.traffic(Direction::send);
                const EpochRecord record = trainer.step();
                const Traffic after = rank.transport.traffic(Direction::send);
                const std::vector<double> bytes =
                                              trainer.ranks().gather({static_cast<double>(after.bytes - before.bytes)}),
                                          messages = trainer.ranks().gather(
                                              {static_cast<double>(after.messages - before.messages)});
                EXPECT_EQ(bytes[0] + bytes[1] + bytes[2], static_cast<double>(record.bytes));
                double parameters = 0;  // with rows of 64
                for (int layer = 1; layer <= layers; ++layer) {
                    const auto padded = [](Index count) { return static_cast<double>((count + 63) / 64 * 64); };
                    const Index n = layer == layers ? 3 : 200, m = layer == 1 ? 300 : 200;
                    parameters += padded(n * m) + padded(n);
                }
                if (parallel == Parallel::pipeline) {
                    EXPECT_THAT(messages, testing::ElementsAre(5, 10, 5));
                    EXPECT_EQ(static_cast<double>(record.bytes), 2.0 * 2 * 200 * 41 * sizeof(real));
                } else {
                    const auto buckets = static_cast<double>(DataParallelEpoch::buckets(trainer.shape()).size());
                    EXPECT_EQ(buckets,
                              layers == 6 ? 3 : 1);  // 4-6, 2-3 and 1, of 65536 parameters or more but for the last
                    EXPECT_THAT(messages, testing::Each(buckets * 2 * 2));
                    EXPECT_EQ(static_cast<double>(record.bytes), 2 * 2 * parameters * sizeof(real));
                }
            });
        }
}

TEST(Buckets, HoldEveryLayerOnceFromTheLast) {
    for (const Index hidden : {3, 100, 300})
        for (const int layers : {2, 3, 10}) {
            int next = layers;
            for (const LayerRange& bucket : DataParallelEpoch::buckets({layers, 500, hidden, 5, 70})) {
                EXPECT_EQ(bucket.last, next);
                EXPECT_GE(bucket.count(), 1);
                next = bucket.first - 1;
            }
            EXPECT_EQ(next, 0);
        }
}

TEST(Memory, OfAPartIsLess) {
    PDADMM_SEEDED();
    const NetworkShape shape{7, 50, 30, 4, 60};
    for (const Parallel parallel : {Parallel::pipeline, Parallel::data}) {
        SolverOptions options = with(options_of(Optimizer::adam, {stage_of(7, 1, 0.01, 0)}, 0, seed), parallel, 6);
        options.hidden = 30;
        Index layers = 0, held = 0;
        for (int rank = 0; rank < 3; ++rank) {
            const GradientPart part = gradient_part(options, shape, rank, 3);
            layers += part.layers.count();
            held += part.nodes;
            EXPECT_LT(GradientNetwork::bytes(shape, options.optimizer, part),
                      GradientNetwork::bytes(shape, options.optimizer, {{1, 7}, 60, 1}))
                << "a part is less than the whole";
        }
        EXPECT_EQ(layers, parallel == Parallel::data ? 21 : 7);
        EXPECT_EQ(held, parallel == Parallel::data ? 60 : 180);
    }
}

TEST(Runs, StopWhereTheLossIsNotFinite) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    for (const Parallel parallel : {Parallel::pipeline, Parallel::data})
        EXPECT_THROW(
            run_on(with(options_of(Optimizer::gd, {stage_of(4, 50, 1e200, 0)}, 0, seed), parallel, 2), nodes, 3),
            DivergedError);
}

TEST(Ranks, AreAsManyAsThereIsWorkFor) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {4, 5, 6}, seed);
    const SolverOptions options = options_of(Optimizer::gd, {stage_of(2, 2, 0.01, 0)}, 0, seed);
    EXPECT_THROW(run_on(options, nodes, 3), UsageError);
    EXPECT_EQ(run_on(options, nodes, 2).epochs.size(), 4u);
    EXPECT_THROW(run_on(with(options, Parallel::data, 1), nodes, 5), UsageError);
    EXPECT_EQ(run_on(with(options, Parallel::data, 1), nodes, 4).epochs.size(), 8u);
}

TEST(Ranks, OneThatThrowsEndsAll) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Parallel parallel : {Parallel::pipeline, Parallel::data})
        for (int bad = 0; bad < 3; ++bad) {
            const SolverOptions options = with(growing(Optimizer::adam, 0, seed), parallel, 4);
            const auto train = [&](LocalRank& rank, Backpropagation& trainer) {
                while (!trainer.finished()) {
                    trainer.step();
                    if (rank.control.rank() == bad && trainer.progress().epoch == 5) throw OutputError("planted");
                }
            };
            EXPECT_THROW(on_ranks(options, nodes, 3, train), OutputError) << bad;
        }
}

}  // namespace
