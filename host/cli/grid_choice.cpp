// Grids by count (host/cli/grid_choice.hpp).
#include "host/cli/grid_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "host/admm/quantisers.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

// A rank's share of ordinary processors, and copies between ranks; of data sheets, an H100 in TF32, and NVLink. What is
// chosen hardly depends on them, and has to be the same on every rank: so nothing is measured.
constexpr DeviceRates processor{40e9, 8e9}, gpu{360e12, 3.3e12};
constexpr LinkRate memory{10e-6, 4e9}, nvlink{20e-6, 300e9};

}  // namespace

GridProblem grid_problem(const SolverOptions& options, const AugmentedNodes& nodes, bool gpus) {
    GridProblem problem;
    problem.shape = {
        options.stages.back().layers, nodes.inputs, options.hidden, nodes.classes, nodes.counts[0], options.step.rule};
    if (!gpus) problem.shape.graph_entries = nodes.graph_work.entries;
    problem.placement = options.placement;
    const BorderQuantizers quantizers = border_quantizers(options, nullptr);
    problem.p = quantizers.p;
    problem.q = quantizers.q;
    const Index N = problem.shape.nodes;
    problem.ranges = NodeRanges::asked_for(N, options.node_ranges);
    return problem;
}

GridChoice choose_grid(const SolverOptions& options, const AugmentedNodes& nodes, int ranks, bool gpus) {
    GridProblem problem = grid_problem(options, nodes, gpus);
    problem.rates = gpus ? gpu : processor;
    problem.sums = gpus ? SumSchedule::waiting : SumSchedule::hidden;
    const LinkRate link = gpus ? nvlink : memory;
    problem.machines = {ranks, link, link};
    const std::vector<Grid> possible = possible_grids(problem, ranks);
    if (possible.empty()) throw UsageError(fmt::format("--grid: auto, {}", grid_fault({ranks, 1}, problem, ranks)));
    std::vector<GridPlan> plans;
    for (const Grid& grid : possible) plans.push_back(plan_grid(problem, grid));
    const auto best = std::min_element(plans.begin(), plans.end(), [](const GridPlan& a, const GridPlan& b) {
        return a.seconds.all() < b.seconds.all();
    });
    const double one = one_device_seconds(problem);
    std::string others;
    for (const GridPlan& plan : plans)
        if (&plan != &*best)
            others +=
                fmt::format("{} {} {:.2f}", others.empty() ? ";" : ",", to_string(plan.grid), one / plan.seconds.all());
    return {best->grid, fmt::format("grid: {} (layers x nodes), by count {:.2f} times one rank{}",
                                    to_string(best->grid), one / best->seconds.all(), others)};
}

}  // namespace pdadmm
