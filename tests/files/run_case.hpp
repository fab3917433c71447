// A run's folder of its own for every test, and its files as bytes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

inline std::string slurp(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void spill(const std::filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
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

class RunTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        base_ = std::filesystem::path(::testing::TempDir()) /
                ("pdadmm-run-" + std::string(info->name()) + "-" + std::to_string(::getpid()));
        std::filesystem::remove_all(base_);
        std::filesystem::create_directories(base_);
        path_ = base_ / "run";
    }
    void TearDown() override { std::filesystem::remove_all(base_); }

    RunDirectory open(RunMode mode = RunMode::create) { return RunDirectory(path_.string(), mode, warnings_); }

    std::filesystem::path base_, path_;  // the run's folder is made by open()
    Warnings warnings_;
};

}  // namespace pdadmm
