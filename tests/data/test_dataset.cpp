// Graphs from files: what is legal is kept exactly, what is broken is refused with one line that names file, member and
// place; the real graphs have their known counts (with PDADMM_DATA).
#include "host/data/dataset_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>

#include "pdadmm/error.hpp"
#include "tests/data/graph_npz.hpp"

using namespace pdadmm;
using namespace graph_npz;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::vector<float> row(const Csr& m, Index i) {
    std::vector<float> out(m.cols, 0);
    for (Index k = m.offsets[i]; k < m.offsets[i + 1]; ++k) out[m.columns[k]] = m.values[k];
    return out;
}

TEST(Bundle, IsReadExactly) {
    const Dataset d = read(bundle());
    EXPECT_EQ(d.name, "g");
    EXPECT_EQ(d.nodes, 6);
    EXPECT_EQ(d.classes, 2);
    EXPECT_THAT(d.adjacency.offsets, ElementsAre(0, 1, 3, 5, 6, 6, 7));
    EXPECT_THAT(d.adjacency.columns, ElementsAre(1, 0, 2, 1, 3, 2, 5));
    EXPECT_THAT(d.adjacency.values, testing::Each(1.0f));
    EXPECT_EQ(d.features.count, 3);
    EXPECT_TRUE(d.features.is_sparse());
    EXPECT_THAT(row(d.features.sparse, 2), ElementsAre(2, 0, 0.5f));
    EXPECT_THAT(d.labels, ElementsAre(0, 1, 0, 1, -1, 0));
    EXPECT_THAT(d.stored_split.train, ElementsAre(0, 1));
    EXPECT_THAT(d.stored_split.val, ElementsAre(2));
    EXPECT_THAT(d.stored_split.test, ElementsAre(3, 5));
    EXPECT_EQ(d.stored_split.name, "stored");
    EXPECT_EQ(d.facts.stored_entries, 7);
    EXPECT_EQ(d.facts.duplicates, 0);
    EXPECT_EQ(d.facts.self_loops, 1);
    EXPECT_EQ(d.facts.isolated, 2);
    EXPECT_TRUE(d.facts.symmetric);
}

TEST(Bundle, DenseFeaturesSayTheSame) {
    const Dataset d = read(dense_bundle()), sparse = read(bundle());
    EXPECT_FALSE(d.features.is_sparse());
    EXPECT_EQ(d.features.count, 3);
    for (Index i = 0; i < 6; ++i)
        EXPECT_EQ(std::vector<float>(d.features.dense.begin() + 3 * i, d.features.dense.begin() + 3 * i + 3),
                  row(sparse.features.sparse, i));
}

TEST(Bundle, OptionalParts) {
    Members m = bundle();
    for (const char* name : {"train_idx", "val_idx", "test_idx", "attr_data"}) m.erase(name);
    m["classes"] = ints({4});
    m["extra"] = npy("|O", "(1,)", "\x80\x04N.", 4);  // not read, so not looked at
    const Dataset d = read(m);
    EXPECT_EQ(d.classes, 4);
    EXPECT_TRUE(d.stored_split.train.empty());
    EXPECT_THAT(d.features.sparse.values, testing::Each(1.0f));
}

TEST(Bundle, ShchursLayoutIsToldApartByItsKeys) {
    Members m = bundle();
    for (const char* name : {"pdadmm_bundle", "train_idx", "val_idx", "test_idx"}) m.erase(name);
    m["adj_data"] = floats({1, 1, 1, 1, 1, 1, 1});
    m["class_names"] = m["node_names"] = m["idx_to_class"] = npy("|O", "(1,)", "\x80\x04N.", 4);
    EXPECT_EQ(dataset_digest(read(m)), dataset_digest(read(bundle())));
}

TEST(Bundle, BinaryFeaturesOnlyWhenAsked) {
    EXPECT_THAT(read(bundle()).features.sparse.values, ElementsAre(1, 1, 2, 0.5f, 3));
    EXPECT_THAT(read(bundle(), {.binary_features = true}).features.sparse.values, testing::Each(1.0f));
    EXPECT_THAT(row(read(bundle(), {.binary_features = true}).features.sparse, 2), ElementsAre(1, 0, 1));
    for (const float v : read(dense_bundle(), {.binary_features = true}).features.dense) EXPECT_TRUE(v == 0 || v == 1);
}

