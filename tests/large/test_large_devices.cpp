// Augmentation on disk with slabs on devices, here the emulated one: the bits of the processor whatever the device's
// memory, blocks, slabs and number; a stop, a loss or a lack of memory anywhere, after which the same command goes on.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <emulation/hooks.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "host/data/split.hpp"
#include "host/large/manifest.hpp"
#include "pdadmm/error.hpp"
#include "tests/large/large_case.hpp"
#include "tests/support/random_graph.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

/// Memory of which so much may be planned (cuda/backend.cu).
void leave(std::uint64_t bytes) { emulation::set_memory(bytes + bytes / 15 + 16); }
constexpr std::uint64_t plenty = std::uint64_t{1} << 32;

class LargeOnDevices : public testing::Test {
protected:
    void SetUp() override {
        emulation::set_devices(3);
        emulation::set_memory(plenty);
    }
    void TearDown() override {
        emulation::fail_allocation(-1);
        emulation::lose_device(-1);
        emulation::clear_errors();
        EXPECT_THAT(emulation::take_faults(), testing::IsEmpty());
    }
    Scratch scratch;
};

/// The devices of a run: none is the processor.
std::vector<int> devices_of(std::uint64_t count) {
    std::vector<int> devices;
    for (std::uint64_t k = 0; k < count; ++k) devices.push_back(static_cast<int>(2 - k));
    return devices;
}

TEST_F(LargeOnDevices, HaveTheBitsOfTheProcessor) {
    PDADMM_SEEDED();
    const auto cpu = make_backend("cpu", {2, 0});
    std::mt19937_64 random(seed);
    std::vector<Csr> graphs = random_adjacencies(random);
    graphs.push_back(random_adjacency(random, 9000, 1000, 30000, true));  // several ranges and blocks of rows
    int run = 0, streamed = 0;
    for (Csr& stored : graphs) {
        Dataset d;
        d.nodes = stored.rows;
        d.classes = 2;
        d.adjacency = std::move(stored);
        d.features.count = random() % 8 == 0 && d.nodes < 1000 ? 140 : 1 + static_cast<Index>(random() % 11);
        for (Index i = 0; i < d.features.count * d.nodes; ++i)
            d.features.dense.push_back(static_cast<float>(random() >> 40) * 0x1p-23F - 1);
        d.facts.symmetric = false;
        for (Index i = 0; i < d.nodes; ++i) d.labels.push_back(static_cast<std::int32_t>(random() % 3) - 1);
        const auto source = source_of(d);
        for (const GraphOptions& graph : graph_options()) {
            const AugmentOptions augment_options =
                options_of(graph, 2 + static_cast<int>(random() % 3), random() % 4 == 0 ? "row,gcn,heat:2" : "gcn");
            const KeptNodes choice = random() % 2 ? KeptNodes::all : KeptNodes::labelled;
            if (kept_nodes(d, {}, choice).empty()) continue;
            LargeOptions options = on_disk(augment_options, scratch.in(std::to_string(run++)), choice, 1);
            const bool tight = run % 2 == 0;  // as little memory as works for any row
            options.devices = devices_of(tight ? 1 : 1 + random() % 3);
            options.block_entries = 1 + static_cast<Index>(random() % 5000);
            emulation::set_memory(plenty);
            if (tight) leave(plan_of(*source, {}, options).least_on_device + 16 * at(d.nodes));
            streamed += plan_of(*source, {}, options).room.holds_graph ? 0 : 1;
            SCOPED_TRACE(fmt::format("{} nodes, {} features, {}, {} devices, blocks of {}", d.nodes, d.features.count,
                                     to_string(augment_options), options.devices.size(), options.block_entries));
            augment_on_disk(*source, {}, options, {});
            ASSERT_TRUE(read_X(options.folder) == augment(*cpu, d, nodes_of(options.folder), augment_options));
        }
    }
    EXPECT_GT(streamed, 0);
}

/// Held or streamed, in one slab or several, on one device or three.
TEST_F(LargeOnDevices, MemoryAndDevicesDecideOnlyHow) {
    SbmSpec spec = sbm_of(20000, 50);
    spec.degree = 20;
    spec.exponent = 2.5;
    const auto source = source_of(spec);
    const Split split = source->description().stored_split;
    LargeOptions options = on_disk(options_of({}, 4), "", KeptNodes::split);
    options.block_entries = 30000;
    options.devices = {0};
    const std::uint64_t least = plan_of(*source, split, options).least_on_device,
                        panel = 2 * at(spec.nodes) * 4 * sizeof(real);
    struct Way {
        std::vector<int> devices;
        std::uint64_t memory;
        bool held;
        std::size_t slabs;
    };
    std::vector<std::vector<real>> found;
    for (const Way& way : {Way{{}, plenty, false, 1}, Way{{0}, plenty, true, 1}, Way{{0}, least + 2 * panel, false, 5},
                           Way{{0, 1, 2}, plenty, true, 3}}) {
        leave(way.memory);
        options.devices = way.devices;
        options.folder = scratch.in(std::to_string(found.size()));
        const LargePlan plan = plan_of(*source, split, options);
        EXPECT_EQ(plan.room.holds_graph, way.held) << found.size();
        EXPECT_EQ(plan.widths.size(), way.slabs) << found.size();
        augment_on_disk(*source, split, options, {});
        found.push_back(read_X(options.folder));
        EXPECT_TRUE(found.back() == found.front()) << found.size();
    }
}

