// Backpropagation against its definition: gradients by central differences of a loss in float64, trajectories of the
// optimizers as PyTorch defines them and as PyTorch itself runs them, dropout, growth, and runs that go on from a
// checkpoint.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "pdadmm/error.hpp"
#include "tests/backpropagation/backpropagation_case.hpp"
#include "tests/backpropagation/reference_network.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using reference::Array;

namespace {

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
            const double first_lr = optimizer == Optimizer::adadelta ? 1 : 0.02;
            SolverOptions options = options_of(optimizer, {stage_of(3, 10, first_lr, decay)}, 0, seed);
            options.momentum = kept_of_step;
            options.rate_schedule = decay > 0 ? RateSchedule::cosine : RateSchedule::constant;
            Backpropagation trainer(*backend, data, options);
            Variables w = values_of(*backend, trainer.network().weights()), first = zeros_like(w), second = first;
            const Array X = training_nodes(nodes);
            for (int t = 1; t <= 10; ++t) {
                double squares = 0;
                for (const Array& a : w) squares += reference::dot(a, a);
                const double of_loss = optimizer == Optimizer::adamw ? 0 : decay / 2;
                const double objective = loss(w, X, nodes.labels, {}) + of_loss * squares,
                             lr = decay > 0 ? first_lr * (1 + std::cos(std::acos(-1.0) * (t - 1) / 10)) / 2 : first_lr;
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

Optimizer optimizer_named(const std::string& name) {
    const std::vector<std::string> names{"gd", "adadelta", "adagrad", "adam", "momentum", "nesterov", "adamw"};
    return methods[static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin())];
}

/// All columns of a matrix, as the worked example lists them: those of a vector are one.
std::vector<double> listed(const nlohmann::json& columns) {
    std::vector<double> all;
    for (const nlohmann::json& column : columns) {
        if (!column.is_array()) return columns.get<std::vector<double>>();
        const auto values = column.get<std::vector<double>>();
        all.insert(all.end(), values.begin(), values.end());
    }
    return all;
}

TEST(Trajectories, AreThoseThatPyTorchTook) {
    PDADMM_TEST_BACKEND(backend, 2);
    std::ifstream file(PDADMM_TORCH_OPTIMIZERS);
    const nlohmann::json example = nlohmann::json::parse(file);
    const auto sizes = example.at("sizes").get<std::vector<Index>>();
    AugmentedNodes nodes{};
    for (const double x : listed(example.at("X"))) nodes.X.push_back(static_cast<real>(x));
    nodes.labels = example.at("labels").get<std::vector<std::int32_t>>();
    nodes.inputs = sizes.front();
    nodes.classes = sizes.back();
    nodes.counts = {static_cast<Index>(nodes.labels.size()), 0, 0};
    const NodeData data(*backend, nodes);
    EXPECT_EQ(example.at("cases").size(), 2 * methods.size());
    for (const nlohmann::json& c : example.at("cases")) {
        const int steps = example.at("steps");
        SolverOptions options =
            options_of(optimizer_named(c.at("optimizer")),
                       {stage_of(static_cast<int>(sizes.size()) - 1, steps, c.at("rate"), c.at("decay"))}, 0, 0);
        options.momentum = example.at("momentum");
        options.rate_schedule = c.at("schedule") == "cosine" ? RateSchedule::cosine : RateSchedule::constant;
        options.hidden = sizes[1];
        Backpropagation trainer(*backend, data, options);
        const auto each_tensor = [&](const nlohmann::json& of, auto&& use) {
            const Parameters& p = trainer.network().weights();
            for (std::size_t l = 0; l < p.W.size(); ++l) {
                use(p.W[l], listed(of.at("W")[l]));
                use(p.b[l], listed(of.at("b")[l]));
            }
        };
        each_tensor(example.at("first"), [&](const Mat& m, const std::vector<double>& values) {
            const std::vector<real> host(values.begin(), values.end());
            backend->upload(host.data(), m.data, host.size() * sizeof(real));
        });
        double last = 0;
        while (!trainer.finished())
            for (const EpochRecord& r : trainer.advance(100)) last = r.risk / static_cast<double>(nodes.counts[0]);
        EXPECT_NEAR(last, c.at("last_loss").get<double>(), exact ? 1e-6 : 1e-3) << c.at("optimizer");
        each_tensor(c, [&](const Mat& m, const std::vector<double>& values) {
            const std::vector<real> found = download(*backend, m);
            ASSERT_EQ(found.size(), values.size());
            for (std::size_t i = 0; i < found.size(); ++i)
                EXPECT_NEAR(found[i], values[i], exact ? 1e-6 : 0.02)
                    << c.at("optimizer") << ", " << c.at("schedule") << ", element " << i;
        });
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
