// Workers (host/backpropagation/workers.hpp) beside a plain simulation of them in float64; their checkpoints, messages
// and refusals.
#include <gmock/gmock.h>

#include <cmath>

#include "pdadmm/error.hpp"
#include "tests/backpropagation/ranks_case.hpp"
#include "tests/backpropagation/reference_network.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

constexpr int ranks = 5;

SolverOptions worker_options(Parallel form, std::vector<Stage> stages, std::uint64_t seed) {
    SolverOptions o = workers(options_of(Optimizer::momentum, std::move(stages), 0, seed), form);
    o.workers = {2, 4, 2, form == Parallel::elastic ? 0.6 : 0.3};
    o.momentum = kept_of_step;
    return o;
}

struct Worker {
    Variables x, first, second;
    double risk = 0, nodes = 0;
};

/// x += strength (to - x).
void pull_to(double strength, const Variables& to, Variables& x) {
    for (std::size_t k = 0; k < x.size(); ++k)
        for (std::size_t i = 0; i < x[k].size(); ++i) x[k].values[i] += strength * (to[k].values[i] - x[k].values[i]);
}

/// What the model becomes in `epochs` epochs, from first weights; also the least difference between the two best
/// workers where a leader was chosen.
struct Simulated {
    Variables model;
    std::vector<Worker> workers;
    double least_margin = INFINITY;

    int leader(int first, int count) {
        std::vector<std::pair<double, int>> losses;
        for (int r = first; r < first + count; ++r) {
            const Worker& w = workers[static_cast<std::size_t>(r)];
            losses.emplace_back(w.risk / w.nodes, r);
        }
        std::sort(losses.begin(), losses.end());
        if (count > 1) least_margin = std::fmin(least_margin, losses[1].first - losses[0].first);
        return losses[0].second;
    }
    void follow(int first, int count, double strength) {
        const Variables best = workers[static_cast<std::size_t>(leader(first, count))].x;
        for (int r = first; r < first + count; ++r) pull_to(strength, best, workers[static_cast<std::size_t>(r)].x);
        if (count == ranks) model = best;
    }
};

void simulate_epoch(Simulated& s, const SolverOptions& o, const AugmentedNodes& nodes, int epoch) {
    for (int r = 0; r < ranks; ++r) {
        Worker& w = s.workers[static_cast<std::size_t>(r)];
        const NodeRange share = NodeRange::share(nodes.counts[0], (r + epoch) % ranks, ranks);
        const Array X{nodes.inputs,
                      share.count,
                      {nodes.X.begin() + share.first * nodes.inputs,
                       nodes.X.begin() + (share.first + share.count) * nodes.inputs}};
        const std::vector<std::int32_t> labels(nodes.labels.begin() + share.first,
                                               nodes.labels.begin() + share.first + share.count);
        w.risk += loss(w.x, X, labels, {}) * static_cast<double>(share.count);
        w.nodes += static_cast<double>(share.count);
        torch_step(o.optimizer, o.stages[0].learning_rate, o.stages[0].weight_decay, epoch + 1,
                   gradient_of(w.x, X, labels), w.x, w.first, w.second);
    }
    const int done = epoch + 1;
    if (done % o.workers.every != 0) return;
    if (o.parallel == Parallel::elastic) {
        const Variables before = s.model;
        for (Worker& w : s.workers)
            for (std::size_t k = 0; k < before.size(); ++k)
                for (std::size_t i = 0; i < before[k].size(); ++i)
                    s.model[k].values[i] += o.workers.pull / ranks * (w.x[k].values[i] - before[k].values[i]);
        for (Worker& w : s.workers) pull_to(o.workers.pull / ranks, before, w.x);
    } else {
        s.follow(0, 2, o.workers.pull);  // groups of 2 and 3 ranks
        s.follow(2, 3, o.workers.pull);
        if (done % o.workers.of_all == 0) s.follow(0, ranks, o.workers.pull);
    }
    for (Worker& w : s.workers) w.risk = w.nodes = 0;
}

double largest_difference(const Variables& a, const Variables& b) {
    double worst = 0;
    for (std::size_t k = 0; k < a.size(); ++k)
        for (std::size_t i = 0; i < a[k].size(); ++i)
            worst =
                std::fmax(worst, std::isfinite(a[k].values[i]) ? std::fabs(a[k].values[i] - b[k].values[i]) : INFINITY);
    return worst;
}

/// W and b of the model that `trainer` evaluates.
Variables model_of(Backpropagation& trainer) {
    Variables all;
    for (int layer = 1; layer <= trainer.shape().layers; ++layer)
        for (const NamedTensor& t : trainer.weights(layer))
            all.emplace_back(t.value.rows, t.value.cols, download(trainer.backend(), t.value));
    return all;
}

