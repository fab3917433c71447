// The seed of a test with random inputs: made from the test's name, so that a run of all tests can be repeated as it
// was; PDADMM_TEST_SEED=fresh draws another one each time (`./run tests --all` does), PDADMM_TEST_SEED=seed repeats
// that one. It is printed with every failure and kept as a property of the test.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace pdadmm {

inline std::uint64_t test_seed() {
    const std::string given = std::getenv("PDADMM_TEST_SEED") ? std::getenv("PDADMM_TEST_SEED") : "";
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    std::uint64_t seed = 2166136261u;  // FNV-1a: the same with every standard library
    for (const char* c = test.name(); *c; ++c) seed = (seed ^ static_cast<unsigned char>(*c)) * 16777619u & 0xffffffffu;
    if (given == "fresh")
        seed = std::random_device{}();
    else if (!given.empty())
        seed = std::stoull(given);
    testing::Test::RecordProperty("seed", std::to_string(seed));
    return seed;
}

}  // namespace pdadmm

/// Draws the seed of this test into a constant `seed`.
#define PDADMM_SEEDED()                             \
    const std::uint64_t seed = pdadmm::test_seed(); \
    SCOPED_TRACE("repeat with PDADMM_TEST_SEED=" + std::to_string(seed))
