// One graph in every form in which plain arrays are published, which must give the same data set as our bundle; what
// cannot be meant is refused with one line.
#include "host/data/dataset_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/data/graph_forms.hpp"

using namespace pdadmm;
using namespace graph_npz;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

TEST(Forms, PyGeometricArraysAreTheBundle) {
    const std::string digest = dataset_digest(read(dense_bundle()));
    const Dataset d = read(pyg());
    EXPECT_EQ(dataset_digest(d), digest);
    expect_the_split(d);
    EXPECT_EQ(d.facts.stored_entries, 7);
    Members m = pyg();
    m["edge_index"] = ints2(7, 2, pairs());  // turned
    EXPECT_EQ(dataset_digest(read(m)), digest);
    m["edge_index"] = matrix<float>("<f4", 2, 7, joined(kSources, kTargets));
    EXPECT_EQ(dataset_digest(read(m)), digest);
    m["num_nodes"] = ints({6});
    EXPECT_EQ(dataset_digest(read(m)), digest);
}

TEST(Forms, WeightsOfListedEdges) {
    const std::vector<double> weights = {1, 2, 3, 4, 5, 6, 7};
    Members bundled = dense_bundle();
    bundled["adj_data"] = floats(weights);
    Members m = pyg();
    m["edge_weight"] = floats(weights);
    EXPECT_EQ(dataset_digest(read(m)), dataset_digest(read(bundled)));
    m["edge_weight"] = matrix<double>("<f8", 7, 1, weights);
    EXPECT_EQ(dataset_digest(read(m)), dataset_digest(read(bundled)));
    m = pyg();
    m["edge_attr"] = matrix<double>("<f8", 7, 2, joined(weights, weights));
    EXPECT_THAT(read(m).notes, ElementsAre("edge_attr: not used; weights of edges are called edge_weight"));
}

TEST(Forms, HeterophilousSplitsStandInRowsOrColumns) {
    const Dataset second = read(heterophilous(), {.split_index = 1});
    EXPECT_EQ(dataset_digest(second), dataset_digest(read(dense_bundle())));
    expect_the_split(second);
    EXPECT_EQ(described(make_split(second, "auto", 0)),
              "stored (number 1 of 2 in train_masks; others by --split-index): 2 train, 1 val, 2 test");
    EXPECT_THAT(read(heterophilous()).stored_split.train, ElementsAre(2, 3));
    Members m = heterophilous();
    m["train_masks"] = masks(6, 2, {0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0});
    expect_the_split(read(m, {.split_index = 1}));
    EXPECT_THAT(read(m).stored_split.train, ElementsAre(2, 3));
    m["test_masks"] = mask({0, 0, 0, 0, 0, 1});  // one for all splits
    EXPECT_THAT(read(m, {.split_index = 1}).stored_split.test, ElementsAre(5));
}

TEST(Forms, ScipyMatricesBesideFeaturesAndLabels) {
    const std::string digest = dataset_digest(read(dense_bundle()));
    Members rest = without(pyg(), {"edge_index"});
    rest["shape"] = ints({6, 6});
    rest["data"] = vector_npy<double>("<f8", {1, 1, 1, 1, 1, 1, 1});
    Members csr = rest, coo = rest, csc = rest;
    csr["indptr"] = ints({0, 1, 3, 5, 6, 6, 7});
    csr["indices"] = ints(kTargets);
    EXPECT_EQ(dataset_digest(read(csr)), digest);
    csr["format"] = text("csr");
    EXPECT_EQ(dataset_digest(read(csr)), digest);
    coo["format"] = text("coo");
    coo["row"] = ints({5, 1, 0, 2, 2, 3, 1});
    coo["col"] = ints({5, 0, 1, 3, 1, 2, 2});
    EXPECT_EQ(dataset_digest(read(coo)), digest);
    // Columns of a matrix that is not symmetric: one more edge, 4 -> 0.
    Members turned = pyg();
    turned["edge_index"] = ints2(2, 8, joined(joined(kSources, {4}), joined(kTargets, {0})));
    csc["format"] = text("csc");
    csc["indptr"] = ints({0, 2, 4, 6, 7, 7, 8});
    csc["indices"] = ints({1, 4, 0, 2, 1, 3, 2, 5});
    csc["data"] = floats({1, 1, 1, 1, 1, 1, 1, 1});
    EXPECT_EQ(dataset_digest(read(csc)), dataset_digest(read(turned)));

    csr["format"] = text("bsr");
    EXPECT_EQ(refused(csr), "g.npz: format: 'bsr', expected csr, csc or coo; save it with .tocsr()");
    coo["col"] = ints({5, 0, 1, 3, 1, 2, 6});
    EXPECT_EQ(refused(coo), "g.npz: row and col: node 6 at edge 6, expected 0 to 5 (the nodes of shape)");
    coo["data"] = npy("<c16", "(7,)", std::string(112, '\0').data(), 112);
    coo["col"] = ints({5, 0, 1, 3, 1, 2, 2});
    EXPECT_EQ(refused(coo), "g.npz: data.npy: dtype '<c16' (complex) is not read; save real numbers");
    const Members lone = {{"indptr", ints({0, 1, 2})},
                          {"indices", ints({1, 0})},
                          {"data", floats({1, 1})},
                          {"shape", ints({2, 2})},
                          {"format", text("csr")}};
    EXPECT_THAT(refused(lone), HasSubstr("put it into a folder with features.npy and labels.npy, and name the folder"));
}

