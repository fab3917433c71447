// How many kernels, copies and library calls work takes on a device, counted on the emulated one: on small networks
// each costs about a microsecond, whatever it does. The figures are those of cuda/README.md.
#include <gtest/gtest.h>

#include <emulation/hooks.hpp>

#include "tests/support/random_run.hpp"

using namespace pdadmm;

namespace {

/// Cora's form in small: first layer in node space, hidden layers in one stack, a last layer of another size.
RunSpec small_run(Index iterations) {
    RunSpec spec{"", made_up_nodes(40, 3, {17, 9, 11}, 1), {}};
    spec.options.stages = {{6, static_cast<int>(iterations), 0.1, 0.1, 1e-3, ZInit::forward, LastInit::carry}};
    spec.options.hidden = 12;
    spec.options.eval_every = 1 << 30;
    spec.options.refresh_every = 1 << 30;
    return spec;
}

struct Training {
    explicit Training(bool fused)
        : spec(small_run(1000)),
          backend(make_backend("cuda", options(fused))),
          data(*backend, spec.nodes),
          solver(*backend, data, spec.options) {
        for (int i = 0; i < 3; ++i) solver.advance(2);  // eager, recorded, replayed
    }
    static BackendOptions options(bool fused) {
        BackendOptions o;
        o.fused = fused;
        return o;
    }
    std::uint64_t operations(Index iterations) {
        const std::uint64_t before = emulation::operations();
        EXPECT_EQ(static_cast<Index>(solver.advance(iterations).size()), iterations);
        return emulation::operations() - before;
    }
    RunSpec spec;
    std::unique_ptr<Backend> backend;
    NodeData data;
    Solver solver;
};

TEST(DeviceWork, OfAnIteration) {
    Training training(false);
    ASSERT_TRUE(training.solver.network().node_space());
    const std::uint64_t few = training.operations(1), many = training.operations(11);
    EXPECT_EQ(many - few, 10u * 28);
}

TEST(DeviceWork, OfIterationsInOneKernel) {
    Training training(true);
    EXPECT_EQ(training.operations(11), training.operations(1));
}

// A pass over all nodes but for the first layer and the classification, which are by set: a pass a set would be 47.
TEST(DeviceWork, OfAnEvaluation) {
    Training training(false);
    const auto operations = [&] {
        const std::uint64_t before = emulation::operations();
        training.solver.evaluate();
        return emulation::operations() - before;
    };
    ASSERT_EQ(training.spec.options.stages[0].layers, 6);
    EXPECT_LE(operations(), 30u);  // eager,
    EXPECT_LE(operations(), 30u);  // recorded
    EXPECT_LE(operations(), 30u);  // and replayed
}

}  // namespace
