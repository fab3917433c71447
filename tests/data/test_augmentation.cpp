// The propagation operator and X against plain loops in float64, on the CPU and on what PDADMM_TEST_BACKEND names;
// slabs of any width, as memory allows, give the same bits.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/data/augmentation.hpp"
#include "host/data/sbm.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/forwarding_backend.hpp"
#include "tests/support/random_graph.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Dense = std::vector<std::vector<double>>;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
Dense zeros(Index rows, Index cols) { return Dense(at(rows), std::vector<double>(at(cols), 0)); }

struct DenseOperator {
    Dense values, present;  // an entry of weight 0 is one too
};

DenseOperator dense_operator(const Csr& stored, const GraphOptions& options) {
    const Index n = stored.rows;
    DenseOperator a{zeros(n, n), zeros(n, n)};
    const auto put = [&](Index i, Index j, double weight) {
        a.values[at(i)][at(j)] = std::max(a.values[at(i)][at(j)], weight);
        a.present[at(i)][at(j)] = 1;
    };
    for (Index i = 0; i < n; ++i)
        for (Index e = stored.offsets[at(i)]; e < stored.offsets[at(i + 1)]; ++e) {
            put(i, stored.columns[at(e)], static_cast<double>(stored.values[at(e)]));
            if (!options.directed) put(stored.columns[at(e)], i, static_cast<double>(stored.values[at(e)]));
        }
    for (Index i = 0; i < n && options.self_loops != SelfLoops::keep; ++i)
        a.values[at(i)][at(i)] = a.present[at(i)][at(i)] = options.self_loops == SelfLoops::add ? 1 : 0;
    std::vector<double> degree(at(n));
    for (Index i = 0; i < n; ++i) degree[at(i)] = std::accumulate(a.values[at(i)].begin(), a.values[at(i)].end(), 0.0);
    for (Index i = 0; i < n && options.norm != Norm::none; ++i)
        for (Index j = 0; j < n; ++j) {
            const double divisor = options.norm == Norm::row ? degree[at(i)] : std::sqrt(degree[at(i)] * degree[at(j)]);
            a.values[at(i)][at(j)] = divisor > 0 ? a.values[at(i)][at(j)] / divisor : 0;
        }
    return a;
}

TEST(PropagationOperator, AgreesWithDenseLoops) {
    PDADMM_TEST_BACKEND(backend, 2);
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (const Csr& stored : random_adjacencies(random))
        for (const GraphOptions& options : graph_options()) {
            SCOPED_TRACE(fmt::format("{} nodes, {} entries, norm {}, loops {}, directed {}", stored.rows, stored.nnz(),
                                     static_cast<int>(options.norm), static_cast<int>(options.self_loops),
                                     options.directed));
            const PropagationOperator a = backend->propagation_operator(stored, options);
            const auto offsets = a.offsets.download();
            const auto columns = a.columns.download();
            const auto values = a.values.download();
            const DenseOperator expected = dense_operator(stored, options);
            ASSERT_EQ(static_cast<Index>(offsets.size()), stored.rows + 1);
            EXPECT_EQ(offsets[0], 0);
            for (Index i = 0; i < stored.rows; ++i) {
                std::vector<std::int32_t> places;
                for (Index j = 0; j < stored.rows; ++j)
                    if (expected.present[at(i)][at(j)] != 0) places.push_back(static_cast<std::int32_t>(j));
                const std::vector<std::int32_t> row(columns.begin() + offsets[at(i)],
                                                    columns.begin() + offsets[at(i + 1)]);
                ASSERT_EQ(row, places) << "row " << i;
                for (Index e = offsets[at(i)]; e < offsets[at(i + 1)]; ++e)
                    ASSERT_NEAR(static_cast<double>(values[at(e)]), expected.values[at(i)][at(columns[at(e)])],
                                1e-6 * expected.values[at(i)][at(columns[at(e)])])
                        << "entry " << i << ", " << columns[at(e)];
            }
        }
}

TEST(PropagationOperator, HasTheBitsOfTheCpu) {
    PDADMM_TEST_BACKEND(backend, 2);
    PDADMM_SEEDED();
    const auto cpu = make_backend("cpu", {1, 0});
    std::mt19937_64 random(seed);
    std::vector<Csr> graphs = random_adjacencies(random);
    graphs.push_back(random_adjacency(random, 20000, 1000, 200000, true));  // more than one tile of a device's sort
    for (const Csr& stored : graphs)
        for (const GraphOptions& options : graph_options())
            EXPECT_EQ(
                difference(backend->propagation_operator(stored, options), cpu->propagation_operator(stored, options)),
                "")
                << stored.rows << " nodes";
}