TEST(Bundle, OrderOfARowAndRepeatedEdgesChangeNothing) {
    Members m = bundle();
    m["adj_indptr"] = ints({0, 2, 4, 7, 8, 8, 10});
    m["adj_indices"] = ints({1, 1, 2, 0, 3, 1, 1, 2, 5, 5});
    m["attr_indices"] = ints({0, 1, 2, 0, 2});
    m["attr_data"] = floats({1, 1, 0.5, 2, 3});
    const Dataset d = read(m);
    EXPECT_EQ(dataset_digest(d), dataset_digest(read(bundle())));
    EXPECT_EQ(d.facts.stored_entries, 10);
    EXPECT_EQ(d.facts.duplicates, 3);
    EXPECT_EQ(d.facts.self_loops, 1);
}

TEST(Bundle, RepeatedWeightsKeepTheLargestRepeatedFeaturesAdd) {
    Members m = bundle();
    m["adj_indptr"] = ints({0, 2, 2, 2, 2, 2, 2});
    m["adj_indices"] = ints({3, 3});
    m["adj_data"] = floats({0.25, 2});
    m["attr_indices"] = ints({0, 1, 2, 2, 2});
    const Dataset d = read(m);
    EXPECT_THAT(d.adjacency.values, ElementsAre(2));
    EXPECT_FALSE(d.facts.symmetric);
    EXPECT_THAT(row(d.features.sparse, 2), ElementsAre(0, 0, 2.5f));
}

TEST(Bundle, SymmetryMeansEqualWeights) {
    Members m = bundle();
    m["adj_data"] = floats({1, 1, 1, 1, 1, 1, 1});
    EXPECT_TRUE(read(m).facts.symmetric);
    m["adj_data"] = floats({1, 2, 1, 1, 1, 1, 1});
    EXPECT_FALSE(read(m).facts.symmetric);
}

TEST(Bundle, ManyIsolatedNodesAndNoEdge) {
    Members m = bundle();
    m["adj_indptr"] = ints({0, 0, 0, 0, 0, 0, 0});
    m["adj_indices"] = ints({});
    const Dataset d = read(m);
    EXPECT_EQ(d.facts.isolated, 6);
    EXPECT_TRUE(d.facts.symmetric);
}

TEST(Bundle, DigestFollowsContentOnly) {
    Members m = bundle();
    const std::string digest = dataset_digest(read(m));
    EXPECT_THAT(digest, testing::MatchesRegex("[0-9a-f]{32}"));
    for (const char* name : {"train_idx", "val_idx", "test_idx"}) m.erase(name);
    EXPECT_EQ(dataset_digest(read(m)), digest);
    const std::vector<std::pair<std::string, zip::Bytes>> changes = {{"labels", ints({0, 1, 0, 0, -1, 0})},
                                                                     {"attr_data", floats({1, 1, 2, 0.5, 4})},
                                                                     {"attr_indices", ints({0, 1, 0, 1, 2})},
                                                                     {"adj_indices", ints({1, 0, 2, 1, 3, 2, 4})},
                                                                     {"adj_data", floats({1, 1, 1, 1, 1, 1, 2})},
                                                                     {"attr_shape", ints({6, 4})},
                                                                     {"classes", ints({3})}};
    for (const auto& [name, bytes] : changes) {
        Members changed = m;
        changed[name] = bytes;
        EXPECT_NE(dataset_digest(read(changed)), digest) << name;
    }
}

struct Fault {
    const char* what;
    const char* message;  // all of it behind "g.npz: "; a part where it ends in "..."
    std::function<void(Members&)> break_it;
    bool dense = false;
};

const double nan_ = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
auto set(const char* name, zip::Bytes bytes) {
    return [=](Members& m) { m[name] = bytes; };
}
auto drop(const char* name) {
    return [=](Members& m) { m.erase(name); };
}

