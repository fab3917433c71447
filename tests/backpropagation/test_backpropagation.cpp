// Backpropagation against its definition: gradients by central differences of a loss in float64, trajectories of the
// four optimizers as PyTorch defines them, dropout, growth, and runs that go on from a checkpoint.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "pdadmm/error.hpp"
#include "tests/backpropagation/backpropagation_case.hpp"
#include "tests/support/reference.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using reference::Array;

namespace {

/// All weights and biases in float64: W of layer l at 2 (l - 1), b beside it.
using Variables = std::vector<Array>;

Variables values_of(Backend& be, const Parameters& p) {
    Variables all;
    for (std::size_t i = 0; i < p.W.size(); ++i)
        for (const Mat& m : {p.W[i], p.b[i]}) all.emplace_back(m.rows, m.cols, download(be, m));
    return all;
}

/// What hidden activations are multiplied by, a matrix a layer; none without dropout.
using Masks = std::vector<Array>;

/// Mean cross entropy of the network, and its layers' outputs.
double loss(const Variables& v, const Array& X, const std::vector<std::int32_t>& labels, const Masks& masks,
            std::vector<Array>* outputs = nullptr) {
    Array a = X;
    for (std::size_t l = 0; l < v.size() / 2; ++l) {
        Array next = reference::multiply(v[2 * l], false, a, false);
        const bool last = 2 * l + 2 == v.size();
        for (Index j = 0; j < next.cols; ++j)
            for (Index i = 0; i < next.rows; ++i) {
                const double sum = next(i, j) + v[2 * l + 1](i, 0);
                next(i, j) = last ? sum : reference::ramp(sum) * (masks.empty() ? 1 : masks[l](i, j));
            }
        if (outputs) outputs->push_back(a);
        a = next;
    }
    double sum = 0;
    for (Index j = 0; j < a.cols; ++j) {
        std::vector<double> z;
        for (Index i = 0; i < a.rows; ++i) z.push_back(a(i, j));
        sum += reference::cross_entropy(z, labels[static_cast<std::size_t>(j)]);
    }
    if (outputs) outputs->push_back(a);
    return sum / static_cast<double>(a.cols);
}

/// Its gradient by the chain rule, for trajectories.
Variables gradient_of(const Variables& v, const Array& X, const std::vector<std::int32_t>& labels) {
    std::vector<Array> outputs;
    loss(v, X, labels, {}, &outputs);
    Array g = outputs.back();
    for (Index j = 0; j < g.cols; ++j) {
        double sum = 0;
        for (Index i = 0; i < g.rows; ++i) sum += std::exp(outputs.back()(i, j));
        for (Index i = 0; i < g.rows; ++i)
            g(i, j) = (std::exp(outputs.back()(i, j)) / sum - (i == labels[static_cast<std::size_t>(j)] ? 1 : 0)) /
                      static_cast<double>(g.cols);
    }
    Variables all = v;
    for (std::size_t l = v.size() / 2; l-- > 0;) {
        all[2 * l] = reference::multiply(g, false, outputs[l], true);
        for (Index i = 0; i < g.rows; ++i) {
            all[2 * l + 1](i, 0) = 0;
            for (Index j = 0; j < g.cols; ++j) all[2 * l + 1](i, 0) += g(i, j);
        }
        if (l == 0) break;
        g = reference::multiply(v[2 * l], true, g, false);
        for (std::size_t i = 0; i < g.size(); ++i) g.values[i] = outputs[l].values[i] > 0 ? g.values[i] : 0;
    }
    return all;
}

/// One step of torch.optim.SGD, Adadelta, Adagrad or Adam with L2 in the gradient.
void torch_step(Optimizer optimizer, double lr, double decay, int t, const Variables& gradient, Variables& w,
                Variables& first, Variables& second) {
    for (std::size_t k = 0; k < w.size(); ++k)
        for (std::size_t i = 0; i < w[k].size(); ++i) {
            double &x = w[k].values[i], &m = first[k].values[i], &v = second[k].values[i];
            const double g = gradient[k].values[i] + decay * x;
            if (optimizer == Optimizer::gd) x -= lr * g;
            if (optimizer == Optimizer::adagrad) {
                m += g * g;
                x -= lr * g / (std::sqrt(m) + 1e-10);
            }
            if (optimizer == Optimizer::adadelta) {
                m = 0.9 * m + 0.1 * g * g;
                const double delta = std::sqrt(v + 1e-6) / std::sqrt(m + 1e-6) * g;
                v = 0.9 * v + 0.1 * delta * delta;
                x -= lr * delta;
            }
            if (optimizer == Optimizer::adam) {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                x -= lr / (1 - std::pow(0.9, t)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.999, t)) + 1e-8);
            }
        }
}