/// A backend that says how much memory is free, and remembers what spmm was given.
class Sized : public ForwardingBackend {
public:
    Sized(Backend& inner, std::size_t bytes, Index preferred)
        : ForwardingBackend(inner), free_(bytes), preferred_(preferred) {}
    std::size_t free_memory() const override { return free_; }
    Index spmm_slab_features(Index) const override { return preferred_; }
    void spmm(const CsrView& a, CMat X, Mat Y) override {
        widest = std::max(widest, X.rows);
        inner_.spmm(a, X, Y);
    }
    Index widest = 0;

private:
    std::size_t free_;
    Index preferred_;
};

constexpr std::size_t plenty = std::size_t{1} << 40;

Dataset small_graph(std::uint64_t seed, Index features) {
    SbmSpec spec;
    spec.nodes = 150;
    spec.features = features;
    spec.seed = seed % 1000;
    return make_sbm(spec);
}

std::vector<std::int32_t> some_nodes() { return {149, 0, 3, 3, 77, 20, 21}; }

TEST(Augmentation, AgreesWithDenseLoops) {
    PDADMM_TEST_BACKEND(backend, 2);
    PDADMM_SEEDED();
    for (const Index features : {1, 8, 37}) {
        const Dataset data = small_graph(seed, features);
        const AugmentOptions options;
        const Dense a = dense_operator(data.adjacency, options.graph).values;
        Dense x = zeros(data.nodes, features);
        for (Index i = 0; i < data.nodes; ++i)
            for (Index f = 0; f < features; ++f)
                x[at(i)][at(f)] = static_cast<double>(data.features.dense[at(i * features + f)]);
        const std::vector<std::int32_t> nodes = some_nodes();
        const std::vector<real> X = augment(*backend, data, nodes, options);
        ASSERT_EQ(static_cast<Index>(X.size()), features * options.hops * static_cast<Index>(nodes.size()));
        for (int hop = 0; hop < options.hops; ++hop) {
            for (std::size_t k = 0; k < nodes.size(); ++k)
                for (Index f = 0; f < features; ++f)
                    ASSERT_NEAR(static_cast<double>(X[k * at(features * options.hops) + at(hop * features + f)]),
                                x[at(nodes[k])][at(f)], 1e-5)
                        << "hop " << hop << ", node " << nodes[k] << ", feature " << f;
            Dense next = zeros(data.nodes, features);
            for (Index i = 0; i < data.nodes; ++i)
                for (Index j = 0; j < data.nodes; ++j)
                    for (Index f = 0; f < features; ++f) next[at(i)][at(f)] += a[at(i)][at(j)] * x[at(j)][at(f)];
            x = next;
        }
    }
}

TEST(Augmentation, SlabsOfAnyWidthGiveTheSameBits) {
    PDADMM_TEST_BACKEND(backend, 2);
    PDADMM_SEEDED();
    const Dataset data = small_graph(seed, 53);
    const std::vector<std::int32_t> nodes = some_nodes();
    for (const FeatureNorm norm : {FeatureNorm::none, FeatureNorm::row, FeatureNorm::l2}) {
        const AugmentOptions options{{}, 3, norm};
        Sized whole(*backend, plenty, 1000);
        const std::vector<real> expected = augment(whole, data, nodes, options);
        EXPECT_EQ(whole.widest, sizeof(real) == 4 ? 56 : 54);
        for (const Index preferred : {1, 4, 7, 16, 52, 53}) {
            Sized narrow(*backend, plenty, preferred);
            EXPECT_TRUE(augment(narrow, data, nodes, options) == expected) << preferred << " features a slab";
            EXPECT_GE(narrow.widest, preferred);
            EXPECT_LT(narrow.widest, preferred + 4);
        }
    }
}

TEST(Augmentation, SparseProductsInAnyForm) {
    PDADMM_TEST_BACKEND(backend, 2);
    PDADMM_SEEDED();
    const Dataset data = small_graph(seed, 53);
    const std::vector<std::int32_t> nodes = some_nodes();
    const std::vector<real> expected = augment(*backend, data, nodes, {});
    for (const bool fast : {false, true})
        for (const Index most_narrow : {Index{0}, Index{INT32_MAX}}) {
            SCOPED_TRACE(fmt::format("fast {}, 32 bits up to {} entries", fast, most_narrow));
            BackendOptions options{2, 0};
            options.fast_spmm = fast;
            options.most_narrow_entries = most_narrow;
            const auto other = make_backend(test_backend_name(), options);
            Sized narrow(*other, plenty, 16);  // two shapes of slab, each used more than once
            const std::vector<real> X = augment(narrow, data, nodes, {});
            for (std::size_t i = 0; i < X.size(); ++i)
                ASSERT_NEAR(static_cast<double>(X[i]), static_cast<double>(expected[i]), 1e-5) << i;
            if (!fast) {
                EXPECT_TRUE(augment(narrow, data, nodes, {}) == X);
            }
        }
}

