// How many kernels, copies and library calls work takes on a device, counted on the emulated one: on small networks
// each costs about a microsecond, whatever it does. The figures are those of cuda/README.md.
#include <gtest/gtest.h>

#include <emulation/hooks.hpp>
#include <functional>

#include "host/admm/admm.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/random_run.hpp"

using namespace pdadmm;

namespace {

std::uint64_t operations_of(Backend& backend, const std::function<void()>& work) {
    backend.wait();
    const std::uint64_t before = emulation::operations();
    work();
    backend.wait();
    return emulation::operations() - before;
}

/// Cora's form in small: first layer in node space, hidden layers in one stack, a last layer of another size.
const ProblemSpec small{
    .layers = 6, .inputs = 40, .hidden = 12, .classes = 3, .nodes = 17, .first_layer = FirstLayer::node_space};

TEST(DeviceWork, OfAnIteration) {
    const auto backend = make_backend("cuda", {});
    RandomProblem problem(*backend, small, 1);
    Network& net = problem.network();
    const Rules rules;
    const auto phase = backend->record([&] { iterate(*backend, net.groups(), net.controls(), rules); });
    phase->run();                      // call by call: takes scratch
    for (int run = 0; run < 2; ++run)  // recorded, replayed; training also archives figures
        EXPECT_EQ(operations_of(*backend, [&] { phase->run(); }), 27u);
}

TEST(DeviceWork, OfIterationsInOneKernel) {
    BackendOptions options;
    options.fused = true;
    const auto backend = make_backend("cuda", options);
    RandomProblem problem(*backend, small, 1);
    Network& net = problem.network();
    constexpr Index most = 9;
    const Buffer<LayerFigures> figures(*backend, most * small.layers);
    const Buffer<Controls> controls(*backend, most);
    const auto fused =
        backend->fuse(net.groups(), net.controls(), {}, {figures.data(), controls.data(), nullptr, most, small.layers});
    ASSERT_TRUE(fused);
    for (const int iterations : {1, 9}) EXPECT_EQ(operations_of(*backend, [&] { fused->run(0, iterations); }), 1u);
}

// A pass over all nodes, and a classification of each set.
TEST(DeviceWork, OfAnEvaluation) {
    const auto backend = make_backend("cuda", {});
    RunSpec spec{"", made_up_nodes(40, 3, {17, 9, 11}, 1), {}};
    spec.options.stages = {{6, 10, 0.1, 0.1, 1e-3, ZInit::forward, LastInit::carry}};
    spec.options.hidden = 12;
    const NodeData data(*backend, spec.nodes);
    Solver solver(*backend, data, spec.options);
    solver.advance(1);
    solver.evaluate();
    for (int run = 0; run < 2; ++run)
        EXPECT_LE(operations_of(*backend, [&] { solver.evaluate(); }), 30u) << "a pass a set would be 47";
}

}  // namespace
