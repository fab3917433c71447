// What must hold of the iterates of random problems: descent (Lemma 1) and the dual identity (design 3, "Invariants").
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "tests/support/random_problem.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using reference::Array;

namespace {

constexpr double unit = std::numeric_limits<real>::epsilon();
constexpr bool wide = sizeof(real) == 8;

/// Random states with rho > 4 nu on which L_rho must not rise.
std::vector<ProblemSpec> descent_specs() {
    const StepSpec floored{StepRule::exact, 5}, backtracking{StepRule::backtracking, 0}, block{StepRule::block, 0};
    return {
        {.rho = 4.01, .nu = 1, .mu = 0},
        {.layers = 6, .rho = 0.1, .nu = 0.02, .mu = 0.01, .step = backtracking, .most_stacked = 2},
        {.layers = 3, .hidden = 15, .rho = 1000, .nu = 1, .mu = 0.3},
        {.layers = 5, .classes = 2, .nodes = 50, .rho = 50, .nu = 5, .mu = 0, .step = floored, .scale = 3},
        {.inputs = 31, .nodes = 8, .rho = 1, .nu = 0.2, .mu = 0.1, .first_layer = FirstLayer::node_space},
        {.rho = 0.01, .nu = 0.001, .mu = 0},
        {.layers = 3, .classes = 6, .rho = 1, .nu = 0.2, .mu = 0.05, .step = block, .multi_label = true},
        {.layers = 4, .classes = 3, .rho = 0.02, .nu = 0.004, .mu = 0.01, .scale = 3, .multi_label = true},
        {.layers = 5, .rho = 0.5, .nu = 0.1, .mu = 0.02, .most_stacked = 2, .decay = DecayTo::identity},
        {.layers = 6, .rho = 4.01, .nu = 1, .mu = 0, .step = block},
        {.layers = 4, .nodes = 50, .rho = 30, .nu = 2, .mu = 0.4, .step = block, .decay = DecayTo::identity},
        {.inputs = 31,
         .nodes = 8,
         .rho = 1,
         .nu = 0.2,
         .mu = 0.1,
         .step = block,
         .first_layer = FirstLayer::node_space},
        {.inputs = 31, .nodes = 8, .rho = 1, .nu = 0.2, .mu = 0, .step = block, .first_layer = FirstLayer::node_space},
        {.layers = 5, .hidden = 20, .nodes = 9, .rho = 5, .nu = 1, .mu = 0, .step = block},
        {.layers = 5, .hidden = 20, .nodes = 9, .rho = 5, .nu = 1, .mu = 0.05, .step = block, .most_stacked = 2},
        {.layers = 5,
         .hidden = 20,
         .nodes = 9,
         .rho = 5,
         .nu = 1,
         .mu = 0.05,
         .step = block,
         .decay = DecayTo::identity}};
}

void expect_descent(const std::vector<double>& values, double magnitude, std::size_t from, const std::string& where) {
    const double allowed = (wide ? 1e-12 : 1e-6) * magnitude;
    for (std::size_t k = from; k < values.size(); ++k)
        EXPECT_FALSE(!(values[k] <= values[k - 1] + allowed))
            << where << ": L_rho " << values[k - 1] << " to " << values[k] << " in iteration " << k;
}

TEST(Descent, LagrangianNeverRisesFromTheSecondIterationOn) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const ProblemSpec& spec : descent_specs())
        for (std::uint64_t start = 0; start < 3; ++start) {
            RandomProblem problem(*backend, spec, seed + start);
            Lagrangian now = lagrangian(problem.state());
            std::vector<double> values{now.value};
            double magnitude = now.magnitude;
            for (int k = 1; k <= 60; ++k) {
                problem.step();
                now = lagrangian(problem.state());
                values.push_back(now.value);
                magnitude = std::fmax(magnitude, now.magnitude);
            }
            expect_descent(values, magnitude, 2, spec.text());
            EXPECT_FALSE(!(values.back() < values[1])) << spec.text();
        }
}

TEST(Descent, LagrangianNeverRisesWhereTheDualFits) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const ProblemSpec& spec : descent_specs())
        for (std::uint64_t start = 0; start < 3; ++start) {
            RandomProblem problem(*backend, spec, seed + start);
            const State before = problem.state();
            for (int layer = 1; layer < spec.layers; ++layer) {  // u = nu (q - f(z))
                const auto l = static_cast<std::size_t>(layer);
                Array u = before.q[l];
                for (std::size_t i = 0; i < u.size(); ++i)
                    u.values[i] = spec.nu * (u.values[i] - reference::ramp(before.z[l].values[i]));
                problem.set(problem.network().u(layer), u);
            }
            const Lagrangian old = lagrangian(problem.state());
            problem.step();
            const Lagrangian now = lagrangian(problem.state());
            expect_descent({old.value, now.value}, std::fmax(old.magnitude, now.magnitude), 1, spec.text());
        }
}

TEST(Descent, CanFail) {  // far below rho = 4 nu the same starts do rise
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    int rises = 0;
    for (std::uint64_t start = 0; start < 6; ++start) {
        RandomProblem problem(*backend, {.rho = 0.01, .nu = 1, .mu = 0}, seed + start);
        problem.step();
        double last = lagrangian(problem.state()).value;
        for (int k = 2; k <= 60; ++k) {
            problem.step();
            const double now = lagrangian(problem.state()).value;
            rises += now > last + 1e-6 * std::fabs(last) ? 1 : 0;
            last = now;
        }
    }
    EXPECT_GT(rises, 0);
}

TEST(Dual, EqualsNuTimesQMinusFOfZ) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    double worst = 0;
    for (const double ratio : {0.25, 4.0, 10.0, 100.0, 1000.0})
        for (const double nu : {1e-3, 1.0, 1e3}) {
            RandomProblem problem(*backend, {.rho = ratio * nu, .nu = nu}, seed);
            for (int k = 1; k <= 20; ++k) {
                problem.step();
                const State s = problem.state();
                for (std::size_t l = 1; l + 1 < s.W.size(); ++l) {
                    double off = 0;
                    for (std::size_t i = 0; i < s.u[l].size(); ++i) {
                        const double gap =
                            s.u[l].values[i] - s.nu * (s.q[l].values[i] - reference::ramp(s.z[l].values[i]));
                        if (!(std::fabs(gap) <= off)) off = std::fabs(gap);
                    }
                    const double size = s.nu * std::fmax(reference::largest(s.q[l]), reference::largest(s.p[l + 1])),
                                 bound = 4 * unit * (4 + ratio) * size;
                    EXPECT_FALSE(!(off <= bound))
                        << off << " above " << bound << ", rho/nu " << ratio << ", nu " << nu << ", layer " << l;
                    worst = std::fmax(worst, off / bound);
                }
            }
        }
    std::printf("at most %.2f of the bound\n", worst);
}

}  // namespace
