// Graphs in folders: arrays, scipy's and Matrix Market's matrices, OGB's tables as they are downloaded. All are the
// graph of the bundle; folders of other forms are named with their converter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "pdadmm/error.hpp"
#include "tests/data/graph_npz.hpp"

using namespace pdadmm;
using namespace graph_npz;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

/// A folder that lives as long as the test.
class Folder : public testing::Test {
protected:
    void SetUp() override {
        root_ = fs::temp_directory_path() / ("pdadmm_folder_" + std::to_string(::getpid()));
        fs::remove_all(root_);
        fs::create_directories(root_);
    }
    void TearDown() override { fs::remove_all(root_); }

    void put(const fs::path& file, const zip::Bytes& bytes) const {
        fs::create_directories((root_ / file).parent_path());
        std::ofstream(root_ / file, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    void put(const fs::path& file, const std::string& text) const { put(file, zip::to_bytes(text)); }
    void put_features_and_labels() const {
        put("features.npy", dense_bundle().at("features"));
        put("labels.npy", bundle().at("labels"));
    }
    /// The bundle's graph as OGB lays it out; split by time.
    void put_ogb() const {
        put("raw/edge.csv.gz", zip::gzip("0,1\n1,0\n1,2\n2,1\n2,3\n3,2\n5,5\n"));
        put("raw/node-feat.csv.gz", zip::gzip("1,0,0\n0,1,0\n2,0,0.5\n0,0,0\n0,0,0\n0,0,3\n"));
        put("raw/node-label.csv.gz", zip::gzip("0\n1\n0\n1\nnan\n0\n"));
        put("raw/num-node-list.csv.gz", zip::gzip("6\n"));
        put("raw/num-edge-list.csv.gz", zip::gzip("7\n"));
        put("raw/node_year.csv.gz", zip::gzip("2013\n2014\n"));
        put("mapping/nodeidx2paperid.csv.gz", zip::gzip("node idx,paper id\n0,7\n"));
        put("split/time/train.csv.gz", zip::gzip("0\n1\n"));
        put("split/time/valid.csv.gz", zip::gzip("2\n"));
        put("split/time/test.csv.gz", zip::gzip("3\n5\n"));
    }
    Dataset load() const { return load_dataset(root_.string()); }
    std::string refused() const {
        const std::string message = refusal<DataError>([&] { load(); });
        const std::size_t at = message.find(root_.string());
        return at == std::string::npos ? message
                                       : message.substr(0, at) + "F" + message.substr(at + root_.string().size());
    }

    fs::path root_;
};

const std::string kMarket = "%%MatrixMarket matrix coordinate pattern symmetric\n6 6 4\n2 1\n3 2\n4 3\n6 6\n";

TEST_F(Folder, ScipyMatrixBesideArrays) {
    put_features_and_labels();
    const Members scipy = {{"indptr", ints({0, 1, 3, 5, 6, 6, 7})},
                           {"indices", ints({1, 0, 2, 1, 3, 2, 5})},
                           {"data", floats({1, 1, 1, 1, 1, 1, 1})},
                           {"shape", ints({6, 6})},
                           {"format", npy("|S3", "()", "csr", 3)}};
    put("adj.npz", archive(scipy));
    put("train_idx.npy", ints({0, 1}));
    put("notes.npy", ints({0}));  // passed over
    put("README.txt", "text");
    const Dataset d = load();
    EXPECT_EQ(dataset_digest(d), dataset_digest(read(dense_bundle())));
    EXPECT_EQ(d.name, root_.filename().string());
    EXPECT_THAT(d.stored_split.train, ElementsAre(0, 1));
    EXPECT_EQ(load_dataset(root_.string() + "/").name, d.name);
    // Sparse features beside it: another archive of scipy's, which its name tells.
    fs::remove(root_ / "features.npy");
    put("features.npz", archive({{"row", ints({0, 1, 2, 2, 5})},
                                 {"col", ints({0, 1, 0, 2, 2})},
                                 {"data", floats({1, 1, 2, 0.5, 3})},
                                 {"shape", ints({6, 3})},
                                 {"format", npy("|S3", "()", "coo", 3)}}));
    EXPECT_EQ(dataset_digest(load()), dataset_digest(read(bundle())));
}

TEST_F(Folder, MatrixMarket) {
    put_features_and_labels();
    put("graph.mtx", kMarket);
    EXPECT_EQ(dataset_digest(load()), dataset_digest(read(dense_bundle())));
    fs::remove(root_ / "graph.mtx");
    put("any_name.mtx.gz", zip::gzip(kMarket));
    EXPECT_EQ(dataset_digest(load()), dataset_digest(read(dense_bundle())));
    put("adj.mtx", kMarket);
    EXPECT_EQ(refused(), "F: adj.mtx and any_name.mtx.gz, expected one of them; leave one out");
    fs::remove(root_ / "any_name.mtx.gz");
    put("adj.mtx", "%%MatrixMarket matrix coordinate real general\n6 6 2\n1 2 1\n2 3 -1\n");
    EXPECT_EQ(refused(), "F: adj.mtx: weight -1 at row 1, column 2, expected weights above 0");
    put("adj.mtx", "%%MatrixMarket matrix coordinate complex general\n6 6 0\n");
    EXPECT_EQ(refused(), "F/adj.mtx: line 1: 'complex', expected real, integer or pattern; save real numbers");
    put("adj.mtx", "%%MatrixMarket matrix coordinate real general\n6 7 1\n1 7 1\n");
    EXPECT_EQ(refused(), "F: adj.mtx: 6 x 7, expected a square matrix");
    put("adj.mtx", "%%MatrixMarket matrix coordinate real general\n7 7 1\n1 7 1\n");
    EXPECT_EQ(refused(), "F: labels.npy: 6 entries, expected 7 (the nodes of adj.mtx)");
}

TEST_F(Folder, OgbAsItIsDownloaded) {
    put_ogb();
    const Dataset d = load();
    EXPECT_EQ(dataset_digest(d), dataset_digest(read(dense_bundle())));
    EXPECT_THAT(d.stored_split.train, ElementsAre(0, 1));
    EXPECT_THAT(d.stored_split.val, ElementsAre(2));
    EXPECT_THAT(d.stored_split.test, ElementsAre(3, 5));
    EXPECT_EQ(described(make_split(d, "auto", 0)), "stored (split/time/train.csv.gz): 2 train, 1 val, 2 test");
    put("raw/edge-feat.csv.gz", zip::gzip("0.5\n"));
    EXPECT_THAT(load().notes, ElementsAre("raw/edge-feat.csv.gz: not used; weights of edges are called edge_weight"));
    put("split/time/test.csv.gz", zip::gzip("4\n3\n5\n"));
    EXPECT_THAT(load().stored_split.every_test, ElementsAre(4, 3, 5));
}

TEST_F(Folder, BrokenOgbTablesAreRefusedWithTheirLine) {
    struct Broken {
        const char* file;
        const char* text;
        const char* message;
    };
    for (const Broken& b :
         {Broken{"raw/edge.csv.gz", "0,1\n1,2,3\n", "F/raw/edge.csv.gz: line 2: 3 fields, expected 2 as in line 1"},
          {"raw/edge.csv.gz", "0,1\n1,6\n",
           "F: raw/edge.csv.gz: node 6 at edge 1, expected 0 to 5 (the nodes of "
           "raw/node-feat.csv.gz)"},
          {"raw/edge.csv.gz", "a,b\n", "F/raw/edge.csv.gz: line 1: 'a', expected a whole number"},
          {"raw/num-node-list.csv.gz", "3\n3\n", "F/raw/num-node-list.csv.gz: 2 values, expected one integer"},
          {"raw/num-node-list.csv.gz", "7\n",
           "F: raw/num-node-list.csv.gz: 7 nodes, expected 6 (the nodes of raw/node-feat.csv.gz)"},
          {"raw/node-label.csv.gz", "0,1\n1,1\n0,1\n1,1\n0,0\n0,0\n",
           "F/raw/node-label.csv.gz: 2 columns, expected one class a node; several labels a node (multi-label) are not "
           "supported"},
          {"split/time/train.csv.gz", "3\n",
           "F: split/time/test.csv.gz: node 3 is in split/time/train.csv.gz too, "
           "expected disjoint parts"}}) {
        put_ogb();
        put(b.file, zip::gzip(b.text));
        EXPECT_EQ(refused(), b.message);
    }
    put_ogb();
    zip::Bytes cut = zip::gzip("1,0,0\n0,1,0\n2,0,0.5\n0,0,0\n0,0,0\n0,0,3\n");
    cut.resize(cut.size() - 9);
    put("raw/node-feat.csv.gz", cut);
    EXPECT_EQ(refused(), "F/raw/node-feat.csv.gz: packed data end too early; fetch or save the file again");
    put_ogb();
    put("split/size/train.csv.gz", zip::gzip("0\n"));
    EXPECT_EQ(refused(), "F/split: 2 kinds of split (size, time), expected one; move the others away");
}

/// The bundle's graph as GraphSAINT publishes graphs.
const std::string kClassMap = R"({"0": 0, "1": 1, "3": 1, "2": 0, "5": 0})",
                  kRoles = R"({"tr": [0, 1], "va": [2], "te": [3, 5]})";

TEST_F(Folder, GraphSaint) {
    put("class_map.json", kClassMap);
    EXPECT_EQ(refused(),
              "F: no adj_full.npz beside class_map.json, expected GraphSAINT's adj_full.npz, feats.npy and role.json");
    put("adj_full.npz", archive({{"indptr", ints({0, 1, 3, 5, 6, 6, 7})},
                                 {"indices", ints({1, 0, 2, 1, 3, 2, 5})},
                                 {"data", npy("|b1", "(7,)", "\1\1\1\1\1\1\1", 7)},
                                 {"shape", ints({6, 6})}}));
    put("adj_train.npz", "passed over");
    put("feats.npy", dense_bundle().at("features"));
    put("role.json", kRoles);
    const Dataset d = load();
    EXPECT_EQ(dataset_digest(d), dataset_digest(read(dense_bundle())));  // node 4 has no label
    EXPECT_THAT(d.stored_split.train, ElementsAre(0, 1));
    EXPECT_THAT(d.stored_split.val, ElementsAre(2));
    EXPECT_THAT(d.stored_split.test, ElementsAre(3, 5));
    EXPECT_EQ(d.stored_split.reason, "role.json: tr");
    struct Broken {
        const char *file, *text, *message;
    };
    for (const Broken& b :
         {Broken{"role.json", R"({"tr": [0], "va": [1]})", "F/role.json: no list te, expected tr, va and te"},
          {"role.json", R"({"tr": [0, 6], "va": [1], "te": [2]})", "F: role.json: tr: node 6, expected 0 to 5"},
          {"role.json", R"({"tr": [0, 1], "va": [1], "te": [2]})",
           "F: role.json: va: node 1 is in role.json: tr too, expected disjoint parts"},
          {"class_map.json", "{}", "F/class_map.json: empty, expected a label a node"},
          {"class_map.json", R"({"6": 1})", "F/class_map.json: node 6, expected 0 to 5"},
          {"class_map.json", R"({"a": 1})", "F/class_map.json: node a, expected 0 to 5"},
          {"class_map.json", R"({"0": 1, "0": 1})", "F/class_map.json: node 0 twice, expected once"},
          {"class_map.json", R"({"0": 1, "1": [1, 0]})",
           "F/class_map.json: 2 numbers for node 1, 1 for node 0, expected as many for all"},
          {"class_map.json", R"({"0": 1.5})",
           "F/class_map.json: 1.5 for \"0\", expected {\"key\": whole number or list of them, ...}"},
          {"class_map.json", R"({"0": 3000000000})",
           "F/class_map.json: 3000000000 for \"0\", expected {\"key\": whole number or list of them, ...}"},
          {"class_map.json", R"({"0": {}})",
           "F/class_map.json: an object for \"0\", expected {\"key\": whole number or list of them, ...}"},
          {"class_map.json", R"({"0": "a\u001b"})",
           "F/class_map.json: a text for \"0\", expected {\"key\": whole number or list of them, ...}"},
          {"class_map.json", "[0, 1]",
           "F/class_map.json: a list, expected {\"key\": whole number or list of them, ...}"},
          {"class_map.json", R"({"0": 1)",
           "F/class_map.json: byte 8: no JSON, expected {\"key\": whole number or list of them, ...}"}}) {
        put("class_map.json", kClassMap);
        put("role.json", kRoles);
        put(b.file, b.text);
        EXPECT_EQ(refused(), b.message);
    }
}

TEST_F(Folder, OtherFormsAreNamedWithTheirConverter) {
    EXPECT_THAT(refused(), HasSubstr("F: no file of a graph, expected features.npy, labels.npy and edges.npy"));
    put_features_and_labels();
    EXPECT_THAT(refused(), HasSubstr("F: no adjacency, expected adj_indptr (and its fellows), edge_index or edges"));
    put("ind.pubmed.graph", "x");
    EXPECT_THAT(refused(), HasSubstr("python3 data/prepare.py --planetoid"));
    EXPECT_THAT(refused(), testing::EndsWith(" pubmed"));
}

TEST_F(Folder, FilesOfOtherKindsAreNamed) {
    put("graph.pt", zip::write({zip::member("graph/data.pkl", zip::to_bytes("x"))}));
    const auto message = [&](const char* file) {
        return refusal<DataError>([&] { load_dataset((root_ / file).string()); });
    };
    EXPECT_THAT(message("graph.pt"),
                HasSubstr("graph.pt: is a PyTorch file, expected an .npz archive; make a bundle with: "
                          "python3 data/prepare.py pyg FILE"));
    put("page.npz", "<!DOCTYPE html>\n<html>");
    EXPECT_THAT(message("page.npz"), HasSubstr("is an HTML page"));
    put("x.npz", "PK\x03\x04 but no more");
    EXPECT_THAT(message("x.npz"), HasSubstr("is not an .npz archive"));
}

}  // namespace
