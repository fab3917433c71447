// Where data sets are found by name or path, in which order, and what is said to who lacks one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "host/data/dataset_reader.hpp"
#include "pdadmm/error.hpp"
#include "tests/data/graph_npz.hpp"

using namespace pdadmm;
using namespace graph_npz;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

/// A folder that is PDADMM_DATA while it lives; HOME and XDG_CACHE_HOME point into it too.
class Lookup : public testing::Test {
protected:
    void SetUp() override {
        root_ = fs::temp_directory_path() / ("pdadmm_dataset_" + std::to_string(::getpid()));
        fs::create_directories(root_ / "a" / "npz");
        fs::create_directories(root_ / "b");
        for (const char* name : {"PDADMM_DATA", "HOME", "XDG_CACHE_HOME"}) {
            const char* value = std::getenv(name);
            old_.emplace_back(name, value ? value : "");
        }
        ::setenv("PDADMM_DATA", ((root_ / "a").string() + "::" + (root_ / "b").string()).c_str(), 1);
        ::setenv("HOME", root_.c_str(), 1);
        started_in_ = fs::current_path();
        fs::current_path(root_);  // data/bundles below the checkout may hold data sets
        ::setenv("XDG_CACHE_HOME", (root_ / "cache").c_str(), 1);
    }
    void TearDown() override {
        for (const auto& [name, value] : old_)
            value.empty() ? ::unsetenv(name.c_str()) : ::setenv(name.c_str(), value.c_str(), 1);
        fs::current_path(started_in_);
        fs::remove_all(root_);
    }
    void put(const fs::path& path, const Members& members) const {
        fs::create_directories((root_ / path).parent_path());
        const zip::Bytes bytes = archive(members);
        std::ofstream(root_ / path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    /// A bundle without an edge that has the size of Cora.
    static Members cora_sized() {
        Members m = dense_bundle();
        const int nodes = 2708, features = 1433;
        for (const char* name : {"train_idx", "val_idx", "test_idx"}) m.erase(name);
        m["adj_indptr"] = ints(std::vector<double>(nodes + 1, 0));
        m["adj_indices"] = ints({});
        m["adj_shape"] = ints({nodes, nodes});
        m["features"] = table(nodes, features, std::vector<float>(nodes * features, 1));
        std::vector<double> labels(nodes);
        for (int i = 0; i < nodes; ++i) labels[i] = i % 7;
        m["labels"] = ints(labels);
        return m;
    }

    fs::path root_, started_in_;
    std::vector<std::pair<std::string, std::string>> old_;
};

TEST_F(Lookup, PathsNeedNoName) {
    put("mine.npz", bundle());
    const Dataset d = load_dataset((root_ / "mine.npz").string());
    EXPECT_EQ(d.name, "mine");
    EXPECT_EQ(d.nodes, 6);
    EXPECT_THAT(refusal<DataError>([&] { load_dataset((root_ / "gone.npz").string()); }), HasSubstr("gone.npz"));
    EXPECT_EQ(load_dataset(root_.string()).nodes, 6);  // a folder with one archive
    EXPECT_THAT(refusal<DataError>([&] { load_dataset((root_ / "a").string()); }), HasSubstr("no file of a graph"));
    LoadOptions tight;
    tight.max_bytes = 100;
    EXPECT_NE(refusal<DataError>([&] { load_dataset((root_ / "mine.npz").string(), tight); }), "");
}

TEST_F(Lookup, FoldersAreSearchedInOrder) {
    LoadOptions options;
    options.folders = {root_ / "c"};
    put("cache/pdadmm/cora.npz", cora_sized());
    EXPECT_EQ(find_dataset("cora"), root_ / "cache/pdadmm/cora.npz");
    put("b/cora.npz", cora_sized());
    EXPECT_EQ(find_dataset("cora"), root_ / "b/cora.npz");
    put("a/cora.npz", cora_sized());
    EXPECT_EQ(find_dataset("Planetoid-Cora"), root_ / "a/cora.npz");
    put("c/cora.npz", cora_sized());
    EXPECT_EQ(find_dataset("cora", options), root_ / "c/cora.npz");
    put("a/npz/ms_academic_cs.npz", bundle());
    EXPECT_EQ(find_dataset("cs"), root_ / "a/npz/ms_academic_cs.npz");
    put("a/ms_academic_phy.npz", bundle());
    EXPECT_EQ(find_dataset("coauthor-physics"), root_ / "a/ms_academic_phy.npz");
    EXPECT_EQ(load_dataset("cora").name, "cora");
    fs::create_directories(root_ / "a/ppi");
    std::ofstream(root_ / "a/ppi/class_map.json") << "{}";
    EXPECT_EQ(find_dataset("ppi"), root_ / "a/ppi");  // GraphSAINT's folder
}

TEST_F(Lookup, MissingDataSetsComeWithTheCommand) {
    for (const std::string& name : dataset_names())
        EXPECT_THAT(refusal<DataError>([&] { load_dataset(name); }),
                    testing::EndsWith("get it with: python3 data/prepare.py " + name));
    fs::create_directories(root_ / "b/planetoid");
    std::ofstream(root_ / "b/planetoid/ind.cora.graph") << "x";
    EXPECT_THAT(refusal<DataError>([&] { load_dataset("cora"); }),
                testing::EndsWith("get it with: python3 data/prepare.py --planetoid " +
                                  (root_ / "b/planetoid").string() + " cora"));
    EXPECT_THAT(refusal<UsageError>([&] { load_dataset("coral"); }),
                testing::StartsWith("data set coral: unknown, expected one of cora, "));
    EXPECT_THAT(refusal<UsageError>([&] { load_dataset("\x1b[2J"); }), testing::StartsWith("data set "));
    EXPECT_THAT(refusal<UsageError>([&] { load_dataset(""); }), testing::StartsWith("data set "));
}

TEST_F(Lookup, ABuiltInNameIsThatDataSet) {
    put("a/cora.npz", bundle());
    EXPECT_THAT(refusal<DataError>([&] { load_dataset("cora"); }),
                HasSubstr("6 nodes, 3 features, 2 classes, expected 2708, 1433, 7 for cora"));
    Members shchur = bundle();
    shchur.erase("pdadmm_bundle");
    put("a/citeseer.npz", shchur);
    EXPECT_THAT(refusal<DataError>([&] { load_dataset("citeseer"); }),
                HasSubstr("another data set than citeseer, expected a bundle"));
    EXPECT_EQ(load_dataset((root_ / "a/citeseer.npz").string()).nodes, 6);
}

}  // namespace
