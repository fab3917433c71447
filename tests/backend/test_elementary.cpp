// exp and log in plain arithmetic (elementary.hpp): their error against long double, and that a lane of a pack has the
// bits of the scalar.
#include "pdadmm/elementary.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "host/cpu/pack.hpp"
#include "pdadmm/prox.hpp"
#include "tests/support/test_seed.hpp"

namespace pdadmm {
namespace {

// Every float that is a valid argument, one of each 1,009: all exponents, and mantissas of all kinds.
template <typename F>
void each_float(float first, float last, F&& body) {
    for (std::uint32_t bits = std::bit_cast<std::uint32_t>(first); bits <= std::bit_cast<std::uint32_t>(last);
         bits += 1009)
        body(static_cast<double>(std::bit_cast<float>(bits)));
}

double relative(double found, long double expected) {
    return static_cast<double>(std::fabs((static_cast<long double>(found) - expected) / expected));
}

TEST(Elementary, ExpIsWithinItsStatedError) {
    double worst = 0;
    each_float(1e-30f, 700.0f, [&](double x) {
        for (const double at : {x, -x})
            worst = std::fmax(worst, relative(exp_of(at), std::exp(static_cast<long double>(at))));
    });
    std::printf("relative error of exp %.2e\n", worst);
    EXPECT_LE(worst, 4e-16);
    EXPECT_EQ(exp_of(0.0), 1.0);
    EXPECT_EQ(exp_of(-1000.0), 0.0);
    EXPECT_EQ(exp_of(-std::numeric_limits<double>::infinity()), 0.0);
    EXPECT_TRUE(std::isnan(exp_of(std::nan(""))));
}

TEST(Elementary, LogIsWithinItsStatedError) {
    double worst = 0;
    each_float(std::numeric_limits<float>::min(), std::numeric_limits<float>::max(), [&](double x) {
        if (x != 1) worst = std::fmax(worst, relative(log_of(x), std::log(static_cast<long double>(x))));
    });
    std::printf("relative error of log %.2e\n", worst);
    EXPECT_LE(worst, 4e-16);
    EXPECT_EQ(log_of(1.0), 0.0);
    EXPECT_LT(log_of(0.0), -700);
    EXPECT_TRUE(std::isnan(log_of(std::nan(""))));
    EXPECT_TRUE(std::isnan(log_of(std::numeric_limits<double>::infinity())));
}

TEST(Elementary, Log1pKeepsSmallArguments) {
    double worst = 0;
    each_float(1e-30f, 0.9f, [&](double x) {
        for (const double at : {x, -x})
            worst = std::fmax(worst, relative(log1p_of(at), std::log1p(static_cast<long double>(at))));
    });
    std::printf("relative error of log1p %.2e\n", worst);
    EXPECT_LE(worst, 1e-15);
    EXPECT_EQ(log1p_of(0.0), 0.0);
}

// Nodes of one pack differ in size and label, so they need different numbers of steps.
TEST(Elementary, ALaneOfAPackHasTheBitsOfTheScalar) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    for (int repeat = 0; repeat < 200; ++repeat) {
        const std::int32_t classes = 2 + static_cast<std::int32_t>(random() % 12);
        const double nu = std::pow(10, static_cast<double>(random() % 7) - 4);
        const auto count = static_cast<std::size_t>(classes);
        std::vector<Pack> a(count), z(count);
        Pack label = 0.0, start = 0.0;
        for (int lane = 0; lane < Pack::width; ++lane) {
            const double size = std::pow(10, static_cast<double>(lane) / 2 - 1);
            for (Pack& x : a) x.set(lane, lane == 3 && repeat == 7 ? std::nan("") : size * normal(random));
            label.set(lane, static_cast<double>(random() % count));
            start.set(lane, size * normal(random));
        }
        SerialLanes<Pack> pack{classes, z.data()};
        const Pack risk = prox_cross_entropy(
                              pack, [&](std::int32_t i) { return a[static_cast<std::size_t>(i)]; }, label, nu, start)
                              .risk;
        for (int lane = 0; lane < Pack::width; ++lane) {
            std::vector<double> alone(count);
            SerialLanes<double> scalar{classes, alone.data()};
            const double of_one = prox_cross_entropy(
                                      scalar, [&](std::int32_t i) { return a[static_cast<std::size_t>(i)][lane]; },
                                      label[lane], nu, start[lane])
                                      .risk;
            EXPECT_EQ(std::bit_cast<std::uint64_t>(of_one) << 1, std::bit_cast<std::uint64_t>(risk[lane]) << 1);
            for (std::size_t i = 0; i < count; ++i)
                EXPECT_TRUE(alone[i] == z[i][lane] || (std::isnan(alone[i]) && std::isnan(z[i][lane])));
        }
    }
}

}  // namespace
}  // namespace pdadmm
