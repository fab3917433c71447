// The persistent kernel for small networks against the algorithm on the CPU backend (host/admm/admm.cpp), iteration by
// iteration from the same states, and bit for bit against itself. The device is emulated (tests/emulation): its memory
// is the host's, so both work on networks of the CPU backend.
#include "cuda/small_network.cuh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <emulation/hooks.hpp>

#include "tests/support/random_problem.hpp"
#include "tests/support/sample.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using cuda::SmallNetwork;
using reference::Array;

namespace {

constexpr bool wide = sizeof(real) == 8;
// Of the largest magnitude in a tensor, after one iteration: sums of at most a few hundred products, in another order.
constexpr double bound = wide ? 1e-10 : 2e-5;

std::vector<ProblemSpec> specs() {
    const StepSpec backtracking{StepRule::backtracking, 0}, floored{StepRule::exact, 20};
    return {{},
            {.layers = 2, .inputs = 5, .hidden = 6, .classes = 3, .nodes = 8},
            {.layers = 2, .inputs = 40, .hidden = 9, .nodes = 17, .first_layer = FirstLayer::node_space},
            {.layers = 3, .hidden = 8, .classes = 7, .nodes = 64, .mu = 0, .class_weights = true},
            {.layers = 3,
             .inputs = 30,
             .hidden = 21,
             .classes = 2,
             .nodes = 13,
             .step = backtracking,
             .first_layer = FirstLayer::node_space},
            {.layers = 5, .hidden = 5, .nodes = 5, .step = floored},
            {.layers = 5,
             .hidden = 18,
             .classes = 40,
             .nodes = 41,
             .rho = 0.01,
             .nu = 0.01,
             .mu = 0.02,
             .step = backtracking,
             .most_stacked = 2,
             .scale = 5},
            {.layers = 10,
             .inputs = 33,
             .hidden = 12,
             .nodes = 30,
             .rho = 50,
             .nu = 5,
             .first_layer = FirstLayer::node_space,
             .most_stacked = 3},
            {.layers = 3, .inputs = 12, .hidden = 37, .classes = 5, .nodes = 3, .multi_label = true},
            {.layers = 2, .hidden = 4, .classes = 3, .nodes = 1}};
}

/// A network on the host and its plan for the emulated device.
struct Planned {
    RandomProblem problem;
    cuda::Stream stream;
    std::shared_ptr<cuda::Stall> stall = cuda::page_locked_stall();
    std::optional<SmallNetwork> plan;
    std::vector<LayerFigures> figures;
    std::vector<Controls> controls;

    Planned(Backend& backend, const ProblemSpec& spec, std::uint64_t seed, unsigned polls = SmallNetwork::usual_polls)
        : problem(backend, spec, seed) {
        PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(stream.out(), cudaStreamNonBlocking));
        Network& net = problem.network();
        plan = SmallNetwork::plan(backend, net.groups(), net.controls(), spec.step, stream, stall.get(), polls);
    }
    void run(int iterations) {
        figures.assign(static_cast<std::size_t>(iterations * plan->layers()), LayerFigures{-1, -1, -1, -1, -1, -1});
        controls.assign(static_cast<std::size_t>(iterations), Controls{});
        plan->enqueue(stream, figures.data(), controls.data(), iterations);
        PDADMM_CUDA_CHECK(cudaStreamSynchronize(stream));
    }
};

std::vector<NamedTensor> tensors(Network& net) {
    std::vector<NamedTensor> all;
    for (int layer = 1; layer <= net.shape().layers; ++layer)
        for (NamedTensor& t : net.state(layer)) all.push_back({fmt::format("{}{}", t.name, layer), t.value});
    return all;
}

void copy_state(Network& from, Network& to) {
    Backend& be = to.backend();
    const std::vector<NamedTensor> old = tensors(from), now = tensors(to);
    for (std::size_t i = 0; i < old.size(); ++i) be.copy(old[i].value, now[i].value);
    if (from.node_space()) be.upload(from.node_scalars(), to.node_scalars(), sizeof(NodeSpaceScalars));
}

std::vector<unsigned char> bytes_of(Planned& run) {
    std::vector<unsigned char> all;
    const auto add = [&](const void* from, std::size_t count) {
        const auto* bytes = static_cast<const unsigned char*>(from);
        all.insert(all.end(), bytes, bytes + count);
    };
    Network& net = run.problem.network();
    for (const NamedTensor& t : tensors(net))
        add(t.value.data, static_cast<std::size_t>(t.value.size()) * sizeof(real));
    if (net.node_space()) add(net.node_scalars(), sizeof(NodeSpaceScalars));
    return all;
}