/// Stops a run once two of its devices have done a hop: the one that has waits for the other, whatever the load.
class TwoThroughAHop {
public:
    void note(const std::string& text) {
        if (text.find("hop") == std::string::npos) return;
        const std::lock_guard lock(order_);
        through_.insert(std::this_thread::get_id());
        one_more_.notify_all();
    }
    bool stopped() {
        std::unique_lock lock(order_);
        if (!through_.contains(std::this_thread::get_id())) return false;
        one_more_.wait(lock, [&] { return through_.size() > 1; });
        return true;
    }

private:
    std::mutex order_;
    std::condition_variable one_more_;
    std::set<std::thread::id> through_;
};

TEST_F(LargeOnDevices, GoOnAfterAStopAnywhereByOthersToo) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    const SbmSpec spec = sbm_of(9000, 26);
    const auto source = source_of(spec);
    const Split split = source->description().stored_split;
    LargeOptions options = on_disk(options_of({}, 8, "gcn,row"), scratch.in("whole"), KeptNodes::split, 1);
    augment_on_disk(*source, split, options, {});
    const std::vector<real> expected = read_X(options.folder);
    options.folder = scratch.in("x");
    options.block_entries = 1000;
    int stops = 0;
    for (bool stopped = true; stopped; ++stops) {
        options.devices = devices_of(stops < 3 ? 3 : random() % 4);
        std::atomic<int> left = 20 + static_cast<int>(random() % 10);  // a hop is four questions
        TwoThroughAHop two;
        LargeWatch watch;
        watch.stopped = [&] { return stops == 0 ? two.stopped() : --left < 0; };
        watch.note = [&](const std::string& text) { two.note(text); };
        stopped = augment_on_disk(*source, split, options, watch).stopped;
        if (stops == 0) {
            EXPECT_GT(read_manifest(Folder::open(options.folder + "/work")).states.size(), 1u);
        }
        ASSERT_LT(stops, 500);
    }
    EXPECT_GT(stops, 3);
    EXPECT_TRUE(read_X(options.folder) == expected);
}

/// Ends of one run after the other, until one ends well: their lines and notes.
struct Ends {
    std::vector<std::string> lines, notes;
};

class FailingDevices : public LargeOnDevices {
protected:
    /// plant(k) before run k.
    template <typename Plant>
    Ends until_well(std::uint64_t memory_factor, const Plant& plant) {
        const auto source = source_of(sbm_of(5000, 10));
        const Split split = source->description().stored_split;
        LargeOptions options = on_disk(options_of({}, 3), scratch.in("whole"), KeptNodes::split, 1);
        augment_on_disk(*source, split, options, {});
        const std::vector<real> expected = read_X(options.folder);
        options.folder = scratch.in("x");
        options.devices = {0};
        options.block_entries = 2000;
        if (memory_factor > 0) leave(memory_factor * plan_of(*source, split, options).least_on_device);
        Ends ends;
        LargeWatch watch;
        watch.note = [&](const std::string& note) {
            if (note.find("hop") == std::string::npos) ends.notes.push_back(note);
        };
        for (int run = 0; run < 1000; ++run) {
            plant(run);
            try {
                augment_on_disk(*source, split, options, watch);
                EXPECT_TRUE(read_X(options.folder) == expected);
                return ends;
            } catch (const DeviceError& error) {
                ends.lines.emplace_back(error.what());
                EXPECT_THAT(ends.lines.back(), Not(HasSubstr("\n")));
            }
            emulation::lose_device(-1);
            emulation::clear_errors();
            emulation::take_faults();
        }
        ADD_FAILURE() << "never ended well";
        return ends;
    }
};

TEST_F(FailingDevices, StreamAGraphForWhichThereIsNoRoom) {
    const Ends ends = until_well(0, [](int run) { emulation::fail_allocation(run == 0 ? 4 : -1); });
    EXPECT_THAT(ends.lines, testing::IsEmpty());
    EXPECT_THAT(ends.notes,
                testing::Contains(AllOf(HasSubstr("device 0, emulated: the graph is streamed, because CUDA memory"),
                                        HasSubstr("expected as much"))));
}

TEST_F(FailingDevices, HaveOneLineForMemoryThatIsGone) {
    const Ends ends = until_well(1, [](int run) { emulation::fail_allocation(run < 8 ? run : -1); });
    ASSERT_GE(ends.lines.size(), 6u);
    for (const std::string& line : ends.lines)
        EXPECT_THAT(line, AllOf(HasSubstr("CUDA memory: none for"), HasSubstr("give the same command again")));
}

TEST_F(FailingDevices, HaveOneLineWhereTheyAreLost) {
    PDADMM_SEEDED();
    int calls = 5 + static_cast<int>(seed % 7);
    const Ends ends = until_well(0, [&](int) { emulation::lose_device(calls += 9); });
    EXPECT_GT(ends.lines.size(), 2u);
    for (const std::string& line : ends.lines) EXPECT_THAT(line, HasSubstr("CUDA"));
}

TEST_F(FailingDevices, NameTheLeastMemoryThatWorks) {
    const auto source = source_of(sbm_of(5000, 10));
    LargeOptions options = on_disk(options_of({}, 3), scratch.in("x"), KeptNodes::all, 1);
    options.devices = {0};
    leave(plan_of(*source, {}, options).least_on_device / 2);
    try {
        augment_on_disk(*source, {}, options, {});
        ADD_FAILURE() << "nothing was refused";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(),
                    AllOf(HasSubstr("CUDA memory"), HasSubstr("expected at least"), HasSubstr("--backend cpu")));
    }
}

}  // namespace
