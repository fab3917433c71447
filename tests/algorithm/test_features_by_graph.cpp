// Products with X by the graph (host/network/features_by_graph.hpp): those with X itself in float64, for every operator
// that is a power, normalisation and order of nodes; where there are none; and trainings that go the same way by the
// graph and by X.
#include <gtest/gtest.h>

#include <cmath>

#include "host/admm/solver.hpp"
#include "host/backpropagation/backpropagation.hpp"
#include "host/network/features_by_graph.hpp"
#include "tests/support/sparse_graph.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

constexpr double rounding = sizeof(real) == 4 ? 1e-6 : 1e-14;  // of a sum, in its terms' absolute values

std::vector<real> drawn(std::mt19937_64& random, Index count) {
    std::vector<real> values(static_cast<std::size_t>(count));
    for (real& value : values) value = static_cast<real>(static_cast<double>(random() >> 11) * 0x1p-52 - 1);
    return values;
}

/// Of C = A B, all column-major and the first two (m, k) and (k, n).
double worst_error(const std::vector<real>& C, const std::vector<real>& A, const std::vector<double>& B, Index m,
                   Index k) {
    double worst = 0;
    for (Index e = 0; e < static_cast<Index>(C.size()); ++e) {
        double sum = 0, terms = 0;
        for (Index l = 0; l < k; ++l) {
            const double term = static_cast<double>(A[static_cast<std::size_t>(l * m + e % m)]) *
                                B[static_cast<std::size_t>(e / m * k + l)];
            sum += term;
            terms += std::fabs(term);
        }
        const double error = std::fabs(static_cast<double>(C[static_cast<std::size_t>(e)]) - sum) / (terms + 1e-30);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

std::vector<double> transposed(std::span<const real> X, Index rows, Index columns) {
    std::vector<double> t(static_cast<std::size_t>(rows * columns));
    for (Index j = 0; j < columns; ++j)
        for (Index i = 0; i < rows; ++i)
            t[static_cast<std::size_t>(i * columns + j)] =
                static_cast<double>(X[static_cast<std::size_t>(j * rows + i)]);
    return t;
}

/// FeatureWeights::by_size as they are defined; 1 for a feature that no node has.
std::vector<double> weights_by_size(const SparseMatrix& H) {
    std::vector<double> squares(static_cast<std::size_t>(H.cols)), weights;
    for (std::size_t e = 0; e < H.values.size(); ++e)
        squares[static_cast<std::size_t>(H.columns[e])] += std::pow(static_cast<double>(H.values[e]), 2);
    double all = 0, over = 0;
    for (const double square : squares) {
        weights.push_back(square > 0 ? std::sqrt(std::sqrt(square)) : 1);
        all += square;
        over += square / weights.back();
    }
    for (double& weight : weights) weight *= over / all;
    return weights;
}

void expect_products_of_X(std::mt19937_64& random, const AugmentOptions& options) {
    const auto backend = make_backend("cpu", {.threads = 2});
    const Dataset graph = sparse_graph(random, 80, 41, 3);
    Split split = split_in_order({33, 20, 9});
    std::shuffle(split.train.begin(), split.train.end(), random);
    std::swap(split.val, split.test);
    const Index N = 33, n0 = augmented_inputs(options, 41);
    AugmentedNodes nodes = augment_split(*backend, graph, split, options);
    nodes.by_graph = graph_products(graph, split, options, nodes.values());
    ASSERT_TRUE(nodes.by_graph);
    const std::vector<double> X(nodes.X.begin(), nodes.X.end());
    const auto matrices = std::make_shared<const GraphMatrices>(*nodes.by_graph);
    const std::vector<double> weight = weights_by_size(nodes.by_graph->H);
    for (const Index n : {1, 5, 100}) {
        FeaturesByGraph by_graph(*backend, matrices, n);
        const std::vector<real> R = drawn(random, n * N);
        by_graph.take({R.data(), n, N, n});
        const std::vector<real> W(by_graph.W().data, by_graph.W().data + n * n0);
        EXPECT_LE(worst_error(W, R, transposed(nodes.values().first(static_cast<std::size_t>(n0 * N)), n0, N), n, N),
                  30 * rounding);
        for (const NodeRange columns : {NodeRange{0, 62}, NodeRange{30, 4}, NodeRange{61, 1}}) {
            std::vector<real> WX(static_cast<std::size_t>(n * columns.count));
            by_graph.multiply(columns, {WX.data(), n, columns.count, n});
            const auto first = X.begin() + columns.first * n0;
            EXPECT_LE(worst_error(WX, W, {first, first + columns.count * n0}, n, n0), 30 * rounding);
        }
        by_graph.take({R.data(), n, N, n}, FeatureWeights::by_size);
        for (Index e = 0; e < n * n0; ++e) {
            const double plain = static_cast<double>(W[static_cast<std::size_t>(e)]),
                         over = plain / weight[static_cast<std::size_t>(e / n % 41)];
            ASSERT_NEAR(static_cast<double>(by_graph.W().data[e]), over, 30 * rounding * (std::fabs(over) + 1));
        }
        const std::vector<real> other = drawn(random, n * n0);
        std::vector<real> WX(static_cast<std::size_t>(n * 62));
        by_graph.put({other.data(), n, n0, n});
        by_graph.multiply({0, 62}, {WX.data(), n, 62, n});
        EXPECT_LE(worst_error(WX, other, X, n, n0), 30 * rounding);
    }
}

TEST(FeaturesByGraph, AreThoseOfX) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (const FeatureNorm norm : {FeatureNorm::none, FeatureNorm::row, FeatureNorm::l2})
        for (const GraphOptions& graph : graph_options())
            for (const int hops : {1, 2, 3, 5}) {
                AugmentOptions options{graph, hops, norm, {}};
                options.operators = parse_operators("--augment", hops > 1 && graph.directed ? "gcn,row" : "gcn");
                SCOPED_TRACE(to_string(options));
                expect_products_of_X(random, options);
            }
}

TEST(FeaturesByGraph, AreNoneWhereTheGraphDoesNotSayX) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    const Split split = split_in_order({2000, 5, 5});
    Dataset graph = sparse_graph(random, 2020, 900, 3);
    AugmentOptions options;
    options.feature_norm = FeatureNorm::l2;
    EXPECT_GT(graph_work(graph, split, options).entries, 0);
    EXPECT_EQ(graph_work(graph, split_in_order({5, 5, 5}), options).entries, 0) << "X of five nodes is less";
    options.operators = parse_operators("--augment", "ppr");
    EXPECT_EQ(graph_work(graph, split, options).entries, 0) << "a sum of powers";
    EXPECT_FALSE(graph_products(graph, split, options, {}));
    options.operators = {AugmentOperator{}};
    graph.features.sparse.values[7] = -1;
    EXPECT_EQ(graph_work(graph, split, options).entries, 0) << "a sum that may vanish";
    options.feature_norm = FeatureNorm::none;
    EXPECT_GT(graph_work(graph, split, options).entries, 0);
    graph.features.dense.resize(static_cast<std::size_t>(2020 * 900));
    EXPECT_EQ(graph_work(graph, split, options).entries, 0);
}

