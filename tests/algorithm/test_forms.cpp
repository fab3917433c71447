// Forms of an iteration that differ by rounding alone: q rebuilt in place of kept, and many iterations in one kernel
// where the backend has one; where the first layer lies; and draws, which are the same however many are made at once.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "host/network/layer_form.hpp"
#include "host/network/network.hpp"
#include "host/network/weights.hpp"
#include "host/train/evaluation.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

constexpr bool wide = sizeof(real) == 8;

void expect_same_course(const Trace& a, const Trace& b) {
    ASSERT_EQ(a.epochs.size(), b.epochs.size());
    for (std::size_t k = 0; k < a.epochs.size(); ++k)
        EXPECT_NEAR(b.epochs[k].objective, a.epochs[k].objective, (wide ? 1e-10 : 1e-3) * a.epochs[k].objective)
            << "epoch " << k + 1;
}

/// Unquantised, with constant penalties: q kept or rebuilt.
RunSpec plain_spec(std::uint64_t seed, bool rebuild_q) {
    for (RunSpec& spec : run_specs(seed))
        if (spec.options.rebuild_q) {
            spec.options.rebuild_q = rebuild_q;
            return spec;
        }
    throw std::logic_error("no such run");
}

/// Under block, of a network of 100 neurons.
FirstLayerForm block_form(Index inputs, Index nodes) {
    return first_layer_form({3, inputs, 100, 8, nodes, StepRule::block});
}

TEST(FirstLayer, LiesWhereAStageIsLessWork) {
    for (const auto& [inputs, nodes, node_space] : {std::tuple{3725, 4590, true},
                                                    {3725, 6100, false},
                                                    {3835, 8251, false},
                                                    {2500, 11830, false},
                                                    {40, 90, true}}) {
        const FirstLayerForm form = block_form(inputs, nodes);
        EXPECT_TRUE(form.closed);
        EXPECT_EQ(form.node_space, node_space) << inputs << " inputs, " << nodes << " nodes";
        EXPECT_EQ(form.factor, node_space ? nodes : inputs);
    }
    // Too many nodes to be factorised, though their iteration would be less work.
    EXPECT_FALSE(block_form(12000, 13000).node_space);
    EXPECT_TRUE(block_form(12000, 13000).closed);
    EXPECT_GT(block_form(20000, 13000).conjugate_steps, 0);
}

TEST(FusedIterations, FollowTheOrdinaryOnes) {  // where the backend has them
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const RunSpec spec = plain_spec(seed, false);
    const Trace ordinary = finish_run(spec, 1, 0), fused = finish_run(spec, 1, 0, true, 1000, true);
    expect_same_course(ordinary, fused);
    EXPECT_EQ(first_difference(fused, finish_run(spec, 1, 0, true, 1000, true)), "");
    if (backend->name() == "cuda" && !wide) {
        EXPECT_NE(first_difference(ordinary, fused), "") << "the persistent kernel did not run";
    }
}

TEST(FusedIterations, AreNotThoseOfClosedFormsNorOfDecayToTheIdentity) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const auto& [rule, decay] :
         {std::pair{StepRule::block, DecayTo::zero}, {StepRule::exact, DecayTo::identity}}) {
        RunSpec spec = plain_spec(seed, false);
        spec.options.step.rule = rule;
        spec.options.decay_to = decay;
        EXPECT_EQ(first_difference(finish_run(spec, 1, 0), finish_run(spec, 1, 0, true, 1000, true)), "");
    }
}

TEST(RebuiltQ, FollowsTheKeptOne) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Trace a = finish_run(plain_spec(seed, false), 1, 0), b = finish_run(plain_spec(seed, true), 1, 0);
    expect_same_course(a, b);
    EXPECT_LT(b.states.back().size(), a.states.back().size()) << "q is not kept";
}

using State = std::map<std::string, std::vector<real>>;

/// The last objective and all tensors after `iterations` of one stage.
std::pair<double, State> iterated(const RunSpec& spec, Index iterations, bool fused) {
    const auto backend = open_test_backend(1, true, fused).backend;
    const NodeData data(*backend, spec.nodes);
    SolverOptions options = spec.options;
    options.stages[0].epochs = iterations;
    Solver solver(*backend, data, options);
    double objective = NAN;
    while (!solver.finished()) objective = solver.advance(iterations).back().objective;
    Network& net = solver.network();
    EXPECT_TRUE(net.node_space());
    State state;
    for (int layer = 1; layer <= net.shape().layers; ++layer)
        for (const NamedTensor& t : net.state(layer))
            state[fmt::format("{} of layer {}", t.name, layer)] = download(*backend, t.value);
    return {objective, state};
}

