// The seed of a test with random inputs: fresh each time, printed with every failure and as a property of the test, and
// repeated with PDADMM_TEST_SEED=seed.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace pdadmm {

inline std::uint64_t test_seed() {
    const char* given = std::getenv("PDADMM_TEST_SEED");
    const std::uint64_t seed = given ? std::stoull(given) : std::random_device{}();
    testing::Test::RecordProperty("seed", std::to_string(seed));
    return seed;
}

}  // namespace pdadmm

/// Draws the seed of this test into a constant `seed`.
#define PDADMM_SEEDED()                             \
    const std::uint64_t seed = pdadmm::test_seed(); \
    SCOPED_TRACE("repeat with PDADMM_TEST_SEED=" + std::to_string(seed))