Array training_nodes(const AugmentedNodes& nodes) {
    return {nodes.inputs, nodes.counts[0], {nodes.X.begin(), nodes.X.begin() + nodes.inputs * nodes.counts[0]}};
}

TEST(Gradients, AreCentralDifferencesOfTheLoss) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    struct Shape {
        int layers;
        Index inputs, hidden, classes, nodes;
        double dropout;
    };
    for (const Shape& s :
         {Shape{2, 5, 4, 3, 9, 0}, Shape{3, 17, 8, 2, 31, 0}, Shape{5, 3, 6, 4, 20, 0}, Shape{4, 6, 9, 3, 25, 0.4}}) {
        const AugmentedNodes nodes = made_up_nodes(s.inputs, s.classes, {s.nodes, 0, 0}, seed);
        const NodeData data(*backend, nodes);
        const NetworkShape shape{s.layers, s.inputs, s.hidden, s.classes, s.nodes};
        const GradientNetwork net(*backend, shape, Optimizer::gd);
        std::mt19937_64 random(seed);
        std::normal_distribution<double> normal;
        for (std::size_t i = 0; i < static_cast<std::size_t>(s.layers); ++i)
            for (const Mat& m : {net.weights().W[i], net.weights().b[i]}) {
                std::vector<real> host(static_cast<std::size_t>(m.size()));
                for (real& x : host) x = static_cast<real>(normal(random) / std::sqrt(static_cast<double>(m.cols)));
                backend->upload(host.data(), m.data, host.size() * sizeof(real));
            }
        backend->count_step(net.step());
        backpropagate(*backend, net, {data.X_train(), data.labels(), {s.dropout, seed}});
        Masks masks;
        if (s.dropout > 0)
            for (int layer = 1; layer < s.layers; ++layer) {
                const Mat a = net.activation(layer);
                masks.emplace_back(a.rows, a.cols, download(*backend, a));
                for (double& x : masks.back().values) x = x > 0 ? 1 / (1 - s.dropout) : 0;
            }
        Variables v = values_of(*backend, net.weights());
        const Variables found = values_of(*backend, net.gradient());
        const Array X = training_nodes(nodes);
        LayerFigures figures;
        backend->download(net.figures() + (s.layers - 1), &figures, sizeof figures);
        EXPECT_NEAR(figures.risk, loss(v, X, nodes.labels, masks) * static_cast<double>(s.nodes),
                    (exact ? 1e-11 : 1e-4) * static_cast<double>(s.nodes));
        constexpr double h = 1e-7;
        for (std::size_t k = 0; k < v.size(); ++k)
            for (std::size_t i = 0; i < v[k].size(); ++i) {
                const double kept = v[k].values[i];
                v[k].values[i] = kept + h;
                const double above = loss(v, X, nodes.labels, masks);
                v[k].values[i] = kept - h;
                const double below = loss(v, X, nodes.labels, masks);
                v[k].values[i] = kept;
                EXPECT_NEAR(found[k].values[i], (above - below) / (2 * h), exact ? 1e-7 : 2e-5)
                    << "variable " << k << ", element " << i << ", layers " << s.layers;
            }
    }
}

TEST(Trajectories, AreThoseOfPyTorchsDefinitions) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    const AugmentedNodes nodes = made_up_nodes(11, 3, {37, 5, 5}, seed);
    const NodeData data(*backend, nodes);
    for (const Optimizer optimizer : methods)
        for (const double decay : {0.0, 0.03}) {
            const double lr = optimizer == Optimizer::adadelta ? 1 : 0.02;
            Backpropagation trainer(*backend, data, options_of(optimizer, {stage_of(3, 10, lr, decay)}, 0, seed));
            Variables w = values_of(*backend, trainer.network().weights()), first = w, second = w;
            for (Variables* memory : {&first, &second})
                for (Array& a : *memory) a = Array(a.rows, a.cols);
            const Array X = training_nodes(nodes);
            for (int t = 1; t <= 10; ++t) {
                double squares = 0;
                for (const Array& a : w) squares += reference::dot(a, a);
                const double objective = loss(w, X, nodes.labels, {}) + decay / 2 * squares;
                torch_step(optimizer, lr, decay, t, gradient_of(w, X, nodes.labels), w, first, second);
                const EpochRecord record = trainer.step();
                EXPECT_EQ(record.epoch, t);
                EXPECT_NEAR(record.objective, objective, exact ? 1e-9 : 1e-3);
            }
            const Variables now = values_of(*backend, trainer.network().weights());
            for (std::size_t k = 0; k < w.size(); ++k)
                for (std::size_t i = 0; i < w[k].size(); ++i)
                    EXPECT_NEAR(now[k].values[i], w[k].values[i], exact ? 1e-8 : 0.01)
                        << "optimizer " << static_cast<int>(optimizer) << ", variable " << k << ", element " << i;
            EXPECT_TRUE(trainer.finished());
        }
}

