// What must hold of whole runs on the CPU backend: equal bits whatever the
// batching, threads and interruptions, first layer in node space, and renamed nodes and classes (design 3,
// "Invariants").
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "host/run/trainer_state.hpp"
#include "pdadmm/node_ranges.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/sample.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using reference::Array;

namespace {

constexpr bool wide = sizeof(real) == 8;

TEST(SameBits, WhateverTheStacksAndThreads) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const RunSpec& spec : run_specs(seed)) {
        const Trace first = finish_run(spec, 1, 0);
        ASSERT_FALSE(first.epochs.empty());
        for (const int threads : {1, 2, 3})
            for (const int most_stacked : {0, 1, 2}) {
                const Trace other = finish_run(spec, threads, most_stacked);
                EXPECT_EQ(first_difference(first, other), "")
                    << spec.name << ", threads " << threads << ", stacks of " << most_stacked;
            }
    }
}

// Groups take sets of scratch in turn, and those of different sets run at the same time.
TEST(SameBits, WhateverTheLanes) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const std::size_t which : {0, 2}) {
        RunSpec spec = run_specs(seed)[which];
        spec.options.lanes = 1;
        const Trace first = finish_run(spec, 1, 1);
        for (const int lanes : {2, 3}) {
            spec.options.lanes = lanes;
            EXPECT_EQ(first_difference(first, finish_run(spec, 1, 1)), "") << spec.name << ", lanes " << lanes;
        }
    }
}

TEST(SameBits, OverManyRangesOfNodes) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const RunSpec spec = spec_with_ranges(seed);
    const Trace first = finish_run(spec, 1, 0);
    ASSERT_EQ(NodeRanges(spec.nodes.counts[0]).count, NodeRanges::automatic);
    for (const int threads : {2, 3})
        EXPECT_EQ(first_difference(first, finish_run(spec, threads, 1)), "") << "threads " << threads;
    EXPECT_EQ(difference_of_ranks(first, finish_run_on_ranks(spec, 3)), "");
    EXPECT_EQ(first_difference(first, resume_run(spec, first.checkpoints[2], first, 3)), "");
}

TEST(Plan, TakesSmallerStacksWhereMemoryIsShort) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const NodeData data(*backend, run_specs(seed).back().nodes);
    const NetworkShape shape{18, data.inputs(), 40, data.classes(), data.train()};
    const LayerRange whole{1, shape.layers};
    const NetworkPlan roomy = plan_network(*backend, shape, data, {}, whole, std::size_t{1} << 40);
    EXPECT_EQ(roomy.stacked, 16);
    if (backend->run_ahead() > 1) {  // a device: every group on a lane, else stacks of half the size on two
        EXPECT_EQ(roomy.lanes, 3);
        const NetworkPlan two = plan_network(*backend, shape, data, {}, whole, roomy.bytes - 1);
        EXPECT_EQ(two.lanes, 2);
        EXPECT_EQ(two.stacked, 8);
        EXPECT_EQ(plan_network(*backend, shape, data, {}, {2, shape.layers}, std::size_t{1} << 40).lanes, 2);
    }
    NetworkPlan plan = roomy;
    for (std::size_t available = roomy.bytes; plan.stacked > 1; available = plan.bytes - 1) {
        const NetworkPlan tighter = plan_network(*backend, shape, data, {}, whole, available);
        EXPECT_LE(tighter.bytes, available);
        EXPECT_LE(tighter.stacked, plan.stacked);
        if (tighter.stacked == 1 && tighter.bytes > available) break;
        plan = tighter;
    }
    EXPECT_EQ(plan.stacked, 1);
    const NetworkPlan one_by_one = plan_network(*backend, shape, data, {.lanes = 1}, whole, 0);
    EXPECT_EQ(one_by_one.lanes, 1);
    EXPECT_LE(one_by_one.bytes, plan.bytes);
    const NetworkPlan four = plan_network(*backend, shape, data, {.rebuild_q = true}, whole, plan.bytes);
    EXPECT_LT(four.bytes, plan.bytes);
}