/// Elements of z whose two candidates are equally good but for rounding: which one is taken says nothing.
std::vector<bool> ties(const State& before, const State& after, std::size_t layer) {
    const Array &q = before.q[layer], &z = before.z[layer];
    std::vector<bool> tied(z.size(), false);
    for (std::size_t i = 0; i < z.size(); ++i) {
        const double a = after.z[layer].values[i] + after.r[layer].values[i];
        const double neg = std::fmin((a + z.values[i]) / 2, 0), pos = std::fmax((a + q.values[i] + z.values[i]) / 3, 0);
        const double at_neg = reference::hidden_objective(neg, a, q.values[i], z.values[i]),
                     at_pos = reference::hidden_objective(pos, a, q.values[i], z.values[i]);
        tied[i] = std::fabs(at_neg - at_pos) <= bound * (1 + at_neg);
    }
    return tied;
}

void expect_close(const Array& value, const Array& expected, const std::vector<bool>* excused, const std::string& where,
                  double& worst) {
    const double scale = std::fmax(reference::largest(expected), 1e-3);
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (excused && (*excused)[i]) continue;
        const double off = std::fabs(value.values[i] - expected.values[i]);
        worst = std::fmax(worst, off / scale);
        ASSERT_FALSE(!(off <= bound * scale))
            << where << ", element " << i << ": " << value.values[i] << ", expected " << expected.values[i];
    }
}

void expect_close(const State& now, const State& expected, const State& before,
                  const std::vector<LayerFigures>& figures, const std::string& where, double& worst) {
    const int L = expected.layers();
    for (int layer = 1; layer <= L; ++layer) {
        const auto l = static_cast<std::size_t>(layer);
        const std::string at = fmt::format("{}, layer {} ", where, layer);
        expect_close(now.W[l], expected.W[l], nullptr, at + "W", worst);
        expect_close(now.b[l], expected.b[l], nullptr, at + "b", worst);
        expect_close(now.p[l], expected.p[l], nullptr, at + "p", worst);
        std::vector<bool> tied;
        if (layer < L) tied = ties(before, expected, l);
        const std::vector<bool>* excused = layer < L ? &tied : nullptr;
        expect_close(now.z[l], expected.z[l], excused, at + "z", worst);
        expect_close(now.r[l], expected.r[l], excused, at + "r", worst);
        if (layer < L) {
            expect_close(now.q[l], expected.q[l], excused, at + "q", worst);
            expect_close(now.u[l], expected.u[l], excused, at + "u", worst);
        }
        if (std::any_of(tied.begin(), tied.end(), [](bool t) { return t; })) continue;
        const LayerFigures &f = figures[l - 1], &e = expected.figures[l - 1];
        const auto expect_figure = [&](const char* name, double value, double wanted, double scale) {
            ASSERT_FALSE(!(std::fabs(value - wanted) <= 10 * bound * scale))
                << at << name << ": " << value << ", expected " << wanted;
        };
        const double all =
            e.linear_sq + e.activation_sq + e.primal_sq + e.weight_sq + std::fabs(e.risk) + std::fabs(e.coupling);
        expect_figure("linear_sq", f.linear_sq, e.linear_sq, e.linear_sq);
        expect_figure("activation_sq", f.activation_sq, e.activation_sq, all);
        expect_figure("coupling", f.coupling, e.coupling, all);
        expect_figure("primal_sq", f.primal_sq, e.primal_sq, all);
        expect_figure("weight_sq", f.weight_sq, e.weight_sq, e.weight_sq);
        expect_figure("risk", f.risk, e.risk, e.risk);
    }
    if (expected.node_space) {
        expect_close(now.V, expected.V, nullptr, where + ", V", worst);
        ASSERT_NEAR(now.weight_sq, expected.weight_sq, 10 * bound * expected.weight_sq) << where;
    }
}

TEST(SmallNetwork, OneIterationIsThatOfTheCpuBackend) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {1, 0});
    double worst = 0;
    for (const ProblemSpec& spec : specs()) {
        Planned device(*backend, spec, seed);
        ASSERT_TRUE(device.plan) << spec.text();
        RandomProblem host(*backend, spec, seed);
        for (int iteration = 1; iteration <= 4; ++iteration) {
            const State before = device.problem.state();
            copy_state(device.problem.network(), host.network());
            host.step();
            device.run(1);
            expect_close(device.problem.state(), host.state(), before, device.figures,
                         fmt::format("{}, iteration {}", spec.text(), iteration), worst);
            if (HasFatalFailure()) return;
        }
    }
    std::printf("largest difference %.2g of a tensor's largest element, bound %.0e\n", worst, bound);
}

