// First-order optimality of every subproblem of the CPU backend on random inconsistent states, against float64
// (design 2). The last layer's prox and the difference codec are also tested directly.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "pdadmm/sigmoid.hpp"
#include "tests/algorithm/subproblem_check.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

constexpr double unit = std::numeric_limits<real>::epsilon();

class Subproblems : public testing::TestWithParam<int> {};

void expect_solved(const ProblemSpec& spec, std::uint64_t seed, int iterations) {
    for (const int threads : test_threads({1, 2})) {
        PDADMM_TEST_BACKEND(backend, threads);
        const std::uint64_t start = seed + static_cast<std::uint64_t>(threads);
        EXPECT_EQ(report(check_problem(*backend, spec, start, iterations)), "")
            << spec.text() << ", threads " << threads;
    }
}

TEST_P(Subproblems, AreSolved) {
    PDADMM_SEEDED();
    const bool goes_on = test_backend_name() == "cpu" || seed % 3 == 0;  // from the first iteration's state
    expect_solved(subproblem_specs()[static_cast<std::size_t>(GetParam())], seed, goes_on ? 3 : 1);
}

TEST_P(Subproblems, AreSolvedSlow) {
    PDADMM_SEEDED();
    expect_solved(subproblem_specs()[static_cast<std::size_t>(GetParam())], seed, 3);
}

INSTANTIATE_TEST_SUITE_P(Specs, Subproblems, testing::Range(0, static_cast<int>(subproblem_specs().size())));

TEST(Schedule, GrowsAfterStallsInARowAndThenStartsToCountAnew) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    EXPECT_EQ(report(check_schedule(*backend, seed)), "");
}

TEST(NodeSpace, GivesTheDirectFirstLayer) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const double mu : {0.0, 0.3}) {
        ProblemSpec spec{.inputs = 40, .nodes = 9, .mu = mu};
        RandomProblem direct(*backend, spec, seed);
        spec.first_layer = FirstLayer::node_space;
        RandomProblem in_node_space(*backend, spec, seed);
        ASSERT_TRUE(in_node_space.network().node_space());
        ASSERT_FALSE(direct.network().node_space());
        for (int k = 1; k <= 3; ++k) {
            direct.step();
            in_node_space.step();
            const State a = direct.state(), b = in_node_space.state();
            double worst = 0;
            for (std::size_t i = 0; i < a.W[1].size(); ++i) {
                const double off = std::fabs(a.W[1].values[i] - b.W[1].values[i]);
                if (!(off <= worst)) worst = off;
            }
            EXPECT_FALSE(!(worst <= 4000 * unit * reference::largest(a.W[1])))
                << worst << ", iteration " << k << ", mu " << mu;
        }
    }
}

// KKT residual at most 1e-10 (+ the rounding of nu (v - a)) for nu of 1e-8 .. 1e3 and logits up to 1e4.
TEST(LastLayerProx, SatisfiesKktOverElevenOrdersOfNu) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    double worst = 0, worst_risk = 0;
    int most_steps = 0;
    for (int exponent = -8; exponent <= 3; ++exponent)
        for (const std::int32_t classes : {2, 3, 7, 50})
            for (const double size : {1e-3, 1.0, 30.0, 1e4})
                for (int repeat = 0; repeat < 5; ++repeat) {
                    const double nu = std::pow(10, exponent), weight = repeat < 2 ? 1 : std::pow(30, 3 - repeat);
                    std::vector<double> a(static_cast<std::size_t>(classes)), v(a.size());
                    for (double& x : a) x = repeat == 0 ? size : std::clamp(size * normal(random), -1e4, 1e4);
                    const auto y = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(classes));
                    SerialLanes<double> lanes{classes, v.data()};
                    const double start = repeat % 2 ? 0.0 : size * normal(random);  // any start must do
                    const ProxResult<double> result = prox_cross_entropy(
                        lanes, [&](std::int32_t i) { return a[static_cast<std::size_t>(i)]; }, static_cast<double>(y),
                        nu, start, weight);
                    const double largest = *std::max_element(
                        a.begin(), a.end(), [](double l, double r) { return std::fabs(l) < std::fabs(r); });
                    const double kkt = weight * reference::prox_residual(v, a, y, nu / weight),
                                 bound = weight * 1e-10 + 1e-15 * nu * std::fabs(largest) * classes;
                    const std::string where = fmt::format("nu {:g}, C {}, size {:g}, y {}, weight {:g}, steps {}", nu,
                                                          classes, size, y, weight, result.steps);
                    EXPECT_FALSE(!(kkt <= bound)) << kkt << " at " << where;
                    const double risk = weight * reference::cross_entropy(v, y),
                                 risk_off = std::fabs(result.risk - risk) / (1 + risk);
                    EXPECT_FALSE(!(risk_off <= 1e-9)) << result.risk << " for " << risk << " at " << where;
                    const double before = weight * reference::prox_objective(a, a, y, nu / weight),
                                 after = weight * reference::prox_objective(v, a, y, nu / weight);
                    EXPECT_FALSE(!(after <= before * (1 + 1e-12) + 1e-12))
                        << before << " to " << after << " at " << where;
                    worst = std::fmax(worst, kkt);
                    worst_risk = std::fmax(worst_risk, risk_off);
                    most_steps = std::max(most_steps, result.steps);
                }
    std::printf("KKT residual %.1e, risk %.1e, %d steps at most\n", worst, worst_risk, most_steps);
    EXPECT_LE(most_steps, 40);
}

