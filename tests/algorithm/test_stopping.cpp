// Stages that end by validation: the count of evaluations, the cadence by counted work, growth from the best weights;
// the same on any number of ranks and for a resumed run, bit for bit, for pdADMM-G and for backpropagation.
#include "host/run/trainers.hpp"
#include "host/train/stopping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/ranks/placement.hpp"
#include "host/transport/local.hpp"
#include "tests/backpropagation/backpropagation_case.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

/// Runs of pdADMM-G whose stages are sure to end early: a validation accuracy of 25 nodes has 26 values at most.
std::vector<RunSpec> watched_specs(std::uint64_t seed) {
    std::vector<RunSpec> specs = ranked_specs(seed);
    for (RunSpec& spec : specs) {
        spec.options.eval_every = 2;
        const std::vector<int> patience{1, 2, 3};
        for (std::size_t k = 0; k < spec.options.stages.size(); ++k) {
            spec.options.stages[k].epochs = 30;
            spec.options.stages[k].patience = patience[k];
        }
        if (spec.options.grow_state == GrowState::forward) spec.options.stage_from = StageFrom::best;
    }
    return specs;
}

/// Epochs after which the watch should have ended the stages, by the records alone.
std::vector<Index> expected_ends(const std::vector<EpochRecord>& epochs, const SolverOptions& options,
                                 bool by_accuracy) {
    std::vector<Index> ends;
    std::size_t at = 0;
    for (const Stage& stage : options.stages) {
        double best = -INFINITY;
        int since = 0, done = 0;
        for (bool over = false; !over && at < epochs.size(); ++at) {
            over = ++done == stage.epochs;
            if (!epochs[at].evaluated) continue;
            const double figure = by_accuracy ? epochs[at].evaluation.accuracy[1] : -epochs[at].risk;
            since = figure > best ? 0 : since + 1;
            best = std::max(best, figure);
            over = over || since == stage.patience;
        }
        ends.push_back(static_cast<Index>(at));
    }
    return ends;
}

std::vector<Index> ends_of(const std::vector<EpochRecord>& epochs) {
    std::vector<Index> ends;
    for (std::size_t k = 0; k < epochs.size(); ++k)
        if (k + 1 == epochs.size() || epochs[k + 1].stage != epochs[k].stage) ends.push_back(epochs[k].epoch);
    return ends;
}

TEST(StageWatch, CountsEvaluationsSinceTheBest) {
    StageWatch watch;
    EXPECT_TRUE(watch.see(0.5));
    EXPECT_FALSE(watch.see(0.5));  // equal is no better
    EXPECT_FALSE(watch.see(0.4));
    EXPECT_FALSE(watch.ended(0) || watch.ended(3));
    EXPECT_TRUE(watch.ended(2));
    EXPECT_TRUE(watch.see(0.6));
    EXPECT_FALSE(watch.ended(1));
    EXPECT_EQ(watch.best, 0.6);
}

TEST(Cadence, IsTheFewestIterationsWithATenthOfTheirWork) {
    for (const Optimizer optimizer : {Optimizer::admm, Optimizer::adam})
        for (const int layers : {2, 5, 10})
            for (const Index inputs : {20, 3000})
                for (const auto& counts : {std::array<Index, 3>{140, 500, 1000},
                                           {140, 1, 1000},
                                           {5000, 500, 0},
                                           {140, 0, 1000},
                                           {60, 100000, 0}}) {
                    const NetworkShape s{layers, inputs, 100, 7, counts[0]};
                    double forward = 0, iteration = 0;
                    for (int l = 1; l <= layers; ++l) {
                        const bool node_space = optimizer == Optimizer::admm && l == 1 && counts[0] < 2 * inputs;
                        forward += 2.0 * static_cast<double>(s.rows(l) * (node_space ? counts[0] : s.cols(l)) *
                                                             (counts[1] > 0 ? counts[1] : counts[0]));
                        iteration += optimizer == Optimizer::admm
                                         ? counted_work(s, l)
                                         : static_cast<double>((l == 1 ? 4 : 6) * s.rows(l) * s.cols(l) * counts[0]);
                    }
                    const Index period = evaluation_period(optimizer, s, counts);
                    EXPECT_LE(forward, 0.1 * iteration * static_cast<double>(period) * (1 + 1e-12));
                    EXPECT_TRUE(period == 1 || forward > 0.1 * iteration * static_cast<double>(period - 1));
                    EXPECT_GE(period, 1);
                }
    EXPECT_EQ(evaluation_period(Optimizer::adam, {2, 1000, 100, 10, 1000}, {1000, 200, 0}),
              1);  // (2 * 200) / (0.1 * 4 * 1000) and less above
    EXPECT_EQ(evaluation_period(Optimizer::adam, {2, 1000, 100, 10, 1000}, {1000, 2000, 0}), 10);
}