TEST(Dropout, IsNewInEveryStepAndLayerAndTheSameAgain) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    constexpr Index n = 50, N = 400;
    const Buffer<real> b(*backend, std::vector<real>(n, 1)), memory(*backend, n * N);
    const Mat A{memory.data(), n, N, n};
    const auto kept = [&](Index step, std::int32_t layer, std::uint64_t key) {
        const Buffer<Index> at(*backend, std::vector<Index>{step});
        backend->fill(A, 0);
        backend->dropped_activation({b.data(), n, 1, n}, {0.3, key, layer}, at.data(), A);
        return memory.download();
    };
    const auto base = kept(1, 1, seed);
    EXPECT_EQ(base, kept(1, 1, seed));
    for (const auto& other : {kept(2, 1, seed), kept(1, 2, seed), kept(1, 1, seed + 1)}) {
        double both = 0;
        for (std::size_t i = 0; i < base.size(); ++i) both += base[i] > 0 && other[i] > 0 ? 1 : 0;
        const double expected = 0.49 * n * N;  // independent of each other
        EXPECT_NEAR(both, expected, 6 * std::sqrt(expected * 0.51));
    }
}

TEST(Runs, GoOnFromACheckpointBitForBit) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    const NodeData data(*backend, nodes);
    for (const Optimizer optimizer : methods) {
        const SolverOptions options = options_of(
            optimizer,
            {stage_of(2, 3, 0.01, 0.01), stage_of(4, 4, 0.02, 0), stage_of(6, 5, 0.01, 0.02, LastInit::random)}, 0.25,
            seed);
        Backpropagation whole(*backend, data, options), queued(*backend, data, options);
        std::vector<CheckpointData> checkpoints;
        std::vector<double> objectives;
        while (!whole.finished()) {
            objectives.push_back(whole.step().objective);
            checkpoints.push_back(save_state(whole));
        }
        ASSERT_EQ(objectives.size(), 12u);
        std::vector<double> again;
        while (!queued.finished())
            for (const EpochRecord& r : queued.advance(100)) again.push_back(r.objective);
        EXPECT_EQ(again, objectives) << "several epochs a call";
        EXPECT_EQ(bytes_of(queued), bytes_of(whole));
        for (const std::size_t done : {2u, 3u, 10u}) {
            const auto other = open_test_backend(1).backend;
            const NodeData copy(*other, nodes);
            Backpropagation resumed(*other, copy, options);
            load_state(resumed, checkpoints[done - 1]);
            std::vector<double> rest;
            while (!resumed.finished()) rest.push_back(resumed.step().objective);
            EXPECT_EQ(rest,
                      std::vector<double>(objectives.begin() + static_cast<std::ptrdiff_t>(done), objectives.end()))
                << "after epoch " << done;
            EXPECT_EQ(bytes_of(resumed), bytes_of(whole)) << "after epoch " << done;
            ASSERT_TRUE(whole.best() && resumed.best());
            EXPECT_EQ(resumed.best()->epoch, whole.best()->epoch);
            EXPECT_EQ(resumed.best()->model.W, whole.best()->model.W);
        }
    }
}

TEST(Growth, KeepsWhatTheShallowerNetworkComputes) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    const NodeData data(*backend, nodes);
    Backpropagation trainer(*backend, data,
                            options_of(Optimizer::adam, {stage_of(2, 4, 0.01, 0), stage_of(5, 3, 0.01, 0)}, 0, seed));
    double cost = 0;
    for (int epoch = 1; epoch <= 4; ++epoch) cost = trainer.step().evaluation.cost[0];
    const EpochRecord first = trainer.step();  // its risk is that before the step
    EXPECT_EQ(first.layers, 5);
    EXPECT_NEAR(first.objective, cost, 1e-5);
}

TEST(Runs, StopWhereTheLossIsNotFinite) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    const AugmentedNodes nodes = made_up_nodes(9, 3, {40, 25, 10}, seed);
    const NodeData data(*backend, nodes);
    Backpropagation trainer(*backend, data, options_of(Optimizer::gd, {stage_of(4, 50, 1e200, 0)}, 0, seed));
    EXPECT_THROW(
        {
            while (!trainer.finished()) trainer.advance(100);
        },
        DivergedError);
}

}  // namespace