const std::vector<Fault> kFaults = {
    {"marker of the future", "bundle version 2, expected 1; make it anew with this version's data/prepare.py",
     set("pdadmm_bundle", ints({2}))},
    {"marker of two values", "pdadmm_bundle.npy: 2 values, expected one integer", set("pdadmm_bundle", ints({1, 1}))},
    {"no adjacency", "no array 'adj_indices', expected a member adj_indices.npy", drop("adj_indices")},
    {"no features", "no features, expected attr_indptr...", drop("features"), true},
    {"indptr too short", "adj_indptr: 6 entries, expected 7 (one more than the rows of adj_shape)",
     set("adj_indptr", ints({0, 1, 3, 5, 6, 7}))},
    {"indptr empty", "adj_indptr: 0 entries, expected 7 (one more than the rows of adj_shape)",
     set("adj_indptr", ints({}))},
    {"indptr starts at 1", "adj_indptr: starts with 1, expected 0", set("adj_indptr", ints({1, 1, 3, 5, 6, 6, 7}))},
    {"indptr falls", "adj_indptr: falls from 5 to 4 at row 3, expected no decrease",
     set("adj_indptr", ints({0, 1, 3, 5, 4, 6, 7}))},
    {"indptr rises too far", "adj_indptr: falls from 99 to 6 at row 4, expected no decrease",
     set("adj_indptr", ints({0, 1, 3, 5, 99, 6, 7}))},
    {"indptr ends early", "adj_indptr: ends with 6, expected 7 (the length of adj_indices)",
     set("adj_indptr", ints({0, 1, 3, 5, 6, 6, 6}))},
    {"negative column", "adj_indices: column -1 in row 1, expected 0 to 5",
     set("adj_indices", ints({1, 0, -1, 1, 3, 2, 5}))},
    {"column too large", "adj_indices: column 6 in row 5, expected 0 to 5",
     set("adj_indices", ints({1, 0, 2, 1, 3, 2, 6}))},
    {"column beyond 32 bits", "adj_indices...", set("adj_indices", ints({1, 0, 2, 1, 3, 2, 4294967297.0}))},
    {"weights too few", "adj_data: 6 entries, expected 7 (the length of adj_indices)",
     set("adj_data", floats({1, 1, 1, 1, 1, 1}))},
    {"weight negative", "adj_data: weight -1 at row 1, column 2, expected weights above 0",
     set("adj_data", floats({1, 1, -1, 1, 1, 1, 1}))},
    {"weight NaN", "adj_data: value nan at row 0, column 1, expected finite and at most 1e15",
     set("adj_data", floats({nan_, 1, 1, 1, 1, 1, 1}))},
    {"shape of three", "adj_shape.npy: 3 values, expected two (rows, columns)", set("adj_shape", ints({6, 6, 6}))},
    {"not square", "adj_shape: 6 x 7, expected a square matrix", set("adj_shape", ints({6, 7}))},
    {"no node", "adj_shape: 0 rows, expected 1 to 2147483647", set("adj_shape", ints({0, 0}))},
    {"nodes negative", "adj_shape: -6 rows, expected 1 to 2147483647", set("adj_shape", ints({-6, -6}))},
    {"2^31 nodes", "adj_shape: 2147483648 rows, expected 1 to 2147483647",
     set("adj_shape", ints({2147483648.0, 2147483648.0}))},
    {"2^62 nodes", "adj_shape: 4611686018427387904 rows, expected 1 to 2147483647",
     set("adj_shape", ints({0x1p62, 0x1p62}))},
    {"2^31 - 1 nodes promised", "adj_indptr: 7 entries, expected 2147483648 (one more than the rows of adj_shape)",
     set("adj_shape", ints({2147483647, 2147483647}))},
    {"features of fewer nodes", "attr_shape: 5 rows, expected 6 (the nodes of adj_shape)",
     set("attr_shape", ints({5, 3}))},
    {"feature out of range", "attr_indices: column 3 in row 5, expected 0 to 2",
     set("attr_indices", ints({0, 1, 0, 2, 3}))},
    {"no feature", "attr_shape: 0 columns, expected 1 to 2147483647", set("attr_shape", ints({6, 0}))},
    {"feature NaN", "attr_data: value nan at row 2, column 2, expected finite and at most 1e15",
     set("attr_data", floats({1, 1, 2, nan_, 3}))},
    {"feature infinite", "attr_data: value -inf at row 1, column 1, expected finite and at most 1e15",
     set("attr_data", floats({1, -inf, 2, 1, 3}))},
    {"feature huge", "attr_data: value 1e+16 at row 0, column 0, expected finite and at most 1e15",
     set("attr_data", floats({1e16, 1, 2, 1, 3}))},
    {"feature beyond float", "attr_data...", set("attr_data", vector_npy<double>("<f8", {1, 1, 1e300, 1, 1}))},
    {"dense of rank 1", "features.npy: rank 1, expected 2", set("features", floats({1, 2, 3, 4, 5, 6})), true},
    {"dense of fewer nodes", "features: 5 rows, expected 6 (the nodes of adj_shape)",
     set("features", table(5, 1, {1, 2, 3, 4, 5})), true},
    {"dense of no feature", "features: 0 columns, expected 1 to 2147483647", set("features", table(6, 0, {})), true},
    {"dense NaN", "features: value nan at row 4, column 0 (2 such values), expected finite and at most 1e15",
     set("features", table(6, 1, {0, 1, 2, 3, NAN, INFINITY})), true},
    {"labels too few", "labels: 5 entries, expected 6 (the nodes of adj_shape)", set("labels", ints({0, 1, 0, 1, 0}))},
    {"labels of rank 2", "labels: 2 entries, expected 6 (the nodes of adj_shape)",
     set("labels", table(2, 3, {0, 1, 0, 1, 0, 1}))},
    {"label -2",
     "labels: -2 at node 1, expected a class from 0 up or -1 (unlabelled); if it means unlabelled, add --unlabelled -2",
     set("labels", ints({0, -2, 0, 1, 1, 0}))},
    {"label above classes", "labels: 2 at node 5, expected 0 to 1 or -1 (unlabelled)",
     [](Members& m) { m["labels"] = ints({0, 1, 0, 1, 1, 2}), m["classes"] = ints({2}); }},
    {"labels fractional", "labels.npy...", set("labels", floats({0, 1, 0.5, 1, 1, 0}))},
    {"labels NaN", "val_idx: node 2 has no label, expected a labelled node",
     set("labels", floats({0, 1, nan_, 1, 1, 0}))},
    {"classes 1", "classes: 1, expected 2 to 1048576", set("classes", ints({1}))},
    {"train empty", "train_idx: empty, expected at least one node", set("train_idx", ints({}))},
    {"train missing", "train_idx: missing beside val_idx, expected at least one node", drop("train_idx")},
    {"train negative", "train_idx: node -1, expected 0 to 5", set("train_idx", ints({0, -1}))},
    {"test out of range", "test_idx: node 6, expected 0 to 5", set("test_idx", ints({3, 6}))},
    {"test beyond 64 bits as float", "test_idx.npy...", set("test_idx", floats({3, 1e30}))},
    {"train twice", "train_idx: node 1 twice, expected once", set("train_idx", ints({0, 1, 1}))},
    {"train and test overlap", "test_idx: node 1 is in train_idx too, expected disjoint parts",
     set("test_idx", ints({3, 1}))},
    {"val and test overlap", "test_idx: node 2 is in val_idx too, expected disjoint parts", set("test_idx", ints({2}))},
    {"train and val overlap", "val_idx: node 0 is in train_idx too, expected disjoint parts",
     set("val_idx", ints({0}))},
    {"unlabelled node in a part", "val_idx: node 4 has no label, expected a labelled node", set("val_idx", ints({4}))},
    {"pickled labels", "labels.npy...", set("labels", npy("|O", "(6,)", "\x80\x04N.", 4))},
};

