// Checkpoints: round trip, retention, leftovers, and what may not be written or read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "host/console/signals.hpp"
#include "host/format/digest.hpp"
#include "tests/files/checkpoint_case.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Digest, IsXxh3InCanonicalOrder) {
    // From the XXH3 sanity vectors: the empty input, seed 0.
    EXPECT_EQ(digest_hex(""), "99aa06d3014798d86001c324468d497f");
    EXPECT_NE(digest_hex(std::string(100000, 'a')), digest_hex(std::string(100001, 'a')));
}

TEST_F(CheckpointStoreTest, RoundTripKeepsEveryBit) {
    save({7});
    expect_equal(load_newest_checkpoint(run_path_, warnings_), checkpoint_of(7));
    expect_equal(load_checkpoint(folder(7).string()), checkpoint_of(7));
    EXPECT_TRUE(warnings_.empty());
    const CheckpointData part =
        load_checkpoint(folder(7).string(), [](std::string_view name) { return name == "model-best"; });
    ASSERT_EQ(part.shards.size(), 1u);
    EXPECT_EQ(part.shard("model-best").metadata.at("layer"), "2");
    EXPECT_THAT(error_of(ExitCode::data, [&] { part.shard("layer-01"); }), HasSubstr("no shard layer-01"));
}

TEST_F(CheckpointStoreTest, TwoAreKeptAndNamesAreNumbers) {
    save({5, 99999998, 100000000, 100000001});  // past eight digits: the order of numbers, not of letters
    EXPECT_THAT(names(), ::testing::ElementsAre("100000000", "100000001"));
    EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 100000001u);
    EXPECT_EQ(step_name(12), "00000012");
    EXPECT_EQ(step_of_name("00000012"), 12u);
    for (const char* name : {"", "12", "000000012", "0000001x", "-0000012", ".tmp-00000012", "99999999999999999999999"})
        EXPECT_FALSE(step_of_name(name)) << name;
}

TEST_F(CheckpointStoreTest, AStepIsSavedOnceAndNeverOverwritten) {
    RunDirectory run = open();
    CheckpointStore store(run);
    store.save(checkpoint_of(3), warnings_);
    store.save(checkpoint_of(3), warnings_);  // a signal at an iteration that was saved anyway
    EXPECT_EQ(store.last_saved(), 3u);
    store.save(checkpoint_of(4), warnings_);
    EXPECT_THAT(error_of(ExitCode::output, [&] { store.save(checkpoint_of(3), warnings_); }), HasSubstr("00000003"));
    expect_equal(load_checkpoint(folder(3).string()), checkpoint_of(3));
}

// Every byte of every file with three masks, and every length: all refused, and the run falls back to the one before.
TEST_F(CheckpointStoreTest, WhatJsonCannotHoldIsNotSaved) {
    RunDirectory run = open();
    CheckpointStore store(run);
    store.save(checkpoint_of(1), warnings_);
    for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
        CheckpointData data = checkpoint_of(2);
        data.meta["rho"] = value;
        error_of(ExitCode::internal, [&] { store.save(data, warnings_); });
    }
    CheckpointData twice = checkpoint_of(2);
    twice.shards[1].first = "layer-01";
    error_of(ExitCode::output, [&] { store.save(twice, warnings_); });
    twice.shards[1].first = "../layer-01";
    error_of(ExitCode::internal, [&] { store.save(twice, warnings_); });
    EXPECT_THAT(names(), ::testing::ElementsAre("00000001"));  // nothing half-made stays
}

TEST_F(CheckpointStoreTest, LeftoversOfDeadRunsGoAndNothingElse) {
    save({1, 2});
    const fs::path checkpoints = fs::path(run_path_) / "checkpoints";
    fs::copy(folder(2), checkpoints / ".tmp-00000003");
    fs::copy(folder(2), checkpoints / ".old-00000000");
    fs::create_directory(checkpoints / ".tmp-keep");
    EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 2u);
    {
        RunDirectory run = open(RunMode::resume);
        CheckpointStore store(run);
    }
    EXPECT_THAT(names(), ::testing::ElementsAre(".tmp-keep", "00000001", "00000002"));
}

TEST_F(CheckpointStoreTest, GoingBackSetsNewerOnesAside) {
    save({1, 2});
    for (int round = 0; round < 2; ++round) {
        RunDirectory run = open(RunMode::resume);
        CheckpointStore store(run);
        warnings_.clear();
        store.set_aside_newer(1, warnings_);
        ASSERT_EQ(warnings_.size(), 1u);
        EXPECT_THAT(warnings_[0], HasSubstr("checkpoint 00000002 is newer"));
        EXPECT_THAT(names(), ::testing::ElementsAre("00000001", "aside-00000002"));
        expect_equal(load_checkpoint((fs::path(run_path_) / "checkpoints/aside-00000002").string()), checkpoint_of(2));
        store.save(checkpoint_of(2), warnings_);
        EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 2u);
    }
    open(RunMode::overwrite);
    EXPECT_FALSE(fs::exists(fs::path(run_path_) / "checkpoints"));
}