TEST(Augmentation, SlabsFollowFreeMemory) {
    PDADMM_TEST_BACKEND(backend, 2);
    const Dataset data = small_graph(1, 53);
    const std::vector<std::int32_t> nodes = some_nodes();
    const std::size_t feature = (2 * 150 + nodes.size()) * sizeof(real), lanes = 16 / sizeof(real);
    Sized whole(*backend, plenty, 1000);
    const std::vector<real> expected = augment(whole, data, nodes, {});
    for (const std::size_t fitting : {lanes, 2 * lanes, 9 * lanes}) {
        Sized little(*backend, 2 * feature * (fitting + lanes) - 1, 1000);
        EXPECT_TRUE(augment(little, data, nodes, {}) == expected) << fitting;
        EXPECT_EQ(little.widest, static_cast<Index>(fitting));
    }
    Sized none(*backend, 2 * feature * lanes - 1, 1000);
    try {
        augment(none, data, nodes, {});
        ADD_FAILURE() << "nothing was refused";
    } catch (const DeviceError& error) {
        const double GiB = static_cast<double>(std::size_t{1} << 30),
                     expected_bytes = 2.0 * static_cast<double>(feature * lanes);
        EXPECT_THAT(error.what(), AllOf(HasSubstr(fmt::format("free, expected {:.3g} GiB", expected_bytes / GiB)),
                                        HasSubstr("of 150 nodes")));
    }
    EXPECT_EQ(none.widest, 0);
}

/// H of all nodes as rows of float64.
Dense features_of(const Dataset& data) {
    Dense x = zeros(data.nodes, data.features.count);
    for (Index i = 0; i < data.nodes; ++i)
        for (Index f = 0; f < data.features.count; ++f)
            x[at(i)][at(f)] = static_cast<double>(data.features.dense[at(i * data.features.count + f)]);
    return x;
}

/// own X + neighbours T X.
Dense combined(double own, const Dense& x, double neighbours, const Dense& t) {
    Dense y = zeros(static_cast<Index>(x.size()), static_cast<Index>(x[0].size()));
    for (std::size_t i = 0; i < x.size(); ++i)
        for (std::size_t f = 0; f < x[0].size(); ++f) {
            double sum = 0;
            for (std::size_t j = 0; j < x.size(); ++j) sum += t[i][j] * x[j][f];
            y[i][f] = own * x[i][f] + neighbours * sum;
        }
    return y;
}

/// Blocks of "gcn,row,high,ppr:0.2,heat:1.5" by their definitions, one multiplication after the other.
std::vector<Dense> dense_blocks(const Dataset& data, const GraphOptions& graph, int hops) {
    const Dense a = dense_operator(data.adjacency, graph).values;
    GraphOptions stored{Norm::row, graph.self_loops == SelfLoops::none ? SelfLoops::none : SelfLoops::keep,
                        graph.directed};
    const Dense walk = dense_operator(data.adjacency, stored).values, h = features_of(data);
    std::vector<Dense> blocks{h};
    const auto chain = [&](double own, double neighbours, const Dense& t) {
        Dense x = h;
        for (int k = 1; k < hops; ++k) blocks.push_back(x = combined(own, x, neighbours, t));
    };
    chain(0, 1, a);
    chain(0, 1, walk);
    chain(1, -1, a);
    Dense ranked = h, heated = h, power = h;
    double weight = std::exp(-1.5);
    for (auto& row : heated)
        for (double& value : row) value *= weight;
    for (int k = 1; k < hops; ++k) {
        ranked = combined(0, ranked, 0.8, a);
        power = combined(0, power, 1, a);
        weight *= 1.5 / k;
        for (std::size_t i = 0; i < h.size(); ++i)
            for (std::size_t f = 0; f < h[0].size(); ++f) {
                ranked[i][f] += 0.2 * h[i][f];
                heated[i][f] += weight * power[i][f];
            }
    }
    blocks.push_back(ranked);
    blocks.push_back(heated);
    return blocks;
}