TEST(Bundle, LabelsAreNotNeededToRead) {
    Members unlabelled = bundle();
    for (const char* name : {"labels", "train_idx", "val_idx", "test_idx"}) unlabelled.erase(name);
    const Dataset none = read(unlabelled);
    unlabelled["labels"] = ints({-1, -1, -1, -1, -1, -1});
    const Dataset all_unknown = read(unlabelled);
    for (const Dataset* d : {&none, &all_unknown}) {
        EXPECT_EQ(d->classes, 0);
        EXPECT_THAT(d->labels, ElementsAre(-1, -1, -1, -1, -1, -1));
        EXPECT_EQ(d->features.count, 3);
    }
    EXPECT_EQ(dataset_digest(none), dataset_digest(all_unknown));
    unlabelled["labels"] = ints({-1, 0, -1, -1, -1, -1});
    EXPECT_EQ(read(unlabelled).classes, 1);
}

TEST(Bundle, EveryFaultIsRefusedWithItsPlace) {
    for (const Fault& fault : kFaults) {
        Members m = fault.dense ? dense_bundle() : bundle();
        fault.break_it(m);
        const std::string message = refusal<DataError>([&] { read(m); });
        std::string expected = fault.message;
        if (expected.ends_with("...")) {
            EXPECT_THAT(message, testing::StartsWith("g.npz: " + expected.substr(0, expected.size() - 3)))
                << fault.what;
        } else {
            EXPECT_EQ(message, "g.npz: " + expected) << fault.what;
        }
    }
}

