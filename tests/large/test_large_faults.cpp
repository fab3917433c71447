// Augmentation on disk interrupted anywhere, killed anywhere, damaged anywhere, and short of memory.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>

#include "host/data/split.hpp"
#include "host/large/manifest.hpp"
#include "pdadmm/error.hpp"
#include "tests/large/large_case.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

TEST(Large, GoesOnAfterAStopAnywhere) {
    const Scratch scratch;
    const SbmSpec spec = sbm_of(5000, 21);
    const Dataset d = make_sbm(spec);
    const auto source = source_of(spec);
    const AugmentOptions augment_options = options_of({}, 4, "gcn,row");
    const auto cpu = make_backend("cpu", {2, 0});
    const std::vector<real> expected = augment(*cpu, d, nodes_in(d.stored_split), augment_options);
    LargeOptions options = on_disk(augment_options, scratch.in("x"), KeptNodes::split, 1);
    const std::uint64_t least = least_memory(*source, d.stored_split, options);
    int stops = 0;
    for (bool stopped = true; stopped; ++stops) {
        const LargeWatch watch = stopped_after(4 + stops % 3);   // one hop is three questions
        options.memory = least + (stops % 4 == 3 ? 700000 : 0);  // now and then wider slabs
        const LargeResult result = augment_on_disk(*source, d.stored_split, options, watch);
        stopped = result.stopped;
        ASSERT_LT(stops, 500);
    }
    EXPECT_GT(stops, 10);
    EXPECT_TRUE(read_X(options.folder) == expected);
    std::string said;
    LargeWatch watch;
    watch.note = [&](const std::string& text) { said += text; };
    augment_on_disk(*source, d.stored_split, options, watch);
    EXPECT_THAT(said, HasSubstr("there already, whole"));
    options.augment.hops = 3;
    EXPECT_THROW(augment_on_disk(*source, d.stored_split, options, {}), UsageError);
}

/// Ends by itself or, after so long, by kill -9; whether it was killed.
bool killed(const GraphSource& source, const Split& split, const LargeOptions& options, double seconds) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            augment_on_disk(source, split, options, {});
            ::_exit(0);
        } catch (const std::exception& error) {
            fmt::print(stderr, "{}\n", error.what());
            ::_exit(1);
        }
    }
    ::usleep(static_cast<useconds_t>(seconds * 1e6));
    ::kill(child, SIGKILL);
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) || status == 0);
    return WIFSIGNALED(status);
}

/// What a folder holds, by file.
std::map<std::string, std::string> content_of(const fs::path& folder) {
    std::map<std::string, std::string> content;
    for (const auto& entry : fs::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        content[entry.path().filename()] = {std::istreambuf_iterator<char>(file), {}};
    }
    return content;
}

TEST(Large, KilledAtFiftyRandomMomentsSlow) {
    PDADMM_SEEDED();
    const Scratch scratch;
    SbmSpec spec = sbm_of(20000, 24);
    spec.degree = 12;
    spec.exponent = 2.5;
    const auto source = source_of(spec);
    const Split split = source->description().stored_split;
    LargeOptions options = on_disk(options_of({}, 4), scratch.in("whole"), KeptNodes::split);
    options.memory = least_memory(*source, split, options);
    const auto began = std::chrono::steady_clock::now();
    augment_on_disk(*source, split, options, {});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const auto expected = content_of(options.folder);
    ASSERT_EQ(expected.size(), 7u);
    options.folder = scratch.in("killed");
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> moment(0, 0.8 * took.count());
    int graphs = 0;
    for (int kills = 0, runs = 0; kills < 50; ++runs) {
        ASSERT_LT(runs, 1000);
        if (killed(*source, split, options, moment(random))) {
            ++kills;
            graphs += fs::exists(fs::path(options.folder) / "work" / "graph-columns") ? 1 : 0;
            continue;
        }
        ASSERT_EQ(content_of(options.folder), expected) << kills << " kills";
        fs::remove_all(options.folder);
    }
    EXPECT_GT(graphs, 0) << "all were killed before there was a graph";
    augment_on_disk(*source, split, options, {});
    EXPECT_EQ(content_of(options.folder), expected);
}

/// The refusal of a command that meets a damaged work folder.
std::string refusal(const GraphSource& source, const Split& split, const LargeOptions& options) {
    try {
        augment_on_disk(source, split, options, {});
    } catch (const DataError& error) {
        return error.what();
    }
    return "";
}

TEST(Large, DamagedPartsGetOneLine) {
    const Scratch scratch;
    const auto source = source_of(sbm_of(5000, 8));
    const Split split = source->description().stored_split;
    const LargeOptions options = on_disk(options_of({}, 4), scratch.in("x"), KeptNodes::split, 1);
    const fs::path work = fs::path(options.folder) / "work", whole = scratch.in("whole");
    for (int calls = 1; calls < 100; ++calls) {  // until a stop leaves a state
        ASSERT_TRUE(augment_on_disk(*source, split, options, stopped_after(calls)).stopped);
        if (!read_manifest(Folder::open(work.string())).states.empty()) break;
        fs::remove_all(options.folder);
    }
    fs::copy(work, whole);
    std::size_t parts = 0;
    for (const Part& part : read_manifest(Folder::open(work.string())).parts()) {
        if (part.bytes == 0) continue;
        ++parts;
        const auto restored = [&] {
            fs::remove_all(work);
            fs::copy(whole, work);
            return work / part.name;
        };
        fs::resize_file(restored(), part.bytes - 1);
        EXPECT_THAT(
            refusal(*source, split, options),
            AllOf(HasSubstr(part.name), HasSubstr(fmt::format("{} bytes, expected {}", part.bytes - 1, part.bytes))));
        {
            std::fstream file(restored(), std::ios::in | std::ios::out | std::ios::binary);
            file.seekg(static_cast<std::streamoff>(part.bytes / 2));
            const char byte = static_cast<char>(file.get() ^ 1);
            file.seekp(static_cast<std::streamoff>(part.bytes / 2));
            file.put(byte);
        }
        EXPECT_THAT(refusal(*source, split, options), AllOf(HasSubstr(part.name), HasSubstr("it is damaged")));
        fs::remove(restored());
        EXPECT_THAT(refusal(*source, split, options), HasSubstr(part.name));
    }
    EXPECT_GE(parts, 4u);
    fs::remove_all(work);
    fs::copy(whole, work);
    EXPECT_EQ(refusal(*source, split, options), "");
}

TEST(Large, TooLittleMemoryNamesTheLeastThatWorks) {
    const Scratch scratch;
    SbmSpec spec;
    spec.nodes = 5000;
    const auto source = source_of(spec);
    const Split split = source->description().stored_split;
    LargeOptions options = on_disk(options_of({}, 3), scratch.in("x"), KeptNodes::split);
    const std::uint64_t least = least_memory(*source, split, options);
    options.memory = least - 1;
    try {
        augment_on_disk(*source, split, options, {});
        ADD_FAILURE() << "nothing was refused";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(),
                    AllOf(HasSubstr("--memory"), HasSubstr("expected at least " + readable_bytes(least))));
    }
    options.memory = least;
    EXPECT_FALSE(augment_on_disk(*source, split, options, {}).stopped);
}

}  // namespace
