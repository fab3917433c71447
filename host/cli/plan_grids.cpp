// From options to planned grids (host/cli/plan_grids.hpp).
#include "host/cli/plan_grids.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "host/cli/grid_choice.hpp"
#include "host/cli/option_text.hpp"
#include "host/cli/plan_grids_text.hpp"
#include "host/console/console.hpp"
#include "host/data/split.hpp"
#include "host/run/trainers.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// A number of devices, or a list of them.
int device_count(const RankChoice& choice) {
    if (choice.devices.empty()) return rank_count(choice);
    const std::vector<double> numbers = number_list("--devices", choice.devices, 0, 1 << 20);
    if (numbers.size() > 1) return static_cast<int>(numbers.size());
    if (!(numbers[0] >= 1 && numbers[0] == static_cast<int>(numbers[0])))
        throw UsageError(fmt::format("--devices: {}, expected how many, or a list of them", choice.devices));
    return static_cast<int>(numbers[0]);
}

/// Counts of nodes, inputs and classes: of the data set, or made up.
AugmentedNodes described_nodes(const TrainArguments& arguments, const PlanOptions& options) {
    const TrainOptions& o = arguments.options;
    if (!options.shape.empty()) {
        if (arguments.has("--dataset"))
            throw UsageError("--shape: with --dataset, expected one of them; leave one out");
        const auto [inputs, classes, nodes] = planned_shape(options);
        AugmentedNodes made_up;
        made_up.inputs = inputs;
        made_up.classes = classes;
        made_up.counts = {nodes, 0, 0};
        made_up.labels.resize(static_cast<std::size_t>(nodes));
        return made_up;
    }
    const Dataset dataset = load_dataset(o.dataset, load_options(o));
    return describe_split(dataset, make_split(dataset, o.split, o.split_seed), augment_options(o));
}

/// Seconds of the fastest of some calls.
double fastest(const std::function<void()>& call) {
    double best = 1e300;
    for (int round = 0; round < 4; ++round) {
        const auto began = std::chrono::steady_clock::now();
        call();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    return best;
}

/// Of the backend: a product of the network's hidden layers with some nodes, and a copy of the same.
DeviceRates measured_rates(Backend& backend, const NetworkShape& s) {
    const Index n = std::clamp<Index>(s.hidden, 16, 4000), columns = std::clamp<Index>(s.nodes, 16, 2048);
    const Buffer<real> W(backend, n * n), p(backend, n * columns), h(backend, n * columns);
    const Mat to{h.data(), n, columns, n};
    const CMat weights{W.data(), n, n, n}, from{p.data(), n, columns, n};
    for (const auto& [data, count] : {std::pair{W.data(), W.count()}, std::pair{p.data(), p.count()}})
        backend.zero(data, static_cast<std::size_t>(count) * sizeof(real));
    const auto seconds = [&](auto&& work) {
        return fastest([&] {
            work();
            real last;  // waits for the backend
            backend.download(h.data(), &last, sizeof last);
        });
    };
    const double product = seconds([&] { backend.gemm(Trans::no, Trans::no, 1, weights, from, 0, to); });
    const double copy = seconds([&] { backend.copy(from, to); });
    const double elements = static_cast<double>(n * columns);
    return {2 * elements * static_cast<double>(n) / product, 2 * sizeof(real) * elements / copy};
}

/// The rates at which one device takes `seconds` for an iteration; passes are as fast beside products as everywhere.
DeviceRates rates_for(GridProblem problem, double seconds) {
    problem.rates = {1, 1 / Work{0, 1}.counted()};
    const double flops = one_device_seconds(problem);
    return {flops / seconds, problem.rates.bytes_per_s * flops / seconds};
}

/// Of the largest rank.
std::size_t memory_of(Backend& backend, const AugmentedNodes& nodes, SolverOptions options, const Grid& grid) {
    options.node_blocks = grid.nodes;
    const NodeData data(backend, nodes, false, {0, grid.nodes, options.node_ranges});
    const std::vector<std::size_t> ranks = memory_of_ranks(backend, data, options, grid.ranks());
    return *std::max_element(ranks.begin(), ranks.end());
}

std::string quoted(const std::string& word) {
    const bool plain = word.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                           "_-=+:,./@%") == std::string::npos;
    if (plain && !word.empty()) return word;
    std::string inside;
    for (const char c : word) inside += c == '\'' ? "'\\''" : std::string(1, c);
    return fmt::format("'{}'", inside);
}