TEST(SmallNetwork, OneIterationAtTheSizesItIsFor) {
    if (wide) GTEST_SKIP() << "in double precision W and G leave no room for the nodes";
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {1, 0});
    const ProblemSpec cora{
        .layers = 10, .inputs = 300, .hidden = 100, .classes = 7, .nodes = 140, .first_layer = FirstLayer::node_space};
    const ProblemSpec largest{
        .layers = 3, .inputs = 300, .hidden = 128, .classes = 40, .nodes = 256, .first_layer = FirstLayer::node_space};
    const ProblemSpec direct{.layers = 3, .inputs = 120, .hidden = 100, .classes = 3, .nodes = 200};
    for (const ProblemSpec& spec : {cora, largest, direct}) {
        double worst = 0;
        Planned device(*backend, spec, seed);
        ASSERT_TRUE(device.plan) << spec.text();
        EXPECT_EQ(device.plan->cluster(), 8);
        RandomProblem host(*backend, spec, seed);
        const State before = device.problem.state();
        host.step();
        device.run(1);
        expect_close(device.problem.state(), host.state(), before, device.figures, spec.text(), worst);
        if (HasFatalFailure()) return;
        std::printf("n %lld, N %lld: %zu bytes of shared memory a block; largest difference %.2g\n",
                    static_cast<long long>(spec.hidden), static_cast<long long>(spec.nodes),
                    device.plan->shared_bytes(), worst);
    }
}

TEST(SmallNetwork, ManyIterationsAreThoseOfTheCpuBackend) {
    if (!wide)
        GTEST_SKIP()
            << "in single precision a tie in the z update may go either way: OneIteration and LaunchesGoOn cover it";
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {1, 0});
    double worst = 0;
    for (const ProblemSpec& spec : specs()) {
        Planned device(*backend, spec, seed);
        ASSERT_TRUE(device.plan) << spec.text();
        RandomProblem host(*backend, spec, seed);
        const State before = host.state();
        for (int iteration = 0; iteration < 6; ++iteration) host.step();
        device.run(6);
        const auto last = device.figures.end() - spec.layers;
        expect_close(device.problem.state(), host.state(), before, {last, device.figures.end()}, spec.text(), worst);
        if (HasFatalFailure()) return;
    }
    std::printf("largest difference %.2g of a tensor's largest element, bound %.0e\n", worst, bound);
}

void expect_launches_go_on(const std::vector<ProblemSpec>& specs, std::uint64_t seed) {
    const auto backend = make_backend("cpu", {1, 0});
    for (const ProblemSpec& spec : specs) {
        Planned whole(*backend, spec, seed), again(*backend, spec, seed), parts(*backend, spec, seed);
        ASSERT_TRUE(whole.plan && again.plan && parts.plan) << spec.text();
        whole.run(5);
        again.run(5);
        std::vector<LayerFigures> figures;
        for (int iterations : {2, 1, 2}) {
            parts.run(iterations);
            figures.insert(figures.end(), parts.figures.begin(), parts.figures.end());
        }
        const auto same = [](const std::vector<LayerFigures>& a, const std::vector<LayerFigures>& b) {
            return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(LayerFigures)) == 0;
        };
        EXPECT_TRUE(bytes_of(whole) == bytes_of(again) && same(whole.figures, again.figures))
            << "twice: " << spec.text();
        EXPECT_TRUE(bytes_of(whole) == bytes_of(parts) && same(whole.figures, figures)) << "in parts: " << spec.text();
    }
}

TEST(SmallNetwork, LaunchesGoOnFromEachOtherBitForBit) {
    PDADMM_SEEDED();
    expect_launches_go_on(sample(specs(), 5, seed), seed);
}

TEST(SmallNetwork, LaunchesGoOnFromEachOtherBitForBitSlow) {
    PDADMM_SEEDED();
    expect_launches_go_on(specs(), seed);
}

TEST(SmallNetwork, ReplayedGraphIsThatOfLaunches) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {1, 0});
    Planned eager(*backend, {}, seed), replayed(*backend, {}, seed);
    ASSERT_TRUE(eager.plan && replayed.plan);
    replayed.figures.resize(static_cast<std::size_t>(2 * replayed.plan->layers()));
    cuda::Graph graph;
    cuda::GraphExec recorded;
    PDADMM_CUDA_CHECK(cudaStreamBeginCapture(replayed.stream, cudaStreamCaptureModeThreadLocal));
    replayed.controls.resize(2);
    replayed.plan->enqueue(replayed.stream, replayed.figures.data(), replayed.controls.data(), 2);
    PDADMM_CUDA_CHECK(cudaStreamEndCapture(replayed.stream, graph.out()));
    PDADMM_CUDA_CHECK(cudaGraphInstantiate(recorded.out(), graph, 0));
    for (int launch = 0; launch < 3; ++launch) {
        eager.run(2);
        PDADMM_CUDA_CHECK(cudaGraphLaunch(recorded, replayed.stream));
    }
    PDADMM_CUDA_CHECK(cudaStreamSynchronize(replayed.stream));
    EXPECT_TRUE(bytes_of(eager) == bytes_of(replayed));
    EXPECT_EQ(std::memcmp(eager.figures.data(), replayed.figures.data(), eager.figures.size() * sizeof(LayerFigures)),
              0);
}