/// Self loops, isolated nodes, repeated and directed edges; features on both sides of 0.
Dataset peculiar_graph(std::mt19937_64& random, Csr adjacency) {
    Dataset data;
    data.nodes = adjacency.rows;
    data.adjacency = std::move(adjacency);
    data.features.count = 5;
    for (Index i = 0; i < 5 * data.nodes; ++i)
        data.features.dense.push_back(static_cast<float>(random() >> 40) * 0x1p-23F - 1);
    return data;
}

AugmentOptions every_operator(const GraphOptions& graph, int hops) {
    return {graph, hops, FeatureNorm::none, parse_operators("augment", "gcn,row,high,ppr:0.2,heat:1.5")};
}

TEST(AugmentOperators, AgreeWithDenseLoops) {
    PDADMM_TEST_BACKEND(backend, 2);
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    constexpr int hops = 5;
    for (Csr& stored : random_adjacencies(random)) {
        if (stored.rows > 40) continue;
        const Dataset data = peculiar_graph(random, std::move(stored));
        std::vector<std::int32_t> nodes(at(data.nodes));
        std::iota(nodes.begin(), nodes.end(), 0);
        for (const GraphOptions& graph : graph_options()) {
            if (graph.norm == Norm::none) continue;  // its powers grow without bound
            const AugmentOptions options = every_operator(graph, hops);
            const std::vector<real> X = augment(*backend, data, nodes, options);
            const std::vector<Dense> blocks = dense_blocks(data, graph, hops);
            const Index inputs = augmented_inputs(options, 5);
            ASSERT_EQ(inputs, 5 * static_cast<Index>(blocks.size()));
            for (std::size_t block = 0; block < blocks.size(); ++block)
                for (Index i = 0; i < data.nodes; ++i)
                    for (std::size_t f = 0; f < 5; ++f)
                        ASSERT_NEAR(static_cast<double>(X[at(i * inputs) + 5 * block + f]), blocks[block][at(i)][f],
                                    2e-5)
                            << "block " << block << ", node " << i << " of " << data.nodes << ", norm "
                            << static_cast<int>(graph.norm) << ", loops " << static_cast<int>(graph.self_loops);
        }
    }
}

TEST(AugmentOperators, ThreadsSlabsAndCompanyChangeNoBit) {
    PDADMM_TEST_BACKEND(backend, 1);
    PDADMM_SEEDED();
    const Dataset data = small_graph(seed, 53);
    const std::vector<std::int32_t> nodes = some_nodes();
    const AugmentOptions options = every_operator({}, 4);
    const std::vector<real> expected = augment(*backend, data, nodes, options);
    const auto threaded = make_backend(test_backend_name(), {3, 0});
    EXPECT_TRUE(augment(*threaded, data, nodes, options) == expected);
    for (const Index preferred : {4, 16, 53}) {
        Sized narrow(*backend, plenty, preferred);
        EXPECT_TRUE(augment(narrow, data, nodes, options) == expected) << preferred << " features a slab";
    }
    const std::vector<real> alone = augment(*backend, data, nodes, {{}, 4, FeatureNorm::none});
    const std::size_t inputs = at(augmented_inputs(options, 53));
    for (std::size_t k = 0; k < nodes.size(); ++k)
        for (std::size_t i = 0; i < at(4 * 53); ++i) ASSERT_EQ(alone[k * 4 * 53 + i], expected[k * inputs + i]);
}

TEST(AugmentOperators, Texts) {
    for (const char* text : {"gcn", "row,high", "ppr:0.05,heat:3,gcn", "heat:0.1,heat:2"})
        EXPECT_EQ(to_string(parse_operators("augment", text)), text);
    EXPECT_EQ(to_string(parse_operators("augment", "ppr,heat")), "ppr:0.1,heat:3");
    for (const char* text : {"", ",", "gcn,", "low", "gcn,gcn", "ppr:", "ppr:0", "ppr:1.5", "ppr:nan", "heat:-1",
                             "heat:x", "gcn:2", "ppr:0.1 ", "heat:1e999"})
        EXPECT_THROW(parse_operators("augment", text), UsageError) << text;
    EXPECT_NO_THROW(check_hops(parse_operators("augment", "gcn"), 1));
    EXPECT_NO_THROW(check_hops(parse_operators("augment", "high"), 16));
    EXPECT_THROW(check_hops(parse_operators("augment", "high"), 17), UsageError);
    EXPECT_THROW(check_hops(parse_operators("augment", "ppr"), 1), UsageError);
}

}  // namespace