TEST(LastLayerProx, EqualsNewtonsSolution) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    for (int repeat = 0; repeat < 50; ++repeat) {
        const std::int32_t classes = 2 + static_cast<std::int32_t>(random() % 20);
        const double nu = std::pow(10, static_cast<double>(random() % 5) - 3);
        std::vector<double> a(static_cast<std::size_t>(classes)), v(a.size());
        for (double& x : a) x = 3 * normal(random);
        const auto y = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(classes));
        SerialLanes<double> lanes{classes, v.data()};
        prox_cross_entropy(
            lanes, [&](std::int32_t i) { return a[static_cast<std::size_t>(i)]; }, static_cast<double>(y), nu, 0.0);
        const std::vector<double> newton = reference::prox(a, y, nu);
        for (std::size_t i = 0; i < v.size(); ++i)
            EXPECT_NEAR(v[i], newton[i], 1e-10 / nu) << "nu " << nu << ", C " << classes;
    }
}

// Logits and cross entropies to 2e-15 of max(1, |a|, |v|) for nu of 1e-10 .. 1e6 and targets up to 1e6; near nu a = 1/2
// and 1, where the step turns, too.
TEST(LabelProx, EqualsBisectionOverSixteenOrdersOfNu) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    double worst = 0;
    for (int exponent = -10; exponent <= 6; ++exponent)
        for (const double size : {1e-3, 1.0, 30.0, 1e3, 1e6})
            for (int repeat = 0; repeat < 60; ++repeat) {
                const double nu = std::pow(10, exponent), t = static_cast<double>(random() % 2),
                             turn = repeat % 3 == 1 ? 0.5 + 0.2 * normal(random) : 1 + 0.01 * normal(random);
                const double a = repeat % 3 == 0 ? size * normal(random) : (repeat % 2 ? turn : -turn) / nu;
                const LabelProx<double> found = prox_label(a, t, nu, log_of(nu));
                const double expected = reference::label_prox(a, t > 0, nu),
                             scale = std::fmax(1, std::fmax(std::fabs(a), std::fabs(expected))),
                             off = std::fmax(std::fabs(found.z - expected),
                                             std::fabs(found.cost - reference::label_cost(expected, t > 0))) /
                                   scale;
                EXPECT_FALSE(!(off <= 2e-15)) << off << " at nu " << nu << ", a " << a << ", t " << t;
                if (!(off <= worst)) worst = off;
            }
    std::printf("error %.1e\n", worst);
    EXPECT_TRUE(std::isnan(prox_label(double(NAN), 1.0, 0.1, log_of(0.1)).z));
    for (const double a : {-1e30, 1e30, 1e300})
        for (const double nu : {1e-30, 1e-3, 1e30})
            EXPECT_TRUE(std::isfinite(prox_label(a, 1.0, nu, log_of(nu)).z)) << a << ", nu " << nu;
}

TEST(LabelProx, CostAndSlopeAreThoseOfTheSigmoidCrossEntropy) {
    for (const double z : {-800.0, -40.0, -1.0, -1e-3, 0.0, 0.5, 3.0, 40.0, 800.0})
        for (const double t : {0.0, 1.0}) {
            const double cost = reference::label_cost(z, t > 0), slope = reference::label_slope(z, t > 0);
            EXPECT_NEAR(label_cost(z, t), cost, 1e-15 * (1 + cost)) << z;
            EXPECT_NEAR(label_gradient(z, t), slope, 1e-15 * std::fabs(slope)) << z;
        }
}

TEST(WrightOmega, SolvesItsEquation) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    double worst = 0;
    for (int k = 0; k < 20000; ++k) {
        const double unit_draw = std::uniform_real_distribution<double>(-1, 1)(random);
        const double x = k % 3 == 0   ? 700 * unit_draw
                         : k % 3 == 1 ? 5 * unit_draw
                                      : std::pow(10, 15 * std::fabs(unit_draw));
        const double expected = reference::omega(x), off = std::fabs(wright_omega(x) - expected) / expected;
        EXPECT_FALSE(!(off <= 4e-15 * (1 + (x < 0 ? -x / 16 : 0))))
            << "omega(" << x << ") = " << wright_omega(x) << " for " << expected;
        worst = std::fmax(worst, off);
    }
    std::printf("relative error %.1e\n", worst);
}

