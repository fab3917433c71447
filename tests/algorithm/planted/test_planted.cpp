// A detector must detect: every planted bug is found by the checks of test_subproblems on at least one of their
// problems (and the same checks find nothing where no bug is planted, nor in the plain loops that carry the bugs).
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/algorithm/planted/planted_backend.hpp"
#include "tests/algorithm/subproblem_check.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

class Planted : public testing::TestWithParam<int> {};

TEST_P(Planted, BugIsFound) {
    PDADMM_SEEDED();
    const Bug bug = static_cast<Bug>(GetParam());
    const auto cpu = make_backend("cpu", {1, 0});
    const std::vector<ProblemSpec> specs = subproblem_specs();
    std::size_t finding_specs = 0;
    std::string first;
    const auto see = [&](const std::vector<Finding>& findings) {
        if (findings.empty()) return;
        ++finding_specs;
        if (first.empty()) first = report({findings[0]});
    };
    PlantedBackend of_schedule(*cpu, bug);
    see(check_schedule(of_schedule, seed));
    for (const ProblemSpec& spec : specs) {
        PlantedBackend backend(*cpu, bug);  // what it remembers belongs to one problem
        see(check_problem(backend, spec, seed, 2));
    }
    if (bug == Bug::none) {
        EXPECT_EQ(finding_specs, 0u) << first;
    } else {
        EXPECT_GT(finding_specs, 0u) << text(bug);
    }
    std::printf("%-28s %2zu of %zu problems  %s", text(bug), finding_specs, specs.size() + 1,
                first.empty() ? "\n" : first.c_str());
}

INSTANTIATE_TEST_SUITE_P(Bugs, Planted, testing::Range(0, static_cast<int>(Bug::count)),
                         [](const auto& bug) { return std::string(text(static_cast<Bug>(bug.param))); });

}  // namespace
