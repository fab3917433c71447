// One graph in every form in which plain arrays are published, which must give the same data set as our bundle; labels
// and splits as people store them; what cannot be meant is refused with one line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "host/data/class_ids.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "pdadmm/error.hpp"
#include "tests/data/graph_npz.hpp"

using namespace pdadmm;
using namespace graph_npz;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

template <typename T>
zip::Bytes matrix(const std::string& dtype, Index rows, Index cols, const std::vector<double>& values) {
    std::vector<T> converted;
    for (const double v : values) converted.push_back(static_cast<T>(v));
    return npy(dtype, fmt::format("({}, {})", rows, cols), converted.data(), converted.size() * sizeof(T));
}
zip::Bytes ints2(Index rows, Index cols, const std::vector<double>& v) {
    return matrix<std::int64_t>("<i8", rows, cols, v);
}
zip::Bytes mask(const std::vector<double>& v) { return vector_npy<std::uint8_t>("|b1", v); }
zip::Bytes masks(Index rows, Index cols, const std::vector<double>& v) {
    return matrix<std::uint8_t>("|b1", rows, cols, v);
}
zip::Bytes text(const std::string& word) {
    return npy(fmt::format("|S{}", word.size()), "()", word.data(), word.size());
}

const std::vector<double> kSources = {0, 1, 1, 2, 2, 3, 5}, kTargets = {1, 0, 2, 1, 3, 2, 5};