// Of fewer nodes than neurons no inverse of a neuron's size is held for W, and for the last layer none at all.
TEST(Plan, HoldsTheSmallerInversesOnly) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const NodeData data(*backend, run_specs(seed).front().nodes);  // 40 training nodes
    const auto bytes = [&](Index hidden, StepRule rule) {
        const NetworkShape shape{2, data.inputs(), hidden, data.classes(), data.train(), rule};
        return plan_network(*backend, shape, data, {}, {2, 2}, std::size_t{1} << 40).bytes;
    };
    const Index few = 15, many = 90, N = data.train();
    const auto reals = [](Index count) { return static_cast<std::size_t>(count) * sizeof(real); };
    EXPECT_EQ(bytes(many, StepRule::block) - bytes(many, StepRule::exact), reals(many * N));  // P g
    EXPECT_EQ(bytes(few, StepRule::block) - bytes(few, StepRule::exact),
              reals(few * N + few * few + data.classes() * few));  // P g, Q, G Q
    const NetworkShape shape{4, data.inputs(), many, data.classes(), N, StepRule::block};
    EXPECT_TRUE(layer_form(shape, 2).W_from_nodes && layer_form(shape, 4).W_from_nodes);
    EXPECT_TRUE(!layer_form(shape, 2).p_from_outputs && layer_form(shape, 4).p_from_outputs);
    EXPECT_FALSE(layer_form(shape, 1).closed);  // first_layer_form says
}

void expect_same_bits_however_queued(const std::vector<RunSpec>& specs) {
    for (const RunSpec& spec : specs) {
        const Trace first = finish_run(spec, 1, 0);
        EXPECT_EQ(first_difference(first, finish_run(spec, 1, 0, false)), "") << spec.name << ", eager";
        for (const Index at_once : {3, 1000})
            EXPECT_EQ(first_difference(first, finish_run(spec, 1, 0, true, at_once)), "")
                << spec.name << ", up to " << at_once << " at once";
    }
}

TEST(SameBits, RecordedOrEagerQueuedOrOneByOne) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    expect_same_bits_however_queued(sample(run_specs(seed), backend->name() == "cpu" ? 1 : 6, seed));
}

TEST(SameBits, RecordedOrEagerQueuedOrOneByOneSlow) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    expect_same_bits_however_queued(run_specs(seed));
}

TEST(SameBits, AnotherSeedGivesOthers) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    RunSpec a = run_specs(seed)[0], b = a;
    ++b.options.seed;
    EXPECT_NE(first_difference(finish_run(a, 1, 0), finish_run(b, 1, 0)), "");
}

TEST(SameBits, ResumedFromEveryEpoch) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const RunSpec& spec : run_specs(seed)) {
        const Trace whole = finish_run(spec, 2, 0);
        for (std::size_t epoch = 1; epoch < whole.epochs.size(); ++epoch)
            EXPECT_EQ(first_difference(whole, resume_run(spec, whole.checkpoints[epoch - 1], whole, epoch)), "")
                << spec.name << ", resumed after epoch " << epoch;
    }
}

TEST(Runs, CoverGrowthSchedulesQuantisationAndBestModels) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    bool grew = false, rho_grew = false, inverse_formed_anew = false, node_space = false, direct = false, best = false;
    for (const RunSpec& spec : run_specs(seed)) {
        const Trace run = finish_run(spec, 1, 0);
        grew = grew || run.epochs.front().layers < run.epochs.back().layers;
        for (std::size_t k = 1; k < run.epochs.size(); ++k) {
            const bool grows =
                run.epochs[k].stage == run.epochs[k - 1].stage && run.epochs[k].rho > run.epochs[k - 1].rho;
            rho_grew = rho_grew || grows;
            inverse_formed_anew =
                inverse_formed_anew || (grows && spec.options.step.rule == StepRule::block && run.node_space);
        }
        (run.node_space ? node_space : direct) = true;
        best = best || run.best_epoch > 0;
    }
    EXPECT_TRUE(grew && rho_grew && inverse_formed_anew && node_space && direct && best)
        << grew << rho_grew << inverse_formed_anew << node_space << direct << best;
}

