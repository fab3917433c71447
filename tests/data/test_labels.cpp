// Labels and splits as people store them: their shapes, types and ids, lists and masks; broken ones are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "host/data/class_ids.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "pdadmm/error.hpp"
#include "tests/data/graph_forms.hpp"

using namespace pdadmm;
using namespace graph_npz;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

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
}

TEST(Labels, SeveralANode) {
    Members m = pyg();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    m["y"] = ints2(6, 2, {1, 0, 0, 1, 1, 1, 0, 1, -1, -1, 0, 0});
    const Dataset d = read(m);
    ASSERT_TRUE(d.multi_label());
    EXPECT_EQ(d.classes, 2);
    EXPECT_THAT(d.labels, ElementsAre(0, 0, 0, 0, -1, 0));
    EXPECT_THAT(d.targets, ElementsAre(1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0));
    EXPECT_NE(dataset_digest(d), dataset_digest(read(pyg())));
    const std::string digest = dataset_digest(d);
    m["y"] = matrix<float>("<f4", 6, 2, {1, 0, 0, 1, 1, 1, 0, 1, nan, nan, 0, 0});
    EXPECT_EQ(dataset_digest(read(m)), digest);
    m["y"] = ints2(6, 2, {1, 0, 0, 1, 1, 1, 0, 1, 7, 7, 0, 0});
    EXPECT_EQ(dataset_digest(read(m, {.unlabelled = 7})), digest);
    EXPECT_EQ(refused(m),
              "g.npz: y.npy: 7 for label 0 of node 4, expected 0 or 1; one class a node is an array of one column");
    m["y"] = ints2(6, 2, {1, 0, 0, 1, 1, 1, 0, 1, -1, 0, 0, 0});
    EXPECT_EQ(refused(m), "g.npz: y.npy: 1 of 2 labels of node 4 are unknown, expected all or none");
    m["y"] = ints2(6, 2, {1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0});
    m["classes"] = ints({3});
    EXPECT_EQ(refused(m), "g.npz: y.npy: 2 columns, expected 3, one a label (classes says so)");

    EXPECT_EQ(make_split(d, "auto", 1).name, "stored");
    Dataset bare = d;
    bare.stored_split = {};
    EXPECT_EQ(make_split(bare, "auto", 1).reason, "the data set holds none, and nodes have several labels");
    for (const char* spec : {"paper", "random:1/1/1"})
        EXPECT_THAT(refusal<UsageError>([&] { make_split(d, spec, 1); }),
                    HasSubstr("several labels a node, expected stored or shares such as random:60%/20%/20%"));
    Split lacking = d.stored_split;
    lacking.train = {0};
    EXPECT_THAT(split_warnings(d, lacking), testing::Contains("g: no training node of class 1: it cannot be learned"));
    Dataset other = d;
    EXPECT_EQ(refusal<DataError>([&] { use_class_ids(other, {}, 3); }), "g: 2 labels a node, expected the model's 3");
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

}  // namespace
