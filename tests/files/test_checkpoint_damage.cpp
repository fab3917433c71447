// Every kind of damage to the files of a small checkpoint, and manifests that others wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "host/format/digest.hpp"
#include "tests/files/checkpoint_case.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace pdadmm