double distance(const std::vector<real>& a, const std::vector<real>& b) {
    double off = 0, all = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        off += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
        all += std::pow(static_cast<double>(a[i]), 2);
    }
    return std::sqrt(off / std::max(all, 1e-12));
}

/// Iterations in node space, with nodes that cannot be cut evenly over 8 blocks. r is a difference of larger numbers:
/// more of it is rounding.
void expect_the_ordinary_state(int layers, Index hidden, Index nodes, int iterations) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    RunSpec spec{"", made_up_nodes(2 * nodes + 5, 7, {nodes, 0, 0}, seed), {}};
    spec.options.stages = {{layers, iterations, 0.01, 0.01, 1e-3, ZInit::forward, LastInit::carry}};
    spec.options.hidden = hidden;
    spec.options.seed = seed;
    const auto [objective, ordinary] = iterated(spec, iterations, false);
    const auto [objective_of_kernel, fused] = iterated(spec, iterations, true);
    EXPECT_NEAR(objective_of_kernel, objective, 1e-3 * objective);
    for (const auto& [name, values] : ordinary)
        EXPECT_LE(distance(values, fused.at(name)), wide ? 1e-9 : name[0] == 'r' ? 1e-2 : 1e-3) << name;
    EXPECT_EQ(fused, iterated(spec, iterations, true).second) << "the same bits twice";
    if (backend->name() == "cuda" && !wide) {
        EXPECT_NE(fused, ordinary) << "the persistent kernel did not run";
    }
}

TEST(FusedIterations, InNodeSpaceOnPartsOfUnequalSize) { expect_the_ordinary_state(4, 21, 29, 6); }

TEST(FusedIterations, OfTheSizeOfCoraSlow) { expect_the_ordinary_state(10, 100, 140, 25); }

// Eager, recorded and replayed, and after growth of another network: what the model says of every node.
TEST(Evaluation, IsThatOfTheModelOverEachSet) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const auto cpu = make_backend("cpu", {1, 0});
    RunSpec spec{"", made_up_nodes(6, 3, {40, 23, 31}, seed), {}};
    spec.options.stages = {{2, 3, 0.1, 0.1, 1e-3, ZInit::forward, LastInit::carry},
                           {4, 3, 0.1, 0.1, 1e-3, ZInit::carry, LastInit::carry}};
    spec.options.hidden = 11;
    const NodeData data(*backend, spec.nodes);
    Solver solver(*backend, data, spec.options);
    while (!solver.finished()) {
        solver.advance(1);
        const Evaluation found = solver.evaluate();
        const Model model = solver.model();
        const std::vector<real> logits = ForwardPass(*cpu, model, model.shape.layers)(spec.nodes.X);
        Index node = 0;
        for (std::size_t set = 0; set < 3; ++set) {
            double correct = 0, cost = 0;
            for (const Index end = node + spec.nodes.counts[set]; node < end; ++node) {
                const real* z = logits.data() + 3 * node;
                const std::int32_t y = spec.nodes.labels[static_cast<std::size_t>(node)];
                const double top = static_cast<double>(*std::max_element(z, z + 3));
                double sum = 0;
                for (int i = 0; i < 3; ++i) sum += std::exp(static_cast<double>(z[i]) - top);
                cost += top + std::log(sum) - static_cast<double>(z[y]);
                correct += std::max_element(z, z + 3) - z == y ? 1 : 0;
            }
            const auto count = static_cast<double>(spec.nodes.counts[set]);
            EXPECT_NEAR(found.accuracy[set], correct / count, 1e-12) << "set " << set;
            EXPECT_NEAR(found.cost[set], cost / count, 1e-4 * (1 + cost / count)) << "set " << set;
        }
    }
}

TEST(Draws, AreTheSameHoweverManyAreMade) {
    const Index many = (Index{1} << 22) + 12345, few = 1001;  // beyond one block, by threads, and an odd number
    const std::vector<real> all = normal_draws(5, 6, many, 0.1), first = normal_draws(5, 6, few, 0.1);
    EXPECT_EQ(first, std::vector<real>(all.begin(), all.begin() + few));
    const std::vector<real> most = normal_draws(5, 6, many - 2000, 0.1);
    EXPECT_EQ(most, std::vector<real>(all.begin(), all.end() - 2000));
    double sum = 0;
    for (const real v : all) sum += static_cast<double>(v) * static_cast<double>(v);
    EXPECT_NEAR(std::sqrt(sum / static_cast<double>(many)), 0.1, 1e-3);
}

}  // namespace