TEST(Cadence, LooksAtWhatDecidesAndAtAllNodesForTheBest) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (RunSpec spec : watched_specs(seed)) {
        spec.options.eval_every = 0;
        const Trace run = finish_run(spec, 1, 0, true, 100);
        const std::vector<Index> ends = ends_of(run.epochs);
        double best = -1;
        Index since_stage = 0, decided = 0;
        for (std::size_t k = 0; k < run.epochs.size(); ++k) {
            const EpochRecord& r = run.epochs[k];
            since_stage = k > 0 && run.epochs[k - 1].stage == r.stage ? since_stage + 1 : 1;
            const NetworkShape shape{r.layers,           spec.nodes.inputs,    spec.options.hidden,
                                     spec.nodes.classes, spec.nodes.counts[0], spec.options.step.rule};
            const Index period = evaluation_period(Optimizer::admm, shape, spec.nodes.counts);
            const bool end = std::find(ends.begin(), ends.end(), r.epoch) != ends.end();
            ASSERT_EQ(r.evaluated, since_stage % period == 0 || end) << spec.name << ", epoch " << r.epoch;
            if (!r.evaluated) continue;
            ++decided;
            EXPECT_FALSE(std::isnan(r.evaluation.accuracy[1]));
            const bool better = r.evaluation.accuracy[1] > best;
            best = std::max(best, r.evaluation.accuracy[1]);
            EXPECT_EQ(std::isnan(r.evaluation.accuracy[0]), !better && !end) << spec.name << ", epoch " << r.epoch;
            EXPECT_EQ(std::isnan(r.evaluation.cost[2]), !better && !end) << spec.name << ", epoch " << r.epoch;
        }
        EXPECT_GT(decided, 0);
        EXPECT_EQ(ends, expected_ends(run.epochs, spec.options, true)) << spec.name;
    }
}

TEST(Stages, EndWhenTheirWatchSaysSo) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const RunSpec& spec : watched_specs(seed)) {
        const Trace run = finish_run(spec, 1, 0);
        EXPECT_EQ(ends_of(run.epochs), expected_ends(run.epochs, spec.options, true)) << spec.name;
        EXPECT_EQ(ends_of(run.epochs).size(), spec.options.stages.size());
        Index most = 0;
        for (const Stage& stage : spec.options.stages) most += stage.epochs;
        EXPECT_LT(run.epochs.back().epoch, most) << spec.name;
    }
}

TEST(Stages, WithoutValidationNodesAreWatchedByRisk) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    bool early = false;
    for (RunSpec spec : watched_specs(seed)) {
        spec.nodes.counts = {spec.nodes.counts[0] + spec.nodes.counts[1], 0, spec.nodes.counts[2]};
        const Trace run = finish_run(spec, 1, 0);
        EXPECT_EQ(ends_of(run.epochs), expected_ends(run.epochs, spec.options, false)) << spec.name;
        EXPECT_EQ(run.best_epoch, -1);
        early = early || run.epochs.size() < 30 * spec.options.stages.size();
    }
    EXPECT_TRUE(early);
}

TEST(Stages, AreTheSameOnAnyNumberOfRanks) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(240);
    for (const RunSpec& spec : watched_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        for (const int ranks : {2, 3})
            EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, ranks)), "")
                << spec.name << ", " << ranks << " ranks";
        const auto move = [&](Solver& solver) {  // and with layers that go elsewhere after every epoch
            const std::vector<int> share =
                solver.progress().epoch % 2 == 0 ? std::vector{1, 3, 1} : std::vector{3, 1, 3};
            solver.place(Placement::listed(solver.shape().layers, share));
        };
        EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, 3, nullptr, move)), "")
            << spec.name << ", moved";
    }
}

TEST(Stages, ResumedAnywhereAreUninterrupted) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(240);
    for (const RunSpec& spec : watched_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        for (std::size_t epoch = 1; epoch < whole.epochs.size(); epoch += epoch % 3 + 1)
            EXPECT_EQ(first_difference(whole, resume_run(spec, whole.checkpoints[epoch - 1], whole, epoch)), "")
                << spec.name << ", after epoch " << epoch;
        const std::size_t half = whole.epochs.size() / 2;
        EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, 2, &whole.checkpoints[half - 1])), "")
            << spec.name << ", on two ranks";
    }
}