/// The largest difference of two lists of equal shape, over the largest value. Counts elements above `bound`.
struct Apart {
    double worst = 0;
    std::size_t above = 0;
};
Apart apart(const Array& a, const Array& b, double bound) {
    Apart result;
    const double scale = reference::largest(a);
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double off = std::fabs(a.values[i] - b.values[i]) / scale;
        if (!(off <= result.worst)) result.worst = off;
        if (!(off <= bound)) ++result.above;
    }
    return result;
}

/// Elements of all variables further apart than `bound`; in a double build every one is reported.
std::size_t count_apart(const State& expected, const State& found, double bound, const std::string& where) {
    std::size_t above = 0;
    for (std::size_t l = 1; l < expected.W.size(); ++l)
        for (const auto& [x, y] : {std::pair{&expected.W, &found.W},
                                   {&expected.b, &found.b},
                                   {&expected.p, &found.p},
                                   {&expected.z, &found.z},
                                   {&expected.q, &found.q},
                                   {&expected.u, &found.u}}) {
            const Apart off = apart((*x)[l], (*y)[l], bound);
            above += off.above;
            if (wide) {
                EXPECT_FALSE(!(off.worst <= bound)) << off.worst << ", layer " << l << ", " << where;
            }
        }
    return above;
}

TEST(Backends, AgreeWithTheCpu) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const auto cpu = make_backend("cpu", {1, 0});
    for (const ProblemSpec& spec :
         {ProblemSpec{.classes = 6}, ProblemSpec{.layers = 3, .nodes = 70, .step = {StepRule::backtracking, 0}},
          ProblemSpec{.inputs = 40, .nodes = 9, .first_layer = FirstLayer::node_space}}) {
        RandomProblem a(*cpu, spec, seed), b(*backend, spec, seed);
        for (int k = 0; k < (wide ? 5 : 1); ++k) {
            a.step();
            b.step();
        }
        EXPECT_LE(count_apart(a.state(), b.state(), wide ? 1e-9 : 1e-4, spec.text()), 3u)
            << "one z beside its kink, with its q and u, is all that rounding may flip: " << spec.text();
    }
}

/// Of m x m by a product with itself, and by outputs.
void expect_recorded_inverses(Backend& backend, Index m, std::uint64_t seed) {
    constexpr Index width = 9, layers = 3;
    std::mt19937_64 random(seed);
    std::vector<real> values(static_cast<std::size_t>(m * (m + width) * layers));
    for (real& v : values) v = static_cast<real>(std::normal_distribution<double>(0, 0.1)(random));
    const Buffer<real> made(backend, values), gram(backend, m * m * layers), inverse(backend, layers);
    const Buffer<Controls> k(backend, std::vector<Controls>{{real(0.5), real(0.1), real(0.01), 0, 0}});
    const Buffer<std::int32_t> failed(backend, std::vector<std::int32_t>(layers));
    const Mat A{made.data(), m, m, m, layers, m * m}, F{gram.data(), m, m, m, layers, m * m},
        X{made.data() + m * m * layers, m, width, m, layers, m * width};
    const auto phase = backend.record([&] {
        backend.gemm(Trans::yes, Trans::no, 1, A, A, 0, F);
        backend.invert(Backend::Variable::W, k.data(), F, failed.data());
        backend.push_through(Backend::Variable::p, k.data(), X, X, inverse.data(), failed.data());
    });
    std::vector<std::vector<real>> runs;
    for (int run = 0; run < 3; ++run) {  // eager, recorded, replayed
        backend.upload(values.data(), made.data(), values.size() * sizeof(real));
        phase->run();
        runs.push_back(made.download());
        for (const real v : gram.download()) runs.back().push_back(v);
    }
    EXPECT_TRUE(std::all_of(runs[0].begin(), runs[0].end(), [](real v) { return std::isfinite(v); }));
    EXPECT_EQ(runs[1], runs[0]);
    EXPECT_EQ(runs[2], runs[0]);
    EXPECT_EQ(failed.download(), std::vector<std::int32_t>(layers));
}