TEST(DifferenceCodec, CodesAreNearestAndHalvesGoToEven) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (const int bits : {2, 3, 4, 8, 16}) {
        const std::int32_t top = largest_code(bits);
        const Quantizer by_largest{Codec::difference, bits, nullptr, 0};
        EXPECT_EQ(top, (1 << (bits - 1)) - 1);
        const real width = real(0.25);  // halves are exact
        for (std::int32_t code = -top; code <= top; ++code) {
            EXPECT_EQ(difference_code(real(code) * width, width, top), real(code));
            const double half = code + 0.5, rounded = reference::half_even(half);
            EXPECT_EQ(difference_code(static_cast<real>(half) * width, width, top),
                      static_cast<real>(std::fmin(rounded, top)));
        }
        EXPECT_EQ(difference_code(real(1e9), width, top), real(top));
        EXPECT_EQ(difference_code(real(-1e9), width, top), real(-top));
        EXPECT_EQ(difference_code(0, 0, top), real(0));
        EXPECT_EQ(difference_round(0, difference_width(by_largest, 0, 10), top), real(0));
        const real M = std::uniform_real_distribution<real>(real(0.1), 10)(random),
                   w = difference_width(by_largest, static_cast<double>(M), 10);
        for (int k = 0; k < 1000; ++k) {
            const real x = std::uniform_real_distribution<real>(-M, M)(random), y = difference_round(x, w, top);
            const double step = static_cast<double>(M) / top;
            EXPECT_FALSE(!(std::fabs(static_cast<double>(y) - static_cast<double>(x)) <=
                           step / 2 + 4 * unit * static_cast<double>(M)));
            EXPECT_EQ(difference_round(y, w, top), y) << "decoded values are fixed points";
        }
        EXPECT_TRUE(std::isnan(difference_round(NAN, w, top)));
    }
}

TEST(DifferenceCodec, WidthsOfSums) {
    const std::vector<real> changes{3, -4, 0, 12, real(0.5), -1};
    for (const int bits : {1, 2, 4, 8, 16}) {
        const Quantizer q{Codec::difference, bits, nullptr, 0, ChangeScale::rms};
        const ChangeMeasure measure = change_measure(q);
        ASSERT_EQ(measure == ChangeMeasure::largest, bits == 16) << "16 bits need no clipping";
        double sum = 0;
        for (const real x : changes) sum = bits == 16 ? std::fmax(sum, summand(measure, x)) : sum + summand(measure, x);
        const reference::ChangeGrid grid = reference::change_grid({6, 1, changes}, bits, ChangeScale::rms);
        const real width = difference_width(q, sum, 6);
        EXPECT_NEAR(static_cast<double>(width), grid.width, 4 * unit * grid.width);
        for (const real x : changes)
            EXPECT_NEAR(static_cast<double>(difference_round(x, width, largest_code(bits))),
                        grid.rounded(static_cast<double>(x)), 1e3 * unit)
                << bits << " bits";
    }
}

/// What a receiver that holds `before` has after one value was sent.
real after_message(const Quantizer& q, real change, MessageHeader header, real before) {
    const std::uint32_t word = pack_word(q, 0, 1, header.width, [&](Index) { return change; });
    real after = NAN;
    unpack_word(q, word, 0, 1, [&](Index, std::uint32_t code) { after = decoded(q, code, header, before); });
    return after;
}

TEST(DifferenceCodec, OneBitIsTheSignAndNoChangeSendsZero) {
    const Quantizer q{Codec::difference, 1, nullptr, 0};
    EXPECT_EQ(difference_code(real(0.1), real(0.25), 0), real(1));
    EXPECT_EQ(difference_code(real(-9), real(0.25), 0), real(-1));
    EXPECT_EQ(difference_code(0, real(0.25), 0), real(1)) << "a zero among changes that are not";
    EXPECT_EQ(difference_round(0, difference_width(q, 0, 10), 0), real(0)) << "no change";
    EXPECT_TRUE(std::isnan(difference_width(q, NAN, 10)));
    EXPECT_TRUE(std::isnan(difference_round(1, NAN, 0)));
    for (const real before : {real(0.5), real(-0.0), real(0)})
        for (const real factor : {real(1), real(0.5), real(0)}) {
            for (const real change : {real(-0.25), real(0.25)})
                EXPECT_EQ(after_message(q, change, {real(0.25), factor}, before), before + factor * change);
            const real kept = after_message(q, 0, {0, factor}, before);
            EXPECT_EQ(kept, before);
            EXPECT_EQ(std::signbit(kept), std::signbit(before - -factor * real(0)))
                << "as descend() leaves it at the sender";
            EXPECT_TRUE(std::isnan(after_message(q, NAN, {NAN, factor}, before)));
        }
    EXPECT_EQ(message_bytes(33, q), 5 + sizeof(MessageHeader));
    EXPECT_EQ(message_capacity(33, q), 8 + sizeof(MessageHeader));
}

}  // namespace