std::vector<double> joined(std::vector<double> a, const std::vector<double>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
std::vector<double> pairs() {
    std::vector<double> out;
    for (std::size_t k = 0; k < kSources.size(); ++k) out.insert(out.end(), {kSources[k], kTargets[k]});
    return out;
}

Members without(Members m, const std::vector<const char*>& names) {
    for (const char* name : names) m.erase(name);
    return m;
}

/// dense_bundle() as torch_geometric names it.
Members pyg() {
    return {{"x", dense_bundle().at("features")},
            {"y", ints({0, 1, 0, 1, -1, 0})},
            {"edge_index", ints2(2, 7, joined(kSources, kTargets))},
            {"train_mask", mask({1, 1, 0, 0, 0, 0})},
            {"val_mask", mask({0, 0, 1, 0, 0, 0})},
            {"test_mask", mask({0, 0, 0, 1, 0, 1})}};
}

/// The same as the heterophilous graphs, with two splits in rows.
Members heterophilous() {
    return {{"node_features", dense_bundle().at("features")},
            {"node_labels", ints({0, 1, 0, 1, -1, 0})},
            {"edges", ints2(7, 2, pairs())},
            {"train_masks", masks(2, 6, {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0})},
            {"val_masks", masks(2, 6, {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0})},
            {"test_masks", masks(2, 6, {0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1})}};
}

void expect_the_split(const Dataset& d) {
    EXPECT_THAT(d.stored_split.train, ElementsAre(0, 1));
    EXPECT_THAT(d.stored_split.val, ElementsAre(2));
    EXPECT_THAT(d.stored_split.test, ElementsAre(3, 5));
    EXPECT_THAT(d.stored_split.every_test, IsEmpty());
}

std::string refused(const Members& m, const ReadOptions& options = {}) {
    return refusal<DataError>([&] { read(m, options); });
}
/// Refused by what wants the stored split, and by nothing else.
std::string split_refused(const Members& m, const ReadOptions& options = {}) {
    const Dataset d = read(m, options);
    EXPECT_NO_THROW(make_split(d, "random:1/1/1", 0));
    const std::string message = refusal<DataError>([&] { make_split(d, "auto", 0); });
    EXPECT_EQ(refusal<DataError>([&] { make_split(d, "stored", 0); }), message);
    return message;
}

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

TEST(Labels, ShapesAndTypes) {
    const std::string digest = dataset_digest(read(pyg()));
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::vector<std::pair<const char*, zip::Bytes>> same = {
        {"one column", ints2(6, 1, {0, 1, 0, 1, -1, 0})},
        {"NaN", vector_npy<double>("<f8", {0, 1, 0, 1, nan, 0})},
        {"NaN in a column", matrix<float>("<f4", 6, 1, {0, 1, 0, 1, nan, 0})},
        {"255 in bytes", vector_npy<std::uint8_t>("|u1", {0, 1, 0, 1, 255, 0})}};
    for (const auto& [what, labels] : same) {
        Members m = pyg();
        m["y"] = labels;
        EXPECT_EQ(dataset_digest(read(m)), digest) << what;
    }
    Members m = pyg();
    m["y"] = vector_npy<std::uint8_t>("|u1", {0, 1, 0, 1, 255, 0});
    EXPECT_THAT(read(m).notes, ElementsAre("y: 255 in unsigned bytes is taken for unlabelled (1 nodes)"));
    m["y"] = vector_npy<std::uint16_t>("<u2", {0, 1, 0, 1, 255, 0});  // no byte: a class
    EXPECT_EQ(read(m).classes, 3);
    m["y"] = ints({7, 1, 7, 1, 5, 7});
    const Dataset said = read(m, {.unlabelled = 5});
    EXPECT_THAT(said.labels, ElementsAre(1, 0, 1, 0, -1, 1));
    EXPECT_THAT(said.class_ids, ElementsAre(1, 7));
    m["y"] = ints({0, 1, 0, 1, -9, 0});
    EXPECT_EQ(refused(m),
              "g.npz: y: -9 at node 4, expected a class from 0 up or -1 (unlabelled); if it means "
              "unlabelled, add --unlabelled -9");
    EXPECT_EQ(dataset_digest(read(m, {.unlabelled = -9})), digest);
    m["y"] = ints2(6, 2, {1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0});
    EXPECT_EQ(refused(m),
              "g.npz: y.npy: 2 columns, expected one class a node; they are one-hot: save "
              "labels.argmax(axis=1)");
    m["y"] = ints2(6, 2, {1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0});
    EXPECT_THAT(refused(m), HasSubstr("several labels a node (multi-label) are not supported"));
}

TEST(Labels, ByteTwoHundredFiftyFiveIsAClassAmongAllOthers) {
    std::vector<double> every;
    for (int i = 0; i < 256; ++i) every.push_back(i);
    const std::vector<float> x(256, 1);
    const Members m = {
        {"x", table(256, 1, x)}, {"y", vector_npy<std::uint8_t>("|u1", every)}, {"edge_index", ints2(2, 1, {0, 1})}};
    EXPECT_EQ(read(m).classes, 256);
    EXPECT_EQ(read(m).labels.back(), 255);
}

TEST(Labels, GapsAreClosedAndTheIdsKept) {
    Members m = pyg();
    m["y"] = ints({500, 70000, 500, 10, -1, 70000});
    const Dataset d = read(m);
    EXPECT_EQ(d.classes, 3);
    EXPECT_THAT(d.labels, ElementsAre(1, 2, 1, 0, -1, 2));
    EXPECT_THAT(d.class_ids, ElementsAre(10, 500, 70000));
    EXPECT_EQ(class_id(d.class_ids, 2), 70000);
    EXPECT_THAT(d.notes, ElementsAre("y: class ids 10, 500, 70000 in use, 3 classes; predictions come back in these "
                                     "ids"));
    EXPECT_THAT(read(pyg()).class_ids, IsEmpty());
    m["classes"] = ints({70001});  // the file's own word goes before
    EXPECT_EQ(read(m).classes, 70001);
    EXPECT_THAT(read(m).labels, ElementsAre(500, 70000, 500, 10, -1, 70000));
}

TEST(Labels, AnotherGraphTakesTheModelsNumbers) {
    Members m = pyg();
    m["y"] = ints({70000, 10, 70000, 10, -1, 10});  // 500 does not occur here
    Dataset d = read(m);
    EXPECT_EQ(d.classes, 2);
    use_class_ids(d, std::vector<std::int64_t>{10, 500, 70000}, 3);
    EXPECT_EQ(d.classes, 3);
    EXPECT_THAT(d.labels, ElementsAre(2, 0, 2, 0, -1, 0));
    EXPECT_EQ(refusal<DataError>([&] {
                  use_class_ids(d, std::vector<std::int64_t>{10, 500}, 2);
              }),
              "g: class 70000 at node 0, expected one of the model's 2 classes");
    Dataset plain = read(pyg());
    use_class_ids(plain, {}, 4);
    EXPECT_THAT(plain.labels, ElementsAre(0, 1, 0, 1, -1, 0));
    EXPECT_EQ(plain.classes, 4);
    EXPECT_NE(refusal<DataError>([&] { use_class_ids(plain, {}, 1); }), "");
}

TEST(Labels, IdsAsText) {
    EXPECT_EQ(class_ids_text(std::vector<std::int64_t>{10, 500, 70000}), "10,500,70000");
    EXPECT_THAT(*parse_class_ids("10,500,70000"), ElementsAre(10, 500, 70000));
    for (const char* broken : {"", ",", "1,", "1,,2", "2,1", "1,1", "-1,2", "1 2", "1,x", "99999999999999999999"})
        EXPECT_FALSE(parse_class_ids(broken)) << broken;
}

TEST(StoredSplit, MasksInABundleAreUsed) {
    Members m = without(dense_bundle(), {"train_idx", "val_idx", "test_idx"});
    for (const char* name : {"train_mask", "val_mask", "test_mask"}) m[name] = pyg().at(name);
    expect_the_split(read(m));
    EXPECT_EQ(described(make_split(read(m), "auto", 0)), "stored (train_mask): 2 train, 1 val, 2 test");
    m = bundle();  // boolean lists are masks, whatever they are called
    m["train_idx"] = mask({1, 1, 0, 0, 0, 0});
    m["val_idx"] = masks(6, 1, {0, 0, 1, 0, 0, 0});
    expect_the_split(read(m));
    m["train_mask"] = ints({1, 1, 0, 0, 0, 0});
    m.erase("train_idx");
    expect_the_split(read(m));
}

TEST(StoredSplit, NamesOfOthers) {
    for (const auto& [train, val, test] :
         {std::array{"idx_train", "idx_val", "idx_test"}, std::array{"train", "valid", "test"},
          std::array{"train_index", "validation_index", "test_index"},
          std::array{"train_nodes", "dev_nodes", "test_nodes"}}) {
        Members m = without(dense_bundle(), {"train_idx", "val_idx", "test_idx"});
        m[train] = ints({0, 1});
        m[val] = ints2(1, 1, {2});
        m[test] = ints({3, 5});
        expect_the_split(read(m));
    }
}

TEST(StoredSplit, WhatIsNotUnderstoodIsNotPassedOver) {
    for (const char* name : {"train_mask_2", "splits", "y_train", "stopping_mask", "split_idx", "masks"}) {
        Members m = pyg();
        m[name] = ints({0});
        EXPECT_EQ(split_refused(m), fmt::format("g.npz: {} speaks of a split, expected train_mask, val_mask, test_mask "
                                                "(or _idx); rename it, leave it out, or choose another --split",
                                                name));
    }
    Members m = pyg();
    m["train_idx"] = ints({0});
    EXPECT_EQ(split_refused(m),
              "g.npz: train_idx and train_mask, expected one of them; leave one out, or choose another "
              "--split");
    EXPECT_EQ(split_refused(heterophilous(), {.split_index = 2}),
              "g.npz: train_masks: 2 splits, expected --split-index 0 to 1, found 2; take that, or choose another "
              "--split");
    EXPECT_THAT(split_refused(pyg(), {.split_index = 3}),
                HasSubstr("train_mask: one split, expected --split-index 0, found 3; take that"));
    EXPECT_THAT(split_refused(without(pyg(), {"train_mask", "val_mask", "test_mask"}), {.split_index = 1}),
                HasSubstr("holds no split"));
}

TEST(StoredSplit, TestNodesWithoutLabelsAreCounted) {
    Members m = pyg();
    m["test_mask"] = mask({0, 0, 0, 1, 1, 1});
    const Dataset d = read(m);
    EXPECT_THAT(d.stored_split.test, ElementsAre(3, 5));
    EXPECT_THAT(d.stored_split.every_test, ElementsAre(3, 4, 5));
    EXPECT_THAT(d.notes,
                ElementsAre("test_mask: 1 of 3 test nodes have no label: predicted, but not counted in accuracies"));
}

TEST(StoredSplit, BrokenOnesAreRefusedWithTheirPlace) {
    struct Broken {
        const char* member;
        zip::Bytes bytes;
        const char* message;
    };
    for (const Broken& b :
         {Broken{"test_mask", mask({0, 1, 0, 1, 0, 1}),
                 "test_mask: node 1 is in train_mask too, expected disjoint parts"},
          {"val_mask", mask({0, 0, 0, 0, 0, 0}),
           "val_mask: covers no node, expected one at least; leave the mask out where there are none"},
          {"train_mask", mask({0, 0, 0, 0, 0, 0}),
           "train_mask: covers no node, expected one at least; leave the mask out where there are none"},
          {"train_mask", mask({1, 0}),
           "train_mask: 2 entries, expected 6, one a node; ids of nodes are called train_idx, val_idx, "
           "test_idx"},
          {"train_mask", ints({1, 2, 0, 0, 0, 0}), "train_mask: value 2 at node 1, expected 0 or 1"},
          {"train_mask", masks(6, 6, std::vector<double>(36, 1)),
           "train_mask: 6 x 6, expected another number of splits than of nodes"},
          {"train_mask", masks(3, 2, {1, 1, 1, 1, 1, 1}), "train_mask: 3 x 2, expected 6 rows or columns (the nodes)"},
          {"train_mask", mask({1, 0, 0, 0, 1, 0}), "train_mask: node 4 has no label, expected a labelled node"}}) {
        Members m = pyg();
        m[b.member] = b.bytes;
        EXPECT_EQ(refused(m), std::string("g.npz: ") + b.message);
    }
    Members m = heterophilous();
    m["val_masks"] = masks(3, 6, std::vector<double>(18, 0));
    EXPECT_EQ(refused(m), "g.npz: val_masks: 3 splits, expected 2 as in train_masks");
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