TEST(Bundle, DtypesThatHoldTheValuesAreReadOthersNamed) {
    const std::vector<double> labels = {0, 1, 0, 1, 1, 0};
    const std::vector<double> indices = {1, 0, 2, 1, 3, 2, 5}, indptr = {0, 1, 3, 5, 6, 6, 7}, data = {1, 1, 2, 4, 3};
    const auto as = [](const std::string& t, const std::vector<double>& v) -> zip::Bytes {
        if (t == "|i1") return vector_npy<std::int8_t>(t, v);
        if (t == "|u1") return vector_npy<std::uint8_t>(t, v);
        if (t == "<i2") return vector_npy<std::int16_t>(t, v);
        if (t == "<u2") return vector_npy<std::uint16_t>(t, v);
        if (t == "<i4") return vector_npy<std::int32_t>(t, v);
        if (t == "<u4") return vector_npy<std::uint32_t>(t, v);
        if (t == "<i8") return vector_npy<std::int64_t>(t, v);
        if (t == "<u8") return vector_npy<std::uint64_t>(t, v);
        if (t == "<f4") return vector_npy<float>(t, v);
        return vector_npy<double>(t, v);
    };
    const std::vector<std::pair<const char*, std::vector<double>>> arrays = {
        {"labels", labels}, {"adj_indices", indices}, {"adj_indptr", indptr}, {"attr_data", data}};
    for (const auto& [name, values] : arrays) {
        Members m = bundle();
        m[name] = as("<i8", values);
        const std::string digest = dataset_digest(read(m));
        for (const char* dtype : {"|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<u8", "<f4", "<f8"}) {
            m[name] = as(dtype, values);
            EXPECT_EQ(dataset_digest(read(m)), digest) << name << ' ' << dtype;
        }
        for (const auto& [dtype, bytes] : {std::pair{"<c8", 8}, {"<U4", 16}, {"<M8[s]", 8}, {"|V4", 4}}) {
            const std::string zeros(values.size() * bytes, '\0');
            m[name] = npy(dtype, fmt::format("({},)", values.size()), zeros.data(), zeros.size());
            EXPECT_THAT(refusal<DataError>([&] { read(m); }), testing::StartsWith(std::string("g.npz: ") + name))
                << dtype;
        }
    }
}

TEST(Bundle, OtherArchivesAreNamedByTheirKeys) {
    const Members other = {{"adj_matrix", ints({1})}, {"node_attr\n\x1b[2J", ints({1})}};
    const std::string message = refusal<DataError>([&] { read(other); });
    EXPECT_THAT(message, HasSubstr("holds adj_matrix, node_attr"));
    EXPECT_THAT(message, HasSubstr("no adjacency, expected adj_indptr (and its fellows), edge_index or edges"));
}

TEST(RealGraphs, HaveTheirKnownCounts) {
    const char* folder = std::getenv("PDADMM_DATA");
    if (!folder) GTEST_SKIP() << "PDADMM_DATA is not set";
    struct Known {
        const char* name;
        Index nodes, features, classes, stored, self_loops, isolated;
        bool symmetric;
    };
    int found = 0;
    for (const Known& k :
         {Known{"computers", 13752, 767, 10, 287209, 0, 281, false},
          Known{"photo", 7650, 745, 8, 143663, 1, 115, false}, Known{"cs", 18333, 6805, 15, 163788, 0, 0, true},
          Known{"physics", 34493, 8415, 5, 495924, 0, 0, true}, Known{"cora", 2708, 1433, 7, 10556, 0, 0, true},
          Known{"citeseer", 3327, 3703, 6, 9228, 124, 48, true}}) {
        Dataset d;
        try {
            find_dataset(k.name);
        } catch (const DataError&) {
            continue;
        }
        d = load_dataset(k.name);
        ++found;
        EXPECT_EQ(d.nodes, k.nodes) << k.name;
        EXPECT_EQ(d.features.count, k.features) << k.name;
        EXPECT_EQ(d.classes, k.classes) << k.name;
        EXPECT_EQ(d.facts.stored_entries, k.stored) << k.name;
        EXPECT_EQ(d.facts.duplicates, 0) << k.name;
        EXPECT_EQ(d.facts.self_loops, k.self_loops) << k.name;
        EXPECT_EQ(d.facts.isolated, k.isolated) << k.name;
        EXPECT_EQ(d.facts.symmetric, k.symmetric) << k.name;
    }
    if (found == 0) GTEST_SKIP() << "none of the known graphs below PDADMM_DATA";
}

}  // namespace