SolverOptions options_of(StepRule rule) {
    SolverOptions o;
    o.stages = {{2, 20, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                {3, 20, 0.02, 0.01, 1e-3, ZInit::carry, LastInit::carry}};
    o.step.rule = rule;
    o.hidden = 11;
    o.eval_every = 5;
    o.refresh_every = 7;
    return o;
}

TEST(FeaturesByGraph, TrainAsXDoes) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {.threads = 2});
    const AugmentedNodes by_graph = nodes_by_graph({210, 70, 30}, 3, seed);
    AugmentedNodes by_X = by_graph;
    by_X.graph_work = {};
    const NodeData data(*backend, by_graph), other(*backend, by_X);
    SolverOptions options = options_of(StepRule::exact);
    options.schedule = {RhoSchedule::Watch::cost, 0.02, 2, 1, 2};  // which looks at training nodes in every iteration
    Solver a(*backend, data, options), b(*backend, other, options);
    ASSERT_TRUE(a.network().plan().first.by_graph);
    ASSERT_TRUE(b.network().node_space() && !b.network().plan().first.by_graph);
    const double bound = sizeof(real) == 4 ? 2e-3 : 1e-10;
    while (!a.finished()) {
        const EpochRecord of_graph = a.step(), of_X = b.step();
        EXPECT_NEAR(of_graph.objective, of_X.objective, bound * of_X.objective) << "iteration " << of_X.epoch;
        EXPECT_EQ(of_graph.rho, of_X.rho) << "iteration " << of_X.epoch;
        for (std::size_t set = 0; of_X.evaluated && set < 3; ++set)
            EXPECT_NEAR(of_graph.evaluation.cost[set], of_X.evaluation.cost[set], bound * of_X.evaluation.cost[set]);
    }
}

SolverOptions adam() {
    SolverOptions o = options_of(StepRule::exact);
    o.optimizer = Optimizer::adam;
    for (Stage& stage : o.stages) stage.learning_rate = 1e-3;
    o.dropout = 0.2;
    return o;
}