TEST(Backends, InversesAreRecorded) {  // the larger ones by libraries that promise nothing
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const Index m : {40, 140}) expect_recorded_inverses(*backend, m, seed);
}

TEST(Backends, MarksAreReachedInTheOrderOfWork) {
    PDADMM_TEST_BACKEND(backend, 1);
    const auto now = [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    };
    constexpr Index n = 64;
    const Buffer<real> a(*backend, n * n), b(*backend, n * n);
    const auto phase = backend->record([&] {
        backend->gemm(Trans::no, Trans::no, 1, {a.data(), n, n, n}, {a.data(), n, n, n}, 0, {b.data(), n, n, n});
    });
    const auto timeline = backend->timeline();
    for (int round = 0; round < 2; ++round) {
        const double before = now();
        for (int run = 0; run < 3; ++run) {  // eager, recorded, replayed
            timeline->mark();
            phase->run();
            timeline->mark();
        }
        const std::vector<double> times = timeline->times();
        ASSERT_EQ(times.size(), 6u);
        constexpr double slack = 1e-5;  // s, of a device's clock
        EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
        EXPECT_GE(times.front(), before - slack);
        EXPECT_LE(times.back(), now() + slack);
        EXPECT_TRUE(timeline->times().empty());
    }
}

enum class Rename { nodes, classes };

/// The state as it must be when node j (or class j) is called order[j].
State renamed(State s, Rename what, const std::vector<Index>& order) {
    const std::size_t L = s.W.size() - 1;
    const auto columns = [&](Array& a) {
        const Array old = a;
        for (Index j = 0; j < a.cols; ++j)
            for (Index i = 0; i < a.rows; ++i) a(i, order[static_cast<std::size_t>(j)]) = old(i, j);
    };
    const auto rows = [&](Array& a) {
        const Array old = a;
        for (Index j = 0; j < a.cols; ++j)
            for (Index i = 0; i < a.rows; ++i) a(order[static_cast<std::size_t>(i)], j) = old(i, j);
    };
    if (what == Rename::nodes) {
        for (std::vector<Array>* all : {&s.p, &s.z, &s.r, &s.q, &s.u})
            for (Array& a : *all)
                if (a.size() > 0) columns(a);
        const std::vector<std::int32_t> old = s.labels;
        for (std::size_t j = 0; j < old.size(); ++j) s.labels[static_cast<std::size_t>(order[j])] = old[j];
    } else {
        for (Array* a : {&s.W[L], &s.b[L], &s.z[L], &s.r[L]}) rows(*a);
        for (std::int32_t& y : s.labels) y = static_cast<std::int32_t>(order[static_cast<std::size_t>(y)]);
    }
    return s;
}

TEST(Metamorphic, RenamedNodesAndClassesRenameTheResult) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    std::mt19937_64 random(seed);
    for (const Rename what : {Rename::nodes, Rename::classes})
        for (const ProblemSpec& spec :
             {ProblemSpec{.classes = 6}, ProblemSpec{.layers = 3, .nodes = 70, .step = {StepRule::backtracking, 0}},
              ProblemSpec{.inputs = 40, .nodes = 9, .first_layer = FirstLayer::direct}}) {
            std::vector<Index> order(static_cast<std::size_t>(what == Rename::nodes ? spec.nodes : spec.classes));
            std::iota(order.begin(), order.end(), 0);
            std::shuffle(order.begin(), order.end(), random);
            RandomProblem a(*backend, spec, seed), b(*backend, spec, seed);
            b.assign(renamed(b.state(), what, order));
            const int iterations =
                wide ? 5 : 1;  // a flip of a z near its kink, one in a million in float, would spread
            for (int k = 0; k < iterations; ++k) {
                a.step();
                b.step();
            }
            const State expected = renamed(a.state(), what, order), found = b.state();
            const std::size_t above = count_apart(expected, found, wide ? 1e-9 : 1e-4, spec.text());
            EXPECT_LE(above, 3u) << "one z beside its kink, with its q and u, is all that rounding may flip: "
                                 << spec.text();
        }
}

}  // namespace