TEST(Workers, AreThoseOfAPlainSimulation) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(6, 3, {42, 10, 10}, seed);  // shares of 8 and 9
    for (const Parallel form : {Parallel::elastic, Parallel::leader}) {
        const SolverOptions options = worker_options(form, {stage_of(3, 10, 0.1, 0.02)}, seed);
        std::vector<Simulated> simulated(ranks);
        std::vector<double> worst(ranks);
        on_ranks(options, nodes, ranks, [&](LocalRank& rank, Backpropagation& trainer) {
            const auto r = static_cast<std::size_t>(rank.control.rank());
            Simulated& s = simulated[r];
            s.model = model_of(trainer);
            s.workers.assign(ranks, {s.model, zeros_like(s.model), zeros_like(s.model)});
            for (int epoch = 0; epoch < 10; ++epoch) {
                trainer.step();
                simulate_epoch(s, options, nodes, epoch);
                worst[r] = std::fmax(worst[r], largest_difference(model_of(trainer), s.model));
                worst[r] = std::fmax(
                    worst[r],
                    largest_difference(values_of(trainer.backend(), trainer.network().weights()), s.workers[r].x));
            }
        });
        if (!exact && simulated[0].least_margin < 1e-4) continue;  // too close for float to tell who leads
        EXPECT_THAT(worst, testing::Each(testing::Le(exact ? 1e-9 : 2e-3))) << static_cast<int>(form);
    }
}

TEST(Workers, GoOnFromACheckpointBitForBit) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    for (const Parallel form : {Parallel::elastic, Parallel::leader})
        for (const Optimizer optimizer : {Optimizer::momentum, Optimizer::adamw}) {
            SolverOptions options = worker_options(
                form, {stage_of(2, 3, 0.05, 0.01), stage_of(4, 5, 0.05, 0), stage_of(5, 5, 0.05, 0)}, seed);
            options.optimizer = optimizer;
            options.dropout = 0.25;
            options.rate_schedule = RateSchedule::cosine;
            const Finished whole = run_on(options, nodes, ranks);
            EXPECT_EQ(difference(whole, run_on(options, nodes, ranks), ranks), "") << "the same twice";
            for (const std::size_t done : {1u, 3u, 6u, 12u})
                EXPECT_EQ(difference(whole, run_on(options, nodes, ranks, &whole.checkpoints[done - 1]), ranks), "")
                    << "form " << static_cast<int>(form) << ", after epoch " << done;
            ASSERT_EQ(whole.held.size(), static_cast<std::size_t>(ranks));
            EXPECT_NE(whole.held[0], whole.held[1]) << "every worker has weights of its own";
        }
}

TEST(Workers, OfOneRankAreThatRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {41, 25, 10}, seed);
    const SolverOptions options = growing(Optimizer::adam, 0.25, seed);
    const Finished whole = run_on(options, nodes, 0);
    for (const Parallel form : {Parallel::elastic, Parallel::leader})
        for (const int one : {0, 1})
            EXPECT_EQ(difference(whole, run_on(workers(options, form), nodes, one), one), "") << static_cast<int>(form);
}

TEST(Workers, SendWhatTheFormulaSays) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(50, 3, {41, 25, 10}, seed);
    for (const Parallel form : {Parallel::elastic, Parallel::leader}) {
        SolverOptions options = worker_options(form, {stage_of(3, 4, 0.01, 0)}, seed);
        options.eval_every = 1 << 30;
        on_ranks(options, nodes, ranks, [&](LocalRank& rank, Backpropagation& trainer) {
            const std::uint64_t all =
                static_cast<std::uint64_t>(GradientNetwork::parameters_of(trainer.shape(), {1, 3})) * sizeof(real);
            // Of all ranks: everyone to everyone, for there are few; from the leaders of 2 and of 3 ranks, then of
            // all 5.
            const std::vector<std::uint64_t> copies = form == Parallel::elastic
                                                          ? std::vector<std::uint64_t>{0, 20, 0, 20}
                                                          : std::vector<std::uint64_t>{0, 3, 0, 7};
            for (const std::uint64_t expected : copies) {
                const Traffic before = rank.transport.traffic(Direction::send);
                const EpochRecord record = trainer.step();
                const std::uint64_t sent = rank.transport.traffic(Direction::send).bytes - before.bytes;
                double total = 0;
                for (const double x : trainer.ranks().gather({static_cast<double>(sent)})) total += x;
                EXPECT_EQ(record.bytes, expected * all);
                EXPECT_EQ(total, static_cast<double>(record.bytes));
            }
        });
    }
}

TEST(Workers, RefuseRulesThatCannotBe) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {12, 5, 6}, seed);
    for (const WorkerRule& rule : {WorkerRule{0, 0, 1, 0.5}, WorkerRule{2, 3, 1, 0.5}, WorkerRule{2, 4, 4, 0.5},
                                   WorkerRule{2, 4, 0, 0.5}, WorkerRule{2, 4, 1, 1.5}}) {
        SolverOptions options = worker_options(Parallel::leader, {stage_of(2, 2, 0.01, 0)}, seed);
        options.workers = rule;
        EXPECT_THROW(run_on(options, nodes, 3), UsageError) << rule.every << " " << rule.of_all << " " << rule.groups;
    }
}

TEST(Workers, StopWhereOneLossIsNotFinite) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    for (const Parallel form : {Parallel::elastic, Parallel::leader})
        EXPECT_THROW(run_on(worker_options(form, {stage_of(4, 50, 1e200, 0)}, seed), nodes, ranks), DivergedError);
}

}  // namespace
