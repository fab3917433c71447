// The problems on which subproblems are checked, the run over one of them, and the schedule's check
// (tests/algorithm/subproblem_check.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/algorithm/subproblem_check.hpp"

namespace pdadmm {

std::vector<Finding> check_problem(Backend& backend, const ProblemSpec& spec, std::uint64_t seed, int iterations) {
    RandomProblem problem(backend, spec, seed);
    std::vector<Finding> all;
    State before = problem.state();
    for (int k = 1; k <= iterations; ++k) {
        problem.step();
        State after = problem.state();
        note_carried(before, after);
        for (Finding& f : check_iteration(before, after, problem)) {
            f.what = fmt::format("iteration {}, {}", k, f.what);
            all.push_back(f);
        }
        before = std::move(after);
    }
    return all;
}

std::vector<Finding> check_schedule(Backend& backend, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Finding> findings;
    const RhoSchedule rule{RhoSchedule::Watch::risk, 0.5, 2, 1000, 2};
    Buffer<Controls> controls(backend, std::vector<Controls>{{real(0.001), real(0.01), 0, 0, 100}});
    Buffer<double> watched(backend, 1);
    double last = 100, rho = 0.001, nu = 0.01, figure = 100;
    int in_a_row = 0;
    for (int k = 1; k <= 200; ++k) {
        figure -= random() % 3 == 0 ? 1 : 0.25;  // a fall above the threshold, or below it
        watched.upload({figure});
        backend.schedule(rule, watched.data(), controls.data());
        in_a_row = last - figure < 0.5 ? in_a_row + 1 : 0;
        last = figure;
        if (in_a_row == 2) {
            in_a_row = 0;
            rho = std::min(rho * 2, 1000.0);
            nu = std::min(nu * 2, 1000.0);
        }
        const Controls k_now = controls.download()[0];
        const double off =
            std::fabs(static_cast<double>(k_now.rho) / rho - 1) + std::fabs(static_cast<double>(k_now.nu) / nu - 1);
        if (!(off <= 1e-5)) findings.push_back({fmt::format("iteration {}, schedule: rho and nu", k), 0, off, 1e-5});
    }
    return findings;
}

std::string report(const std::vector<Finding>& findings) {
    std::string text;
    for (const Finding& f : findings)
        text += fmt::format("layer {}: {}: {:.3g}, at most {:.3g}\n", f.layer, f.what, f.size, f.bound);
    return text;
}

namespace {

const StepSpec exact{StepRule::exact, 0}, floored{StepRule::exact, 20}, backtracking{StepRule::backtracking, 0},
    block{StepRule::block, 0};

struct Levels {
    std::vector<double> coarse = reference::spread(-1, 3, 9), fine = reference::spread(-2, 4, 200),
                        three{-0.3, 0.1, 2.0};
};

/// Gradient steps, quantised and not.
std::vector<ProblemSpec> gradient_specs() {
    const auto [coarse, fine, three] = Levels{};
    std::vector<ProblemSpec> specs{
        {},
        {.layers = 2},
        {.layers = 6,
         .inputs = 3,
         .hidden = 12,
         .classes = 2,
         .nodes = 40,
         .rho = 0.01,
         .nu = 0.02,
         .mu = 0,
         .most_stacked = 2},
        {.layers = 3, .inputs = 1, .hidden = 1, .classes = 2, .nodes = 1, .mu = 0.5},
        {.layers = 5,
         .inputs = 30,
         .hidden = 20,
         .classes = 11,
         .nodes = 65,
         .rho = 30,
         .nu = 3,
         .mu = 0.01,
         .step = floored,
         .scale = 3},
        {.rho = 1, .nu = 0.01, .mu = 0, .step = backtracking},
        {.rho = 50, .nu = 10, .mu = 2, .step = backtracking},
        {.rho = 30000, .nu = 2000, .step = backtracking},  // p is kept, and W of most layers
        {.layers = 5, .hidden = 9, .rho = 0.3, .nu = 7, .step = backtracking, .most_stacked = 1},
        {.rho = 1000, .nu = 1, .mu = 0, .scale = 0.1},
        {.nu = 1e-3, .mu = 0, .scale = 10},
        {.classes = 5, .nodes = 40, .class_weights = true},
        {.layers = 2, .classes = 3, .nu = 20, .class_weights = true},
    };
    for (const StepSpec step : {exact, backtracking})
        for (const double mu : {0.0, 0.2})
            specs.push_back(
                {.inputs = 31, .nodes = 8, .nu = 0.7, .mu = mu, .step = step, .first_layer = FirstLayer::node_space});
    for (const StepSpec step : {exact, backtracking})
        for (const double nu : {0.3, 30.0})
            for (const auto& levels : {coarse, fine, three})
                specs.push_back({.rho = 2,
                                 .nu = nu,
                                 .step = step,
                                 .p = Codec::grid,
                                 .q = nu < 1 ? Codec::none : Codec::grid,
                                 .levels = levels});
    for (const StepSpec step : {exact, floored, backtracking})
        for (const int bits : {2, 4, 8})
            for (const double rho : {0.5, 60000.0})
                specs.push_back({.layers = 5,
                                 .rho = rho,
                                 .nu = 4,
                                 .step = step,
                                 .p = Codec::difference,
                                 .q = bits == 8 ? Codec::none : Codec::difference,
                                 .bits = bits,
                                 .most_stacked = 2});
    return specs;
}

/// All steps: codes scaled by the root mean square, decay to the identity.
std::vector<ProblemSpec> common_specs() {
    std::vector<ProblemSpec> specs;
    for (const StepSpec step : {exact, backtracking, block})
        for (const int bits : {1, 2, 4, 8, 16})
            specs.push_back({.layers = 5,
                             .rho = 0.5,
                             .nu = 4,
                             .step = step,
                             .p = Codec::difference,
                             .q = Codec::difference,
                             .bits = bits,
                             .change_scale = ChangeScale::rms,
                             .most_stacked = bits % 3});
    for (const double nu : {0.02, 0.7, 30.0})
        specs.push_back({.layers = 3,
                         .classes = 5,
                         .nodes = 21,
                         .rho = 2,
                         .nu = nu,
                         .step = nu < 1 ? block : exact,
                         .most_stacked = 1,
                         .scale = 4,
                         .multi_label = true});
    for (const StepSpec step : {exact, backtracking, block})
        specs.push_back({.layers = 5,
                         .nodes = 30,
                         .rho = 0.4,
                         .nu = 0.6,
                         .mu = 0.8,
                         .step = step,
                         .most_stacked = 2,
                         .decay = DecayTo::identity});
    return specs;
}

/// Closed forms, quantised and not.
std::vector<ProblemSpec> closed_specs() {
    const auto [coarse, fine, three] = Levels{};
    std::vector<ProblemSpec> specs;
    for (const FirstLayer first : {FirstLayer::direct, FirstLayer::node_space})
        for (const double mu : {0.0, 0.2}) {
            specs.push_back({.inputs = first == FirstLayer::direct ? 9 : 31,
                             .nodes = first == FirstLayer::direct ? 40 : 8,
                             .nu = 0.7,
                             .mu = mu,
                             .step = block,
                             .first_layer = first});
            specs.push_back({.layers = 5,
                             .inputs = 12,
                             .nodes = 30,
                             .rho = 3,
                             .nu = 2,
                             .mu = mu,
                             .step = block,
                             .first_layer = first,
                             .most_stacked = 1});
            specs.push_back({.layers = 3,
                             .inputs = 12,
                             .nodes = 20,
                             .rho = 0.4,
                             .nu = 0.1,
                             .mu = mu,
                             .step = block,
                             .first_layer = first,
                             .growth = 4});
        }
    specs.push_back({.layers = 3, .inputs = 1, .hidden = 1, .classes = 2, .nodes = 1, .mu = 0.5, .step = block});
    for (const auto& levels : {coarse, fine, three})
        for (const double nu : {0.3, 30.0})
            specs.push_back({.rho = 2,
                             .nu = nu,
                             .step = block,
                             .p = Codec::grid,
                             .q = nu < 1 ? Codec::none : Codec::grid,
                             .levels = levels});
    for (const int bits : {2, 4, 8})
        for (const double nu : {0.05, 4.0})
            specs.push_back({.layers = 5,
                             .rho = 0.5,
                             .nu = nu,
                             .step = block,
                             .p = Codec::difference,
                             .q = bits == 8 ? Codec::none : Codec::difference,
                             .bits = bits,
                             .most_stacked = 2});
    // Fewer nodes than neurons, and fewer outputs than inputs: the smaller Gram matrices.
    for (const DecayTo decay : {DecayTo::zero, DecayTo::identity})
        for (const double mu : {0.0, 0.2})
            for (const Codec codec : {Codec::none, Codec::grid, Codec::difference})
                specs.push_back({.layers = 5,
                                 .inputs = 9,
                                 .hidden = 14,
                                 .classes = 3,
                                 .nodes = 8,
                                 .rho = 0.4,
                                 .nu = 0.6,
                                 .mu = mu,
                                 .step = block,
                                 .p = codec,
                                 .q = codec,
                                 .levels = fine,
                                 .most_stacked = mu > 0 ? 2 : 1,
                                 .decay = decay});
    return specs;
}

}  // namespace

std::vector<ProblemSpec> subproblem_specs() {
    std::vector<ProblemSpec> all;
    for (const auto& part : {gradient_specs(), common_specs(), closed_specs()})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

}  // namespace pdadmm
