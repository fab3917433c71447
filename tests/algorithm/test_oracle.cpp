// Every worked example of tests/oracle against the program: first layer direct and in node space, stacks of 1, 2 and
// all layers, 1 and 3 threads. PDADMM_ORACLE names another folder. The figure is max|x - ref| / max|ref| over every
// array and sum of every iteration.
#include "tests/algorithm/oracle_case.hpp"
#include "tests/support/sample.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

using namespace pdadmm;

namespace {

// Largest seen: 5e-14 in double, 2e-4 in float (five iterations, u after penalties of 9000).
constexpr double bound = sizeof(real) == 8 ? 1e-9 : 2e-3;

std::string folder() {
    const char* given = std::getenv("PDADMM_ORACLE");
    return given ? given : PDADMM_ORACLE_FOLDER;
}

/// How the program goes through an example.
struct Way {
    FirstLayer first;
    int most_stacked;
};
std::vector<Way> ways() {
    std::vector<Way> all;
    for (const FirstLayer first : {FirstLayer::direct, FirstLayer::node_space})
        for (const int most_stacked : {1, 2, 0}) all.push_back({first, most_stacked});
    return all;
}

void expect_reproduced(const std::string& example, const std::vector<Way>& chosen) {
    if (sizeof(real) == 4 && example.find("quantized") != std::string::npos)
        GTEST_SKIP() << "quantised: a float32 value beside the middle of two levels may take the other level; double "
                        "builds run this";
    OracleError worst;
    for (const int threads : test_threads({1, 3})) {
        PDADMM_TEST_BACKEND(backend, threads);
        for (const auto& [first, most_stacked] : chosen) {
            const OracleError e = compare_with_oracle(*backend, folder() + "/" + example, first, most_stacked);
            EXPECT_FALSE(!(e.error <= bound)) << e.error << " at " << e.where << ", first layer "
                                              << (first == FirstLayer::direct ? "direct" : "in node space")
                                              << ", stacks of " << most_stacked << ", threads " << threads;
            EXPECT_FALSE(e.where.empty()) << "nothing was compared";
            if (!(e.error <= worst.error)) worst = e;
        }
    }
    testing::Test::RecordProperty("largest_error", std::to_string(worst.error));
    std::printf("%.2e (%s)\n", worst.error, worst.where.c_str());
}

class Oracle : public testing::TestWithParam<std::string> {};

TEST_P(Oracle, IsReproduced) {
    PDADMM_SEEDED();
    expect_reproduced(GetParam(), sample(ways(), test_backend_name() == "cpu" ? 1 : 3, seed));
}

TEST_P(Oracle, IsReproducedSlow) { expect_reproduced(GetParam(), ways()); }

std::vector<std::string> names() {
    std::vector<std::string> result;
    if (!std::filesystem::is_directory(folder())) return result;
    for (const std::string& file : oracle_files(folder()))
        result.push_back(std::filesystem::path(file).filename().string());
    return result;
}

INSTANTIATE_TEST_SUITE_P(Files, Oracle, testing::ValuesIn(names()), [](const auto& file) {
    std::string name = file.param.substr(0, file.param.find('.'));
    for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    return name;
});

TEST(OracleFolder, HasTheWorkedExamples) { EXPECT_GE(names().size(), 12u) << folder(); }

}  // namespace
