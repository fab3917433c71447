// Augmentation on disk against the one in memory, bit for bit: graphs of every shape, all operators, any memory,
// threads and choice of nodes. And how training finds what it leaves.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>

#include "host/data/bf16.hpp"
#include "host/data/sbm.hpp"
#include "host/data/split.hpp"
#include "host/large/slab_product.hpp"
#include "pdadmm/error.hpp"
#include "tests/large/large_case.hpp"
#include "tests/support/random_graph.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::AllOf;
using testing::HasSubstr;

namespace {

Dataset peculiar_graph(std::mt19937_64& random, Csr adjacency, Index features) {
    Dataset d;
    d.name = "peculiar";
    d.nodes = adjacency.rows;
    d.classes = 2;
    d.adjacency = std::move(adjacency);
    d.features.count = features;
    for (Index i = 0; i < features * d.nodes; ++i)
        d.features.dense.push_back(static_cast<float>(random() >> 40) * 0x1p-23F - 1);
    d.facts.symmetric = false;
    for (Index i = 0; i < d.nodes; ++i) d.labels.push_back(static_cast<std::int32_t>(random() % 3) - 1);
    return d;
}

std::vector<std::int32_t> all_nodes(Index count) {
    std::vector<std::int32_t> nodes(at(count));
    std::iota(nodes.begin(), nodes.end(), 0);
    return nodes;
}

/// The parts of the folder's split are those of `split`, but for nodes that are not kept.
void expect_split(const std::string& folder, const Split& split, const std::vector<std::int32_t>& kept) {
    const std::vector<std::int32_t> nodes = nodes_of(folder);
    for (const auto& [name, part] :
         {std::pair("train", &split.train), std::pair("val", &split.val), std::pair("test", &split.test)}) {
        std::vector<std::int32_t> found, expected;
        for (const std::int32_t row : read_npy(fmt::format("{}/{}_idx.npy", folder, name), 1 << 20).as_int32())
            found.push_back(nodes.at(at(row)));
        std::copy_if(part->begin(), part->end(), std::back_inserter(expected),
                     [&](std::int32_t node) { return std::binary_search(kept.begin(), kept.end(), node); });
        EXPECT_EQ(found, expected) << name;
    }
}

TEST(Large, HasTheBitsOfTheWayInMemory) {
    PDADMM_SEEDED();
    const Scratch scratch;
    const auto cpu = make_backend("cpu", {2, 0});
    std::mt19937_64 random(seed);
    std::vector<Csr> graphs = random_adjacencies(random);
    graphs.push_back(random_adjacency(random, 9000, 1000, 40000, true));  // several blocks of rows
    int run = 0;
    for (Csr& stored : graphs) {
        const Dataset d = peculiar_graph(random, std::move(stored), 1 + static_cast<Index>(random() % 11));
        const auto source = source_of(d);
        for (const GraphOptions& graph : graph_options()) {
            const bool many = random() % 4 == 0;
            const FeatureNorm norms[] = {FeatureNorm::none, FeatureNorm::row, FeatureNorm::l2};
            const AugmentOptions augment_options =
                options_of(graph, 1 + static_cast<int>(random() % 4) + (many ? 1 : 0),
                           many ? "row,gcn,heat:2,high" : "gcn", norms[random() % 3]);
            SCOPED_TRACE(
                fmt::format("{} nodes, {} features, {}", d.nodes, d.features.count, to_string(augment_options)));
            Split split;
            for (const std::int32_t node : all_nodes(d.nodes))
                (random() % 2 ? split.train : random() % 2 ? split.val : split.test).push_back(node);
            std::shuffle(split.test.begin(), split.test.end(), random);
            const KeptNodes choice = static_cast<KeptNodes>(random() % 3);
            const std::vector<std::int32_t> nodes = kept_nodes(d, split, choice);
            if (nodes.empty()) continue;
            LargeOptions options =
                on_disk(augment_options, scratch.in(std::to_string(run++)), choice, 1 + static_cast<int>(random() % 2));
            if (random() % 2) options.memory = least_memory(*source, split, options);
            const LargeResult result = augment_on_disk(*source, split, options, {});
            EXPECT_EQ(result.rows, static_cast<Index>(nodes.size()));
            EXPECT_EQ(nodes_of(options.folder), choice == KeptNodes::split ? nodes_in(split) : nodes);
            ASSERT_TRUE(read_X(options.folder) == augment(*cpu, d, nodes_of(options.folder), augment_options));
            EXPECT_FALSE(std::filesystem::exists(options.folder + "/work"));
            expect_split(options.folder, split, nodes);
        }
    }
}

TEST(Large, KeptNodesAreThoseOfTheSplitLabelledOrAll) {
    const Scratch scratch;
    SbmSpec spec;
    spec.nodes = 300;
    const Dataset d = make_sbm(spec);
    const auto source = source_of(spec);
    const LargeOptions options = on_disk(options_of({}, 3), scratch.in("x"), KeptNodes::split);
    augment_on_disk(*source, d.stored_split, options, {});
    const std::vector<std::int32_t> nodes = nodes_of(options.folder),
                                    labels = read_npy(options.folder + "/labels.npy", 1 << 20).as_int32(),
                                    test = read_npy(options.folder + "/test_idx.npy", 1 << 20).as_int32();
    ASSERT_EQ(test.size(), d.stored_split.test.size());
    for (std::size_t k = 0; k < test.size(); ++k) {
        EXPECT_EQ(nodes[at(test[k])], d.stored_split.test[k]);
        EXPECT_EQ(labels[at(test[k])], d.labels[at(d.stored_split.test[k])]);
    }
    EXPECT_EQ(nodes, nodes_in(d.stored_split));
}

/// The 100,000 nodes of CI and the million of `slow`: streamed, in as little memory as works, against all in memory.
void same_at_size(Index nodes, Index features) {
    const Scratch scratch;
    SbmSpec spec = sbm_of(nodes, features);
    spec.degree = 10;
    spec.exponent = 2.5;
    const auto source = source_of(spec);
    const Split split = source->description().stored_split;
    LargeOptions options = on_disk(options_of({}, 4), scratch.in("x"), KeptNodes::split);
    options.memory = least_memory(*source, split, options);
    std::string said;
    LargeWatch watch;
    watch.note = [&](const std::string& text) { said += text; };
    augment_on_disk(*source, split, options, watch);
    EXPECT_THAT(said, AllOf(HasSubstr("features 0 to 3: hop 1"), HasSubstr("features 8 to 11: hop 3")));
    const auto cpu = make_backend("cpu", {2, 0});
    const Dataset d = make_sbm(spec);
    EXPECT_TRUE(read_X(options.folder) == augment(*cpu, d, nodes_in(split), options.augment));
}

/// Slabs of 4 and of 8 features: the first is not the widest.
TEST(Large, SlabsOfTwoWidths) {
    const Scratch scratch;
    SbmSpec spec = sbm_of(400000, 12);
    spec.degree = 2;
    const auto source = source_of(spec);
    const Split split = source->description().stored_split;
    LargeOptions options = on_disk(options_of({}, 2), scratch.in("x"), KeptNodes::split);
    const std::uint64_t panel = at(spec.nodes * 4) * sizeof(real);
    options.memory = least_memory(*source, split, options) + 3 * panel / 2;
    ASSERT_EQ(plan_of(*source, split, options).widths, (std::vector<Index>{4, 8}));
    augment_on_disk(*source, split, options, {});
    const auto cpu = make_backend("cpu", {2, 0});
    const Dataset d = make_sbm(spec);
    EXPECT_TRUE(read_X(options.folder) == augment(*cpu, d, nodes_in(split), options.augment));
}

TEST(Large, AHundredThousandNodes) { same_at_size(100000, 12); }
TEST(Large, AMillionNodesSlow) { same_at_size(1000000, 16); }

TEST(Large, BuildingInAnyMemoryAndByAnyThreads) {
    PDADMM_SEEDED();
    const Scratch scratch;
    std::mt19937_64 random(seed);
    for (const bool weighted : {false, true}) {
        const Dataset d = peculiar_graph(random, random_adjacency(random, 3000, 100, 60000, weighted), 1);
        const auto source = source_of(d);
        std::map<std::string, int> digests;
        std::vector<Index> passes;
        for (const std::uint64_t kilobytes : {std::uint64_t{100000}, std::uint64_t{200}, std::uint64_t{60}})
            for (const int threads : {1, 3}) {
                ThreadPool pool(threads);
                const Folder folder =
                    Folder::open_or_make(scratch.in(fmt::format("{}-{}-{}", weighted, kilobytes, threads)));
                std::uint64_t done = 0;
                const std::uint64_t memory = kilobytes * 1000;
                const DiskGraph graph = build_graph(*source, folder, false, memory, pool,
                                                    [&](std::uint64_t so_far, std::uint64_t) { done = so_far; });
                ++digests[graph.offsets.digest + graph.columns.digest + (weighted ? graph.weights->digest : "")];
                passes.push_back(static_cast<Index>(done / at(d.adjacency.nnz())));
            }
        EXPECT_EQ(digests.size(), 1u) << "weighted " << weighted;
        EXPECT_EQ(passes[0], 2);
        EXPECT_GE(passes[4], 5);
    }
    const auto source = source_of(peculiar_graph(random, random_adjacency(random, 7, 0, 300, false), 1));
    ThreadPool pool(1);
    EXPECT_THROW(build_graph(*source, Folder::open_or_make(scratch.in("little")), false, 200, pool,
                             [](std::uint64_t, std::uint64_t) {}),
                 DeviceError);
}

/// A file that somebody appends to: every pass over its edges meets one more.
class GrowingSource final : public GraphSource {
public:
    GrowingSource() { description_.nodes = 3; }
    const Dataset& description() const override { return description_; }
    bool weighted() const override { return false; }
    bool symmetric() const override { return true; }
    std::uint64_t stored_edges() const override { return count_; }
    std::string identity() const override { return ""; }
    void edges(const TakeEdges& take) const override { take(std::vector<StoredEdge>(++count_, {2, 0, 1})); }
    void features(const TakeRows&) const override {}

private:
    Dataset description_;
    mutable std::size_t count_ = 5;
};

TEST(Large, EdgesThatGrowBetweenPassesAreRefused) {
    const Scratch scratch;
    ThreadPool pool(1);
    EXPECT_THROW(build_graph(GrowingSource(), Folder::open_or_make(scratch.in("x")), false, std::uint64_t{1} << 20,
                             pool, [](std::uint64_t, std::uint64_t) {}),
                 DataError);
}

/// Memory that this process has written to and that no file holds.
std::size_t anonymous_bytes() {
    std::ifstream status("/proc/self/status");
    std::size_t kibibytes = 0;
    for (std::string word; status >> word;)
        if (word == "RssAnon:") status >> kibibytes;
    return kibibytes << 10;
}

TEST(Large, TrainingReadsXWhereItLies) {
    const Scratch scratch;
    SbmSpec spec = sbm_of(20000, 256);
    spec.degree = 2;
    Split split;
    for (const std::int32_t node : all_nodes(spec.nodes))
        (node % 3 == 0 ? split.test : node % 3 == 1 ? split.train : split.val).push_back(node);
    std::reverse(split.val.begin(), split.val.end());
    LargeOptions options = on_disk(options_of({}, 2), scratch.in("x"), KeptNodes::split);
    augment_on_disk(*source_of(spec), split, options, {});
    const auto cpu = make_backend("cpu", {1, 0});
    const Dataset made = read_augmented_folder(options.folder);
    ASSERT_TRUE(lie_ready(made, nodes_in(made.stored_split)));
    const std::size_t before = anonymous_bytes(), bytes = at(spec.nodes * 2 * spec.features) * sizeof(real);
    const AugmentedNodes nodes = augment_split(*cpu, made, made.stored_split, options.augment);
    EXPECT_LT(anonymous_bytes(), before + bytes / 3);
    EXPECT_TRUE(nodes.X.empty());
    ASSERT_EQ(nodes.values().size_bytes(), bytes);
    EXPECT_EQ(cpu->shared(nodes.values().data()), nodes.values().data());
    const std::vector<real> expected = augment(*cpu, make_sbm(spec), nodes_in(split), options.augment);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), nodes.values().begin()));

    Split other = made.stored_split;  // in another order, or too few rows to read all for: as they were
    std::swap(other.train[0], other.train[1]);
    Split few;
    few.train.assign(made.stored_split.train.begin(), made.stored_split.train.begin() + 100);
    for (const Split& part : {other, few}) {
        const AugmentedNodes read = augment_split(*cpu, made, part, options.augment);
        ASSERT_FALSE(read.mapped_X);
        for (const std::size_t k : {std::size_t{0}, std::size_t{1}, std::size_t{99}})
            EXPECT_TRUE(std::equal(read.X.begin() + static_cast<Index>(k) * read.inputs,
                                   read.X.begin() + static_cast<Index>(k + 1) * read.inputs,
                                   expected.begin() + part.train[k] * read.inputs));
    }
    options.stored = StoredAs::bf16;
    options.folder = scratch.in("half");
    augment_on_disk(*source_of(spec), split, options, {});
    const Dataset half = read_augmented_folder(options.folder);
    EXPECT_FALSE(augment_split(*cpu, half, half.stored_split, options.augment).mapped_X);
}