TEST(Stages, GrowFromTheirBestEvaluation) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    bool other = false;
    for (RunSpec spec : watched_specs(seed)) {
        if (spec.options.stages.size() < 2 || spec.options.grow_state == GrowState::carry) continue;
        spec.options.stages.resize(2);
        spec.options.stages[0].epochs = 12;
        spec.options.stages[0].patience = 0;
        spec.options.stages[1].epochs = 6;
        spec.options.refresh_every = 0;  // goes by the iteration over all stages
        for (const ZInit z : {ZInit::forward, ZInit::carry}) {
            spec.options.stages[1].z_init = z;
            const Trace grown = finish_run(spec, 1, 0);
            Index best = 0;
            for (const EpochRecord& r : grown.epochs)
                if (r.stage == 0 && r.evaluated &&
                    (best == 0 || r.evaluation.accuracy[1] >
                                      grown.epochs[static_cast<std::size_t>(best - 1)].evaluation.accuracy[1]))
                    best = r.epoch;
            other = other || best < 12;
            RunSpec cut = spec;
            cut.options.stages[0].epochs = static_cast<int>(best);
            cut.options.stage_from = StageFrom::last;
            EXPECT_EQ(finish_run(cut, 1, 0).states.back(), grown.states.back()) << spec.name << ", best epoch " << best;
        }
    }
    EXPECT_TRUE(other);
}

TEST(BestModel, IsOfAnyStageOrOfTheLast) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (RunSpec spec : watched_specs(seed)) {
        for (const BestOf of : {BestOf::any_stage, BestOf::last_stage}) {
            spec.options.best_of = of;
            const Trace run = finish_run(spec, 1, 0);
            const int last = static_cast<int>(spec.options.stages.size()) - 1;
            const EpochRecord* best = nullptr;
            for (const EpochRecord& r : run.epochs)
                if (r.evaluated && (of == BestOf::any_stage || r.stage == last) &&
                    (!best || r.evaluation.accuracy[1] > best->evaluation.accuracy[1]))
                    best = &r;
            ASSERT_TRUE(best);
            EXPECT_EQ(run.best_epoch, best->epoch) << spec.name;
        }
    }
}

TEST(WeightCopy, TakesWhatThePlanSays) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const auto held = [](Trainer& trainer) {
        std::size_t reals = 0;
        const WeightCopy copy(trainer);
        for (int layer = 1; layer <= trainer.shape().layers; ++layer)
            for (const NamedTensor& t : copy.state(layer)) reals += static_cast<std::size_t>(t.value.size());
        return reals * sizeof(real);
    };
    for (const RunSpec& spec : watched_specs(seed)) {
        const NodeData data(*backend, spec.nodes);
        Solver solver(*backend, data, spec.options);
        EXPECT_EQ(WeightCopy::bytes(solver.shape(), solver.layers(), solver.network().node_space(), true), held(solver))
            << spec.name;
    }
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    const NodeData data(*backend, nodes);
    Backpropagation trainer(*backend, data, options_of(Optimizer::adam, {stage_of(4, 3, 0.01, 0)}, 0, seed));
    EXPECT_EQ(WeightCopy::bytes(trainer.shape(), trainer.layers(), false, false), held(trainer));
}

TEST(Backpropagation, HasTheSameStages) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    for (const Optimizer optimizer : methods) {
        SolverOptions options = options_of(
            optimizer, {stage_of(2, 40, 0.02, 0), stage_of(3, 40, 0.02, 0), stage_of(5, 40, 0.01, 0)}, 0.1, seed);
        options.stage_from = StageFrom::best;
        options.micro_batches = 4;
        for (Stage& stage : options.stages) stage.patience = 2;
        const auto train = [&](Backend& be, const NodeData& data, RankLinks links, const CheckpointData* from,
                               std::vector<CheckpointData>* checkpoints) {
            Backpropagation trainer(be, data, options, links);
            if (from) load_state(trainer, *from);
            std::vector<EpochRecord> records;
            while (!trainer.finished()) {
                records.push_back(trainer.step());
                CheckpointData state = save_state(trainer);
                if (checkpoints) checkpoints->push_back(std::move(state));
            }
            return records;
        };
        const NodeData data(*backend, nodes);
        std::vector<CheckpointData> checkpoints;
        const std::vector<EpochRecord> whole = train(*backend, data, {}, nullptr, &checkpoints);
        EXPECT_EQ(ends_of(whole), expected_ends(whole, options, true));
        EXPECT_LT(whole.size(), 120u);
        const auto objectives = [](const std::vector<EpochRecord>& records, std::size_t from) {
            std::vector<double> values;
            for (std::size_t k = from; k < records.size(); ++k) values.push_back(records[k].objective);
            return values;
        };
        for (std::size_t done = 1; done < whole.size(); done += 3)
            EXPECT_EQ(objectives(train(*backend, data, {}, &checkpoints[done - 1], nullptr), 0),
                      objectives(whole, done))
                << "after epoch " << done;
        for (const int ranks : {2, 3})
            run_local_ranks(ranks, [&](LocalRank& rank) {
                const auto own = open_test_backend(1).backend;
                const NodeData share = rank_data(*own, nodes, options, rank.control.rank(), ranks);
                const std::vector<EpochRecord> records =
                    train(*own, share, {&rank.transport, &rank.control}, nullptr, nullptr);
                EXPECT_EQ(objectives(records, 0), objectives(whole, 0)) << ranks << " ranks";
            });
    }
}

}  // namespace
