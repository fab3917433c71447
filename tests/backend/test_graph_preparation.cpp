// What a GPU does to a graph, done by Thrust on the host: the same entries, order and bits as host/data/graph.cpp, on
// random graphs and on the real ones that are there (PDADMM_DATA). Skipped where no CUDA toolkit's headers are
// installed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "host/data/dataset_reader.hpp"
#include "host/data/graph.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/random_graph.hpp"
#include "tests/support/test_seed.hpp"

#ifdef PDADMM_HAVE_THRUST
#include "cuda/graph_preparation.cuh"
#endif

using namespace pdadmm;

namespace {

#ifdef PDADMM_HAVE_THRUST

std::string text(const Csr& a, const GraphOptions& o) {
    return fmt::format("{} nodes, {} entries, norm {}, loops {}, directed {}", a.rows, a.nnz(),
                       static_cast<int>(o.norm), static_cast<int>(o.self_loops), o.directed);
}

class GraphPreparation : public testing::Test {
protected:
    std::unique_ptr<Backend> cpu = make_backend("cpu", {1, 0});
    PropagationOperator prepared(const Csr& a, const GraphOptions& options) {
        return graph_preparation::propagation_operator(thrust::cpp::par, *cpu, a, options);
    }
};

TEST_F(GraphPreparation, GivesTheBitsOfTheCpu) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (int repetition = 0; repetition < 5; ++repetition)
        for (const Csr& a : random_adjacencies(random))
            for (const GraphOptions& options : graph_options())
                EXPECT_EQ(difference(prepared(a, options), cpu->propagation_operator(a, options)), "")
                    << text(a, options);
}

// Under the address sanitizer Cora, of 10556 entries, but not Pubmed: minutes, on the same ways through memory.
#ifdef __SANITIZE_ADDRESS__
constexpr Index most_entries = 20000;
#else
constexpr Index most_entries = std::numeric_limits<Index>::max();
#endif

TEST_F(GraphPreparation, GivesTheBitsOfTheCpuOnRealGraphs) {
    int found = 0;
    for (const std::string& name : dataset_names()) {
        try {
            find_dataset(name);
        } catch (const DataError&) {
            continue;
        }
        const Dataset data = load_dataset(name);
        if (data.adjacency.nnz() > most_entries) continue;
        ++found;
        for (const GraphOptions& options : graph_options()) {
            if (options.norm == Norm::row && options.self_loops != SelfLoops::add) continue;  // time
            EXPECT_EQ(difference(prepared(data.adjacency, options), cpu->propagation_operator(data.adjacency, options)),
                      "")
                << name << ": " << text(data.adjacency, options);
        }
    }
    if (found == 0) GTEST_SKIP() << "no data set by name, expected some in a folder of PDADMM_DATA";
    std::printf("%d real graphs\n", found);
}

// A comparison that finds nothing proves nothing.
TEST_F(GraphPreparation, ComparisonFindsPlantedDifferences) {
    std::mt19937_64 random(5);
    const Csr a = random_adjacency(random, 40, 7, 150, true);
    const PropagationOperator expected = cpu->propagation_operator(a, {});
    EXPECT_EQ(difference(prepared(a, {}), expected), "");
    EXPECT_NE(difference(prepared(a, {Norm::row, SelfLoops::add, false}), expected), "");
    EXPECT_NE(difference(prepared(a, {Norm::sym, SelfLoops::none, false}), expected), "");
    EXPECT_NE(difference(prepared(a, {Norm::sym, SelfLoops::add, true}), expected), "");
    PropagationOperator touched = prepared(a, {});
    *std::max_element(touched.values.data(), touched.values.data() + touched.values.count()) *=
        1 + std::numeric_limits<real>::epsilon();
    EXPECT_NE(difference(touched, expected), "");
}

TEST_F(GraphPreparation, StatesItsMemory) {
    const GraphOptions both{Norm::sym, SelfLoops::add, false}, stored{Norm::sym, SelfLoops::keep, true};
    EXPECT_EQ(graph_preparation::entries_to_sort(10, 30, both), 70);
    EXPECT_EQ(graph_preparation::entries_to_sort(10, 30, stored), 30);
    constexpr Index nodes = 111059956, edges = 1615685872;  // papers100M: beyond 32 bits
    EXPECT_EQ(graph_preparation::bytes_needed(nodes, edges, both),
              24U * (2 * std::uint64_t{edges} + nodes) + 8U * (nodes + 1) + (16U << 20));
}

#else
TEST(GraphPreparation, GivesTheBitsOfTheCpu) {
    GTEST_SKIP() << "no Thrust, expected the headers of a CUDA toolkit; set CUDAToolkit_ROOT";
}
#endif

}  // namespace