TEST(Large, BfloatsAreTheNearestTiesToEven) {
    for (const auto& [value, nearest] :
         {std::pair{1 + 0x1p-8F, 1.0F}, {1 + 0x3p-8F, 1 + 0x1p-6F}, {-0.1F, -0x1.9Ap-4F}})
        EXPECT_EQ(from_bf16(to_bf16(value)), nearest);
}

TEST(Large, CountsBeyondTwoToThe31) {
    LargeSize size;
    size.nodes = 111059956;
    size.features = 128;
    size.kept = 1546782;
    size.entries = 2 * std::uint64_t{1615685872};
    size.threads = 16;
    const LargePlan plan = plan_large(size, options_of({}, 5), std::uint64_t{24} << 30);
    EXPECT_TRUE(plan.fits());
    EXPECT_EQ(plan.graph_bytes, size.entries * 4 + at(size.nodes + 1) * 8);
    EXPECT_EQ(std::accumulate(plan.widths.begin(), plan.widths.end(), Index{0}), 128);
    EXPECT_EQ(plan.gathered, 4 * size.entries * 128 * sizeof(real));
    EXPECT_EQ(plan.result_bytes, at(size.kept * 640) * sizeof(real));
}

/// A graph whose rows begin beyond 2^31 entries, in a file of which only the end is there.
TEST(Large, RowsBeyondTwoToThe31AreReadByTheirOffsets) {
    const Scratch scratch;
    const Folder folder = Folder::open_or_make(scratch.in("x"));
    constexpr Index before = (Index{1} << 31) + 5;
    const std::vector<Index> offsets{0, before, before + 3};
    const std::vector<std::int32_t> columns{0, 1, 1};
    DiskGraph graph{2, before + 3, 0, {}, {}, {}};
    PartAppender offset_part(folder, "graph-offsets");
    offset_part.append_values(std::span<const Index>(offsets));
    graph.offsets = offset_part.commit();
    PartWriter column_part(folder, "graph-columns", 4);
    column_part.write(static_cast<std::uint64_t>(before) * 4, std::as_bytes(std::span(columns)));
    graph.columns = column_part.commit();
    EXPECT_EQ(graph.columns.bytes, static_cast<std::uint64_t>(before + 3) * 4);
    const GraphReader reader(folder, graph);
    EXPECT_EQ(reader.offsets(1, 2), (std::vector<Index>{before, before + 3}));
    RowWindow window = reader.window();
    const RowWindow::Entries row = window.from(before, before + 3, before + 3);
    EXPECT_EQ(std::vector<std::int32_t>(row.columns.begin(), row.columns.end()), columns);

    ThreadPool pool(1);
    EXPECT_EQ(reach_of(reader, std::vector<std::int32_t>{1}, 2, pool), (std::vector<std::uint8_t>{1, 0}));
    const DiskOperator a = disk_operator(reader, {Norm::row, SelfLoops::keep, true}, pool);
    EXPECT_EQ(a.scale[0], degree_scale(Norm::row, static_cast<double>(before)));
    const std::vector<real> X{1, 2, 3, 4, 5, 6, 7, 8};  // of two nodes
    const std::vector<std::int32_t> kept{1};
    const std::vector<std::uint8_t> reach{1, 0};
    PartWriter product(folder, "kept", 4 * sizeof(real));
    HopWatch watch;
    slab_product(reader, a, X.data(), 4, {kept, reach, 0}, {nullptr, &product}, watch, pool);
    std::vector<real> y(4);
    PartReader(folder, product.commit()).read(0, std::as_writable_bytes(std::span(y)));
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_NEAR(static_cast<double>(y[i]), static_cast<double>(X[i] + 2 * X[4 + i]) / 3, 1e-6);
    EXPECT_EQ(watch.entries, 3u);
}

}  // namespace
