// Checkpoints: round trip, retention, fallback, and every kind of damage to the files of a small one.
#include "host/store/checkpoint_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "host/console/signals.hpp"
#include "host/format/digest.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string slurp(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void spill(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
}

SafetensorsFile shard_of(std::uint64_t step, int layer, int values = 6) {
    std::vector<float> numbers;
    for (int i = 0; i < values; ++i)
        numbers.push_back(static_cast<float>(step) + 0.25f * static_cast<float>(i * layer));
    SafetensorsFile file;
    file.metadata["layer"] = std::to_string(layer);
    file.tensors.push_back(Tensor::of("W", {values}, std::span<const float>(numbers)));
    return file;
}

CheckpointData checkpoint_of(std::uint64_t step, int values = 6) {
    CheckpointData data;
    data.step = step;
    data.meta = {{"rho", 0.1}, {"step", step}, {"tiny", 5e-324}, {"note", "a \"quoted\" one"}};
    data.shards = {{"layer-01", shard_of(step, 1, values)}, {"model-best", shard_of(step, 2, values)}};
    return data;
}

void expect_equal(const CheckpointData& found, const CheckpointData& wanted) {
    EXPECT_EQ(found.step, wanted.step);
    EXPECT_EQ(found.meta, wanted.meta);
    ASSERT_EQ(found.shards.size(), wanted.shards.size());
    for (std::size_t i = 0; i < wanted.shards.size(); ++i) {
        EXPECT_EQ(found.shards[i].first, wanted.shards[i].first);
        EXPECT_EQ(found.shards[i].second.metadata, wanted.shards[i].second.metadata);
        EXPECT_EQ(found.shards[i].second.at("W").bytes, wanted.shards[i].second.at("W").bytes);
        EXPECT_EQ(found.shards[i].second.at("W").shape, wanted.shards[i].second.at("W").shape);
    }
}

/// The message of the Error that `act` throws, which must carry `code`.
template <typename Act>
std::string error_of(ExitCode code, Act act) {
    try {
        act();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return "";
}

class CheckpointStoreTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        base_ = fs::path(::testing::TempDir()) /
                ("pdadmm-checkpoint-" + std::string(info->name()) + "-" + std::to_string(::getpid()));
        fs::remove_all(base_);
        fs::create_directories(base_);
        run_path_ = (base_ / "run").string();
    }
    void TearDown() override { fs::remove_all(base_); }

    RunDirectory open(RunMode mode = RunMode::create) { return RunDirectory(run_path_, mode, warnings_); }
    fs::path folder(std::uint64_t step) const { return fs::path(run_path_) / "checkpoints" / step_name(step); }
    std::vector<std::string> names() const { return Folder::open(run_path_ + "/checkpoints").names(); }
    void save(std::initializer_list<std::uint64_t> steps) {
        RunDirectory run = open();
        CheckpointStore store(run);
        for (const std::uint64_t step : steps) store.save(checkpoint_of(step), warnings_);
        ASSERT_TRUE(warnings_.empty()) << warnings_.front();
    }

    fs::path base_;
    std::string run_path_;
    Warnings warnings_;
};

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

TEST_F(CheckpointStoreTest, FallsBackWithAReason) {
    save({1, 2});
    spill(folder(2) / "layer-01.safetensors", "rubbish");
    EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 1u);
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_THAT(warnings_[0], HasSubstr("checkpoint 00000002 is not used"));
    EXPECT_THAT(warnings_[0], HasSubstr("layer-01.safetensors: 7 bytes, expected"));
    EXPECT_THAT(error_of(ExitCode::data, [&] { load_checkpoint(folder(2).string()); }),
                HasSubstr("layer-01.safetensors"));

    fs::remove(folder(1) / "manifest.json");
    warnings_.clear();
    EXPECT_THAT(error_of(ExitCode::data, [&] { load_newest_checkpoint(run_path_, warnings_); }),
                HasSubstr("no valid checkpoint"));
    EXPECT_EQ(warnings_.size(), 2u);
    EXPECT_THROW(load_newest_checkpoint(base_.string(), warnings_), NoCheckpointError);
}