TEST(Forms, BrokenListsAreRefusedWithTheirPlace) {
    struct Broken {
        const char* member;
        zip::Bytes bytes;
        const char* message;
    };
    const auto ids = [](double last) { return joined(kSources, {1, 0, 2, 1, 3, 2, last}); };
    for (const Broken& b :
         {Broken{"edge_index", ints2(2, 7, ids(6)), "edge_index: node 6 at edge 6, expected 0 to 5 (the nodes of x)"},
          {"edge_index", ints2(2, 7, ids(-1)), "edge_index: node -1 at edge 6, expected 0 to 5 (the nodes of x)"},
          {"edge_index", matrix<double>("<f8", 2, 7, ids(1e17)),
           "edge_index.npy: value 1e+17 at position 13 of dtype '<f8', expected at most 2^53, beyond which floats "
           "leave "
           "whole numbers out"},
          {"edge_index", ints2(3, 3, {0, 1, 2, 3, 4, 5, 0, 1, 2}),
           "edge_index.npy: shape (3, 3), expected (2, edges) or (edges, 2)"},
          {"edge_index", ints({0, 1}), "edge_index.npy: shape of rank 1, expected (2, edges) or (edges, 2)"},
          {"edge_weight", floats({1, 1}), "edge_weight: 2 entries, expected 7 (the edges of edge_index)"},
          {"edge_weight", floats({1, -2, 1, 1, 1, 1, 1}),
           "edge_weight: weight -2 at row 1, column 0, expected weights above 0"},
          {"edge_weight", floats({1, 0, 1, 1, 1, 1, 1}),
           "edge_weight: weight 0 at row 1, column 0, expected weights above 0; leave such an edge out"},
          {"edge_weight", floats({1, NAN, 1, 1, 1, 1, 1}),
           "edge_weight: value nan at row 1, column 0, expected finite and at most 1e15"},
          {"num_nodes", ints({7}), "num_nodes: 7 nodes, expected 6 (the nodes of x)"},
          {"features", dense_bundle().at("features"), "features and x, expected one of them; leave one out"},
          {"edges", ints2(1, 2, {0, 1}), "edge_index and edges, expected one of them; leave one out"},
          {"y", ints({0, 1}), "y: 2 entries, expected 6 (the nodes of x)"}}) {
        Members m = pyg();
        m[b.member] = b.bytes;
        EXPECT_EQ(refused(m), std::string("g.npz: ") + b.message);
    }
    Members m = pyg();
    m["adj_indptr"] = bundle().at("adj_indptr");
    EXPECT_EQ(refused(m), "g.npz: adj and edge_index, expected one of them; leave one out");
    EXPECT_THAT(refused(without(pyg(), {"edge_index"})), HasSubstr("no adjacency, expected adj_indptr"));
    EXPECT_THAT(refused(without(pyg(), {"x"})),
                HasSubstr("no features, expected attr_indptr (and its fellows), features, x"));
}

TEST(Forms, HalfPrecisionAndWholeFeatures) {
    Members m = pyg();
    m["x"] = matrix<std::uint16_t>("<f2", 6, 1, {0x3C00, 0x4000, 0, 0x3800, 0xBC00, 0x4900});
    EXPECT_THAT(read(m).features.dense, ElementsAre(1, 2, 0, 0.5f, -1, 10));
    m["x"] = matrix<std::uint8_t>("|b1", 6, 1, {1, 0, 0, 1, 1, 0});
    EXPECT_THAT(read(m).features.dense, ElementsAre(1, 0, 0, 1, 1, 0));
    m["x"] = matrix<std::int16_t>("<i2", 6, 1, {-3, 0, 0, 1, 1, 300});
    EXPECT_THAT(read(m).features.dense, ElementsAre(-3, 0, 0, 1, 1, 300));
}

}  // namespace