TEST(SmallNetwork, NonFiniteStateIsReported) {
    const auto backend = make_backend("cpu", {1, 0});
    for (FirstLayer first : {FirstLayer::direct, FirstLayer::node_space}) {
        Planned device(*backend, {.layers = 3, .first_layer = first}, 1);
        ASSERT_TRUE(device.plan);
        device.problem.network().b(2).data[0] = NAN;
        device.run(1);
        EXPECT_TRUE(std::isnan(device.figures[1].linear_sq));
    }
}

TEST(SmallNetwork, RefusesWhatDoesNotFit) {
    const auto backend = make_backend("cpu", {1, 0});
    EXPECT_FALSE(Planned(*backend, {.layers = 3, .hidden = 400, .nodes = 20}, 1).plan);   // W in shared memory
    EXPECT_FALSE(Planned(*backend, {.layers = 3, .inputs = 3000, .nodes = 20}, 1).plan);  // W1, direct
    EXPECT_TRUE(
        Planned(*backend, {.layers = 3, .inputs = 3000, .nodes = 20, .first_layer = FirstLayer::node_space}, 1).plan);
    EXPECT_FALSE(
        Planned(*backend, {.layers = 700, .hidden = 4, .nodes = 20}, 1).plan);  // more blocks than there is room for
    const auto deep = Planned(*backend, {.layers = 300, .hidden = 4, .nodes = 20}, 1);
    ASSERT_TRUE(deep.plan);
    EXPECT_LT(deep.plan->cluster(), 8);
}

TEST(SmallNetwork, APlanIsTriedAndLeavesTheStateAsItWas) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {1, 0});
    const ProblemSpec spec{.inputs = 40, .nodes = 17, .first_layer = FirstLayer::node_space};
    RandomProblem untouched(*backend, spec, seed);
    Planned device(*backend, spec, seed);
    ASSERT_TRUE(device.plan);
    const std::vector<NamedTensor> now = tensors(device.problem.network()), before = tensors(untouched.network());
    for (std::size_t i = 0; i < now.size(); ++i)
        EXPECT_EQ(std::memcmp(now[i].value.data, before[i].value.data,
                              static_cast<std::size_t>(now[i].value.size()) * sizeof(real)),
                  0)
            << now[i].name;
    device.run(3);
    for (const Controls& k : device.controls) EXPECT_EQ(k.rho, device.problem.network().controls()->rho);

    emulation::refuse("cooperative launch", 2);  // though the device said that it holds them
    Planned smaller(*backend, spec, seed);
    ASSERT_TRUE(smaller.plan);
    EXPECT_EQ(smaller.plan->cluster(), device.plan->cluster() - 2);
    emulation::refuse("cooperative launch", 100);
    EXPECT_FALSE(Planned(*backend, spec, seed).plan);
    emulation::clear_errors();
}

TEST(SmallNetwork, AWaitInVainEndsWithWords) {
    const auto backend = make_backend("cpu", {1, 0});
    Planned device(*backend, {.layers = 4}, 1, 200);
    ASSERT_TRUE(device.plan);
    const int cluster = device.plan->cluster(), counters = 2 * cluster;
    for (const int counter : {counters + 1, counters + cluster + 1})  // layer 2, block 1: as if 5 iterations ahead
        device.plan->flags()[counter] += 5;
    device.figures.resize(4);
    device.controls.resize(1);
    device.plan->enqueue(device.stream, device.figures.data(), device.controls.data(), 1);
    EXPECT_NE(cudaStreamSynchronize(device.stream), cudaSuccess);
    EXPECT_TRUE(device.stall->happened());
    EXPECT_THAT(cuda::words_of(*device.stall),  // those behind it wait too, and any may be the first to give up
                testing::ContainsRegex("block [0-7] of layer [1-4] has waited for [pq] of layer [1-4] in vain"));
    emulation::clear_errors();
    EXPECT_FALSE(emulation::take_faults().empty());
}

}  // namespace