TEST_F(CheckpointStoreTest, LinksAtAnyNameAreRefused) {
    save({1});
    const fs::path target = base_ / "target", checkpoints = fs::path(run_path_) / "checkpoints";
    fs::create_directory(target);
    spill(target / "precious", "untouched");
    const auto untouched = [&] {
        EXPECT_EQ(slurp(target / "precious"), "untouched");
        EXPECT_EQ(std::distance(fs::directory_iterator(target), {}), 1);
    };
    for (const char* name : {".tmp-00000002", "00000002", ".old-00000001"}) {
        RunDirectory run = open(RunMode::resume);
        CheckpointStore store(run, 1);
        fs::create_directory_symlink(target, checkpoints / name);
        if (std::string(name) == ".old-00000001") {  // met when the oldest goes: the new one is durable, so a warning
            store.save(checkpoint_of(2), warnings_);
            EXPECT_EQ(warnings_.size(), 1u);
        } else {
            EXPECT_THAT(error_of(ExitCode::output, [&] { store.save(checkpoint_of(2), warnings_); }), HasSubstr(name));
        }
        untouched();
        if (std::string(name) != "00000002") error_of(ExitCode::output, [&] { CheckpointStore again(run); });
        fs::remove(checkpoints / name);
    }
    fs::rename(checkpoints, base_ / "moved");
    fs::create_directory_symlink(target, checkpoints);
    EXPECT_THAT(error_of(ExitCode::output, [&] { open(RunMode::resume); }), HasSubstr("checkpoints"));
    untouched();
}

// ulimit -f in the middle of a save: the save fails with one line, what was there stays, and mending it lets the run go
// on.
TEST_F(CheckpointStoreTest, AFileSizeLimitIsAnErrorAndNotTheEnd) {
    install_signal_handlers();
    RunDirectory run = open();
    CheckpointStore store(run);
    store.save(checkpoint_of(1), warnings_);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit low = before;
    low.rlim_cur = 20000;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    const std::string message = error_of(ExitCode::output, [&] { store.save(checkpoint_of(2, 10000), warnings_); });
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_THAT(message, HasSubstr("layer-01.safetensors"));
    EXPECT_THAT(message, HasSubstr("ulimit -f"));
    EXPECT_THAT(names(), ::testing::ElementsAre("00000001"));
    expect_equal(load_newest_checkpoint(run_path_, warnings_), checkpoint_of(1));
    store.save(checkpoint_of(2, 10000), warnings_);
    expect_equal(load_newest_checkpoint(run_path_, warnings_), checkpoint_of(2, 10000));
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(CheckpointStoreTest, TooLittleSpaceIsSaidBeforeWriting) {
    RunDirectory run = open();
    CheckpointStore store(run);
    EXPECT_THAT(error_of(ExitCode::output, [&] { store.begin(1, std::uint64_t{1} << 60); }), HasSubstr("bytes free"));
    EXPECT_TRUE(names().empty());
}

TEST_F(CheckpointStoreTest, ResumeSourceIsARunOrOneCheckpoint) {
    save({1, 2});
    EXPECT_EQ(resume_source(run_path_).run_folder, run_path_);
    EXPECT_FALSE(resume_source(run_path_).checkpoint);
    for (const std::string& path : {folder(1).string(), folder(1).string() + "/", folder(1).string() + "/."}) {
        const ResumeSource source = resume_source(path);
        EXPECT_EQ(source.run_folder, run_path_);
        ASSERT_TRUE(source.checkpoint) << path;
        EXPECT_EQ(load_checkpoint(source, warnings_).step, 1u);
    }
    EXPECT_EQ(load_checkpoint(resume_source(run_path_), warnings_).step, 2u);
}

TEST(ConfigDifference, NamesTheFirstAndHonoursTheList) {
    const nlohmann::json was = {{"hidden", 500}, {"dataset", "cora"}, {"epochs", 10}, {"rho", 1}, {"grow", {2, 5}}};
    constexpr std::array<std::string_view, 1> may_differ = {"epochs"};
    const auto difference = [&](const char* key, const nlohmann::json& value) {
        nlohmann::json is = was;
        is[key] = value;
        return config_difference(was, is, may_differ);
    };
    EXPECT_EQ(config_difference(was, was, may_differ), "");
    EXPECT_EQ(difference("epochs", 20), "");
    EXPECT_EQ(difference("rho", 1.0), "");
    EXPECT_EQ(difference("hidden", 1000), "checkpoint has hidden=500, this run 1000");
    EXPECT_EQ(difference("dataset", "pubmed"), "checkpoint has dataset=cora, this run pubmed");
    EXPECT_EQ(difference("grow", {2, 5, 10}), "checkpoint has grow=[2,5], this run [2,5,10]");
    EXPECT_EQ(difference("bits", 4), "checkpoint has no bits, this run 4");
    nlohmann::json without = was;
    without.erase("rho");
    EXPECT_EQ(config_difference(was, without, may_differ), "checkpoint has rho=1, this run none");
}

}  // namespace
}  // namespace pdadmm
