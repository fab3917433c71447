// Made-up graphs: fixed bits for a seed, the promised statistics, and specs that are refused with the list of keys.
#include "host/data/sbm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "host/data/dataset_reader.hpp"
#include "pdadmm/error.hpp"

using namespace pdadmm;
using testing::HasSubstr;

namespace {

std::string refusal(const std::string& text) {
    try {
        parse_sbm(text);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "";
}

TEST(Sbm, SpecsAreParsedAndPrinted) {
    const SbmSpec d = parse_sbm("sbm");
    EXPECT_EQ(to_string(d), "sbm:nodes=2000,classes=5,features=64,degree=6,homophily=0.7,noise=1,seed=0");
    EXPECT_EQ(to_string(parse_sbm("sbm:")), to_string(d));
    const SbmSpec s =
        parse_sbm("sbm:seed=18446744073709551615,noise=0.25,degree=3.5,nodes=500,homophily=1,classes=4,features=8");
    EXPECT_EQ(to_string(s),
              "sbm:nodes=500,classes=4,features=8,degree=3.5,homophily=1,noise=0.25,seed=18446744073709551615");
    EXPECT_EQ(to_string(parse_sbm(to_string(s))), to_string(s));
}

TEST(Sbm, BadSpecsListTheKeys) {
    for (const char* text : {"sbm:nodes",
                             "sbm:nodes=",
                             "sbm:nodes=abc",
                             "sbm:nodes=9",
                             "sbm:nodes=-5",
                             "sbm:nodes=1e3",
                             "sbm:nodes=200 ",
                             "sbm:nodes=99999999999999999999",
                             "sbm:classes=1",
                             "sbm:nodes=100,classes=21",
                             "sbm:homophily=1.5",
                             "sbm:homophily=nan",
                             "sbm:noise=-1",
                             "sbm:noise=inf",
                             "sbm:degree=-1",
                             "sbm:nodes=10,classes=2,degree=10",
                             "sbm:seed=-1",
                             "sbm:edges=3",
                             "sbm:nodes=100,nodes=100",
                             "sbm:,nodes=100",
                             "sbm:Nodes=100",
                             "sbmx",
                             "sbm:features=0"})
        EXPECT_THAT(refusal(text), HasSubstr("expected keys nodes (10 to 100000000)")) << text;
}

TEST(Sbm, SameSeedSameBits) {
    const std::string digest = dataset_digest(make_sbm({}));
    EXPECT_EQ(digest, "7a53da27ee730f0814d6f63618820757");  // found with g++ 12 on x86-64; must be the same everywhere
    EXPECT_EQ(dataset_digest(load_dataset("sbm")), digest);
    SbmSpec other;
    other.seed = 1;
    EXPECT_NE(dataset_digest(make_sbm(other)), digest);
}

TEST(Sbm, HasThePromisedStatistics) {
    const SbmSpec spec = parse_sbm("sbm:nodes=20000,classes=4,features=100,degree=10,homophily=0.6,noise=2,seed=3");
    const Dataset d = make_sbm(spec);
    EXPECT_EQ(d.nodes, 20000);
    EXPECT_EQ(d.classes, 4);
    EXPECT_EQ(d.features.count, 100);
    EXPECT_TRUE(d.facts.symmetric);
    EXPECT_EQ(d.facts.self_loops, 0);
    EXPECT_NEAR(static_cast<double>(d.adjacency.nnz()) / d.nodes, 10, 0.1);
    Index same = 0;
    for (Index i = 0; i < d.nodes; ++i)
        for (Index k = d.adjacency.offsets[i]; k < d.adjacency.offsets[i + 1]; ++k)
            same += d.labels[i] == d.labels[d.adjacency.columns[k]];
    EXPECT_NEAR(static_cast<double>(same) / d.adjacency.nnz(), 0.6, 0.01);
    std::vector<std::vector<double>> mean(4, std::vector<double>(100, 0));
    std::vector<Index> size(4, 0);
    for (Index i = 0; i < d.nodes; ++i) {
        ++size[d.labels[i]];
        for (Index f = 0; f < 100; ++f) mean[d.labels[i]][f] += d.features.dense[i * 100 + f] / 5000.0;
    }
    EXPECT_THAT(size, testing::Each(5000));
    double spread = 0;
    for (Index i = 0; i < d.nodes; ++i)
        for (Index f = 0; f < 100; ++f) spread += std::pow(d.features.dense[i * 100 + f] - mean[d.labels[i]][f], 2);
    EXPECT_NEAR(std::sqrt(spread / (20000.0 * 100)), 2, 0.01);
    for (const auto& m : mean) {
        double length = 0;
        for (const double v : m) length += v * v;
        EXPECT_NEAR(std::sqrt(length), 1.75, 0.45);
    }
}

TEST(Sbm, StoredSplitIsSound) {
    for (const char* text :
         {"sbm", "sbm:nodes=10,classes=2,degree=2", "sbm:nodes=100,classes=20", "sbm:nodes=7003,classes=3"}) {
        const Dataset d = make_sbm(parse_sbm(text));
        const Split& s = d.stored_split;
        std::set<std::int32_t> seen;
        for (const auto* part : {&s.train, &s.val, &s.test}) {
            EXPECT_FALSE(part->empty()) << text;
            for (const std::int32_t node : *part) EXPECT_TRUE(seen.insert(node).second) << text;
        }
        std::vector<Index> trained(d.classes, 0);
        for (const std::int32_t node : s.train) ++trained[d.labels[node]];
        for (const Index n : trained) EXPECT_GE(n, 1) << text;
    }
    const Dataset d = make_sbm({});
    EXPECT_EQ(d.stored_split.train.size(), 100u);
    EXPECT_EQ(d.stored_split.val.size(), 500u);
    EXPECT_EQ(d.stored_split.test.size(), 1000u);
}

TEST(Sbm, PartsAreDrawnIndependently) {
    const Dataset a = make_sbm(parse_sbm("sbm:features=64")), b = make_sbm(parse_sbm("sbm:features=7,noise=3"));
    EXPECT_EQ(a.adjacency.columns, b.adjacency.columns);
    EXPECT_EQ(a.labels, b.labels);
    EXPECT_EQ(a.stored_split.test, b.stored_split.test);
    EXPECT_TRUE(make_sbm(parse_sbm("sbm:degree=0")).adjacency.columns.empty());
}

TEST(Sbm, AMillionNodes) {
    const Dataset d = make_sbm(parse_sbm("sbm:nodes=1000000,features=4"));
    EXPECT_EQ(d.nodes, 1'000'000);
    EXPECT_NEAR(static_cast<double>(d.adjacency.nnz()), 6e6, 1e4);
}

}  // namespace