// Every byte of every file with three masks, and every length: all refused, and the run falls back to the one before.
TEST_F(CheckpointStoreTest, EveryDamagedByteAndEveryLengthIsNoticed) {
    constexpr int values = 300;
    {
        RunDirectory run = open();
        CheckpointStore store(run);
        for (const std::uint64_t step : {1u, 2u}) store.save(checkpoint_of(step, values), warnings_);
    }
    std::size_t damages = 0, unnoticed = 0;
    const auto expect_noticed = [&](const fs::path& file, const std::string& how) {
        ++damages;
        Warnings reasons;
        const bool fell_back = load_newest_checkpoint(run_path_, reasons).step == 1 && reasons.size() == 1;
        if (fell_back && reasons[0].find(file.filename().string()) != std::string::npos) return;
        ++unnoticed;
        ADD_FAILURE() << file << ": " << how << (reasons.empty() ? "" : reasons[0]);
    };
    for (const auto& entry : fs::directory_iterator(folder(2))) {
        const std::string whole = slurp(entry.path());
        {
            std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
            const auto put = [&](std::size_t at, unsigned char byte) {
                file.seekp(static_cast<std::streamoff>(at)).put(static_cast<char>(byte)).flush();
            };
            for (std::size_t i = 0; i < whole.size(); ++i) {
                const auto byte = static_cast<unsigned char>(whole[i]);
                for (const unsigned mask : {0x01u, 0x80u, 0xffu}) {
                    put(i, static_cast<unsigned char>(byte ^ mask));
                    expect_noticed(entry.path(), "byte " + std::to_string(i) + " ^ " + std::to_string(mask));
                }
                put(i, byte);
            }
        }
        EXPECT_EQ(load_checkpoint(folder(2).string()).step, 2u);
        for (std::size_t length = whole.size(); length-- > 0;) {
            fs::resize_file(entry.path(), length);
            expect_noticed(entry.path(), "cut to " + std::to_string(length));
        }
        for (const std::size_t length : {whole.size(), whole.size() + 1}) {
            fs::resize_file(entry.path(), length);
            expect_noticed(entry.path(), "zero-filled to " + std::to_string(length));
        }
        spill(entry.path(), whole + '\0');
        expect_noticed(entry.path(), "one byte more");
        spill(entry.path(), whole);
    }
    expect_equal(load_newest_checkpoint(run_path_, warnings_), checkpoint_of(2, values));
    std::printf("checkpoint damage: %zu of %zu noticed\n", damages - unnoticed, damages);
    EXPECT_GE(damages, 10000u);
}

TEST_F(CheckpointStoreTest, ManifestAndShardsBelongTogether) {
    save({1, 2});
    fs::remove(folder(2) / "model-best.safetensors");
    EXPECT_THAT(error_of(ExitCode::data, [&] { load_checkpoint(folder(2).string()); }),
                HasSubstr("model-best.safetensors"));
    fs::remove_all(folder(2));
    fs::copy(folder(1), folder(2));  // a manifest of another step
    EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 1u);
    EXPECT_THAT(warnings_.at(0), HasSubstr("holds step 1, expected 2"));
    fs::remove(folder(2) / "manifest.json");  // shards alone
    warnings_.clear();
    EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 1u);
    EXPECT_THAT(warnings_.at(0), HasSubstr("manifest.json"));
}

/// A manifest with a right digest: what only a later version, or a forger, writes.
std::string resealed(std::string text, std::string_view from, std::string_view to) {
    text.replace(text.find(from), from.size(), to);
    text.resize(text.rfind("\n\"digest\""));
    return text + "\n\"digest\":\"" + digest_hex(text) + "\"}\n";
}

TEST_F(CheckpointStoreTest, AHigherVersionIsRefusedNotFallenBackFrom) {
    save({1, 2});
    const std::string sound = slurp(folder(2) / "manifest.json");
    spill(folder(2) / "manifest.json", resealed(sound, "\"version\":1", "\"version\":2"));
    EXPECT_THAT(error_of(ExitCode::data, [&] { load_newest_checkpoint(run_path_, warnings_); }),
                HasSubstr("format version 2, expected 1"));
    spill(folder(2) / "manifest.json", resealed(sound, "\"version\":1", "\"version\":0"));
    EXPECT_EQ(load_newest_checkpoint(run_path_, warnings_).step, 1u);
}

TEST_F(CheckpointStoreTest, ForgedManifestsDoNotLeaveTheFolder) {
    save({1});
    const std::string sound = slurp(folder(1) / "manifest.json");
    const std::array<std::pair<const char*, const char*>, 9> forgeries = {{{"layer-01", "../layer-01"},
                                                                           {"layer-01", "/etc/passwd"},
                                                                           {"layer-01", "model-best"},
                                                                           {"layer-01", ""},
                                                                           {"\"bytes\":", "\"bytes\":-"},
                                                                           {"\"bytes\":", "\"bytes\":99999999999"},
                                                                           {"\"shards\":[", "\"shards\":[[],"},
                                                                           {"\"meta\":{", "\"meta\":0,\"x\":{"},
                                                                           {"pdadmm checkpoint", "other"}}};
    for (const auto& [from, to] : forgeries) {
        spill(folder(1) / "manifest.json", resealed(sound, from, to));
        EXPECT_THAT(error_of(ExitCode::data, [&] { load_checkpoint(folder(1).string()); }), HasSubstr("expected"))
            << to;
    }
}

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