TEST(FeaturesByGraph, BackpropagationTrainsAsXDoes) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {.threads = 2});
    const AugmentedNodes by_graph = nodes_by_graph({4100, 70, 30}, 3, seed);  // so many that X is worked on in ranges
    AugmentedNodes by_X = by_graph;
    by_X.graph_work = {};
    const NodeData data(*backend, by_graph), other(*backend, by_X);
    Backpropagation a(*backend, data, adam()), b(*backend, other, adam());
    ASSERT_GT(a.network().shape().graph_entries, 0);
    ASSERT_EQ(b.network().shape().graph_entries, 0);
    const double bound = sizeof(real) == 4 ? 2e-4 : 1e-11;
    double first = 0, last = 0;
    while (!a.finished()) {
        const EpochRecord of_graph = a.step(), of_X = b.step();
        EXPECT_NEAR(of_graph.objective, of_X.objective, bound * of_X.objective) << "epoch " << of_X.epoch;
        for (std::size_t set = 0; of_X.evaluated && set < 3; ++set)
            EXPECT_NEAR(of_graph.evaluation.cost[set], of_X.evaluation.cost[set], bound * of_X.evaluation.cost[set]);
        if (of_X.epoch == 1) first = of_X.objective;
        last = of_X.objective;
    }
    EXPECT_LT(last, 0.98 * first);
}

TEST(FeaturesByGraph, BackpropagationInPartsTakesX) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {});
    const AugmentedNodes nodes = nodes_by_graph({210, 70, 30}, 3, seed);
    const NodeData data(*backend, nodes);
    SolverOptions ranges = adam(), batches = adam(), workers = adam(), blocks = adam();
    ranges.node_ranges = 2;
    batches.micro_batches = 2;
    workers.parallel = Parallel::elastic;
    blocks.node_blocks = 2;
    for (const SolverOptions& parts : {ranges, batches, workers, blocks})
        EXPECT_EQ(stage_shape(parts, data, 0).graph_entries, 0);
    EXPECT_GT(stage_shape(adam(), data, 0).graph_entries, 0);
    EXPECT_LT(gradient_costs(stage_shape(adam(), data, 0))[0], gradient_costs(stage_shape(ranges, data, 0))[0]);
}

/// Mean cross entropy of `model` over the nodes of a set, in float64.
double cost_of(const Model& model, const AugmentedNodes& nodes, Index first, Index count) {
    double sum = 0;
    for (Index node = first; node < first + count; ++node) {
        std::vector<double> a(nodes.values().begin() + node * nodes.inputs,
                              nodes.values().begin() + (node + 1) * nodes.inputs);
        for (std::size_t l = 0; l < model.W.size(); ++l) {
            const Index rows = model.shape.rows(static_cast<int>(l) + 1);
            std::vector<double> next(model.b[l].begin(), model.b[l].end());
            for (std::size_t i = 0; i < next.size(); ++i) {
                for (std::size_t j = 0; j < a.size(); ++j)
                    next[i] += static_cast<double>(model.W[l][j * static_cast<std::size_t>(rows) + i]) * a[j];
                if (l + 1 < model.W.size()) next[i] = std::max(0.0, next[i]);
            }
            a = next;
        }
        double all = 0;
        for (const double logit : a) all += std::exp(logit);
        sum += std::log(all) - a[static_cast<std::size_t>(nodes.labels[static_cast<std::size_t>(node)])];
    }
    return sum / static_cast<double>(count);
}

TEST(FeaturesByGraph, ConjugateGradientsTrainTheNetworkThatIsWritten) {
    PDADMM_SEEDED();
    const auto backend = make_backend("cpu", {.threads = 2});
    const AugmentedNodes nodes = nodes_by_graph({210, 70, 30}, 2, seed);
    const NodeData data(*backend, nodes);
    Solver solver(*backend, data, options_of(StepRule::block));
    ASSERT_TRUE(solver.network().plan().first.by_graph);
    EpochRecord last;
    while (!solver.finished()) last = solver.step();
    const Model model = solver.model();
    const double bound = sizeof(real) == 4 ? 1e-4 : 1e-10;
    Index first = 0;
    for (std::size_t set = 0; set < 3; first += nodes.counts[set++]) {
        const double expected = cost_of(model, nodes, first, nodes.counts[set]);
        EXPECT_NEAR(last.evaluation.cost[set], expected, bound * (1 + expected)) << "set " << set;
    }
    EXPECT_GT(last.evaluation.accuracy[0], 0.9);
}

}  // namespace