/// `pdadmm train` with what was typed, but for what only plans need and what launchers decide.
std::string train_words(const std::vector<std::string>& words, const PlanOptions& options, const Grid& grid) {
    PlanOptions defaults;
    std::set<std::string> left_out{"--grid", "--devices", "--ranks", "--json"};
    for (const Option& option : plan_table(defaults)) left_out.insert(option.long_name());
    std::string text = "pdadmm train";
    if (!options.shape.empty()) text += " --dataset NAME";
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::size_t end = std::min(words[i].find('='), words[i].size());
        std::string name = words[i].substr(0, end);
        std::replace(name.begin(), name.end(), '_', '-');  // as parse_options reads it
        if (!left_out.contains(name))
            text += fmt::format(" {}", quoted(words[i]));
        else if (end == words[i].size() && name != "--json")
            ++i;  // its value
    }
    return fmt::format("{} --grid {}", text, to_string(grid));
}

void choose(PlannedGrids& planned, double device_memory) {
    constexpr std::size_t none = static_cast<std::size_t>(-1);
    planned.choice = none;
    for (std::size_t i = 0; i < planned.grids.size(); ++i) {
        const bool fits = device_memory <= 0 || static_cast<double>(planned.memory[i]) <= device_memory;
        if (fits &&
            (planned.choice == none || planned.grids[i].seconds.all() < planned.grids[planned.choice].seconds.all()))
            planned.choice = i;
    }
    if (planned.choice == none)
        throw DeviceError(fmt::format(
            "--device-memory: {:.2f} GiB, expected {:.2f} GiB or more for a grid of {} ranks; "
            "plan for more devices",
            device_memory / (1 << 30),
            static_cast<double>(*std::min_element(planned.memory.begin(), planned.memory.end())) / (1 << 30),
            planned.devices));
}

std::vector<Grid> grids_of(const std::string& text, const GridProblem& problem, int devices) {
    if (const std::optional<Grid> typed = parse_grid(text)) {
        const Grid grid = complete_grid(*typed, devices);
        if (const std::string fault = grid_fault(grid, problem, devices); !fault.empty())
            throw UsageError(fmt::format("--grid: {}", fault));
        return {grid};
    }
    const std::vector<Grid> grids = possible_grids(problem, devices);
    if (grids.empty()) throw UsageError(fmt::format("--grid: auto, {}", grid_fault({devices, 1}, problem, devices)));
    return grids;
}

}  // namespace

void plan_grids(const TrainArguments& arguments, const PlanOptions& options, const std::vector<std::string>& words) {
    TrainOptions o = arguments.options;
    const std::string grid_text = std::exchange(o.ranks.grid, "");  // of devices that need not be here
    PlannedGrids planned;
    GridProblem& problem = planned.problem;
    planned.devices = device_count(arguments.options.ranks);
    o.ranks.devices.clear();
    const SolverOptions solver = solver_options(o);
    const Machines machines = machines_of(options);
    const GivenRates given = rates_of(options);
    const double device_memory = device_memory_of(options);
    const AugmentedNodes nodes = described_nodes(arguments, options);
    const std::unique_ptr<Backend> backend = make_backend(o.backend, put_note);
    problem = grid_problem(solver, nodes, backend->name() == "cuda");
    problem.machines = machines;
    problem.sums = static_cast<SumSchedule>(
        std::find(sum_schedule_names.begin(), sum_schedule_names.end(), options.sums) - sum_schedule_names.begin());
    const std::vector<Grid> grids = grids_of(grid_text, problem, planned.devices);
    planned.measured = options.rates.empty();
    problem.rates = planned.measured        ? measured_rates(*backend, problem.shape)
                    : given.iteration_s > 0 ? rates_for(problem, given.iteration_s)
                                            : DeviceRates{given.flops_per_s, given.bytes_per_s};
    for (const Grid& grid : grids) {
        planned.grids.push_back(plan_grid(problem, grid));
        planned.memory.push_back(memory_of(*backend, nodes, solver, grid));
    }
    choose(planned, device_memory);
    planned.one_device = one_device_seconds(problem);
    planned.adam = adam_seconds(problem, planned.devices, given.epoch_s);
    planned.start = launch_lines(train_words(words, options, planned.grids[planned.choice].grid), planned.devices,
                                 problem.machines.devices, o.backend.name != "cpu");
    put_result(o.json ? json_of(planned).dump(2) + "\n" : text_of(planned));
}

}  // namespace pdadmm
