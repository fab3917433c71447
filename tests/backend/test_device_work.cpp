// How many kernels, copies and library calls work takes on a device, counted on the emulated one: on small networks
// each costs about a microsecond, whatever it does. The figures are those of cuda/README.md.
#include <gtest/gtest.h>

#include <emulation/hooks.hpp>
#include <functional>

#include "host/admm/admm.hpp"
#include "pdadmm/cuda.hpp"
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
    const auto phase = backend->record([&] { iterate(*backend, net.groups(), net.controls(), problem.rules()); });
    phase->run();                      // call by call: takes scratch
    for (int run = 0; run < 2; ++run)  // recorded, replayed; training also archives figures
        EXPECT_EQ(operations_of(*backend, [&] { phase->run(); }), 27u);
    EXPECT_EQ(emulation::longest_path(), 11u);
}

void expect_iteration(const ProblemSpec& spec, std::uint64_t operations) {
    const auto backend = make_backend("cuda", {});
    RandomProblem problem(*backend, spec, 1);
    Network& net = problem.network();
    const auto phase = backend->record([&] { iterate(*backend, net.groups(), net.controls(), problem.rules()); });
    phase->run();
    for (int run = 0; run < 2; ++run) EXPECT_EQ(operations_of(*backend, [&] { phase->run(); }), operations);
}

// p by its width, move and check, q by the wanted change and the decoded one.
TEST(DeviceWork, OfAnIterationByCodedDifferences) {
    for (const ChangeScale scale : {ChangeScale::max, ChangeScale::rms}) {
        ProblemSpec spec = small;
        spec.p = spec.q = Codec::difference;
        spec.change_scale = scale;
        expect_iteration(spec, 37);
    }
}

// An inverse is one kernel.
TEST(DeviceWork, OfAnIterationByClosedForms) {
    ProblemSpec spec = small;
    spec.step.rule = StepRule::block;
    expect_iteration(spec, 54);
}

// Parts of some layers at a time, so that scratch does not grow with the stack.
TEST(DeviceWork, OfSumsOverManyNodes) {
    const auto backend = make_backend("cuda", {});
    constexpr Index n = 520, N = 4096, layers = 8;
    const Buffer<real> nodes(*backend, n * N * layers), sums(*backend, n * n * layers);
    const Mat x{nodes.data(), n, N, n, layers, n * N};
    for (Index l = 0; l < layers; ++l) backend->fill(x.layer(l), static_cast<real>(l + 1) / 8);
    backend->wait();
    const std::size_t before = emulation::used_memory();
    backend->node_product(x, x, {sums.data(), n, n, n, layers, n * n}, Precision::working);
    EXPECT_LE(emulation::used_memory() - before, std::size_t{124} << 20) << "all at once: 132 MiB";
    const std::vector<real> found = sums.download();
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double x_of_layer = static_cast<double>(i / (n * n) + 1) / 8;
        ASSERT_EQ(static_cast<double>(found[i]), x_of_layer * x_of_layer * N) << i;
    }
}

// A pass an operand, where rounding pays; split, that pass leaves two, for three products.
TEST(DeviceWork, OfAProductInBf16) {
    struct Case {
        Math math;
        Index least;
        Precision precision;
        std::uint64_t operations;
    };
    for (const Case& c :
         {Case{Math::bf16, 1, Precision::working, 6}, Case{Math::bf16, 1, Precision::split, 10},
          Case{Math::tf32, 1, Precision::split, 10}, Case{Math::tf32, 1, Precision::working, 1},
          Case{Math::fp32, 1, Precision::split, 1}, Case{Math::bf16, usual_narrow_side, Precision::working, 1},
          Case{Math::bf16, usual_narrow_side, Precision::split, 1}}) {
        BackendOptions options;
        options.math = c.math;
        const auto backend = make_cuda_backend(options, c.least);
        const Buffer<real> memory(*backend, 6 * 64);
        const auto of = [&](Index at) { return Mat{memory.data() + at * 128, 8, 8, 8, 2, 64}; };
        const auto work = [&] { backend->gemm(Trans::no, Trans::no, 1, of(0), of(1), 0, of(2), c.precision); };
        work();
        EXPECT_EQ(operations_of(*backend, work), c.operations);
    }
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
