// Trials of a search (host/cli/tune_trials.hpp).
#include "host/cli/tune_trials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/cli/run_identity.hpp"
#include "host/console/words.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/machine/memory.hpp"
#include "host/machine/processors.hpp"
#include "host/run/trainers.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t share_of_memory = 4;  // a quarter of what is free is for features that may be wanted again

double parameters_of(const NetworkShape& s) {
    double sum = 0;
    for (int layer = 1; layer <= s.layers; ++layer)
        sum += static_cast<double>(s.rows(layer)) * static_cast<double>(s.cols(layer) + 1);
    return sum;
}

/// A run that was saved or finished is gone on with; what died before its first checkpoint begins anew.
bool has_begun(const fs::path& folder) {
    std::error_code ignored;
    const fs::path checkpoints = folder / "checkpoints";
    return fs::exists(folder / "summary.json", ignored) ||
           (fs::exists(checkpoints, ignored) && !fs::is_empty(checkpoints, ignored));
}

double figure_of(const RunResult& result) { return (result.best ? *result.best : result.last).metric[1]; }

}  // namespace

Trials::Trials(const TuneArguments& arguments, const std::function<void(const std::string&)>& note)
    : arguments_(arguments),
      features_(available_memory() / share_of_memory),
      registration_(arguments.registry(), note) {
    const TrainOptions& o = arguments.base.options;
    BackendChoice choice = o.backend;
    const int jobs = arguments.options.jobs;
    if (jobs > 1) choice.threads = std::max(1, (choice.threads > 0 ? choice.threads : available_processors()) / jobs);
    for (int job = 0; job < jobs; ++job) backends_.push_back(make_backend(choice, note));
    if (jobs > 1 && backends_[0]->name() != "cpu")
        throw UsageError(fmt::format("--jobs: {} with the {} backend, expected 1; a device is for one trial at a time",
                                     jobs, backends_[0]->name()));
    dataset_ = load_dataset(o.dataset, load_options(o, arguments_.seed));
    for (const std::string& text : dataset_.notes) note(fmt::format("{}: {}", dataset_.name, text));
    split_ = make_split(dataset_, o.split, o.split_seed);
    for (const std::string& warning : split_warnings(dataset_, split_)) note(warning_line(warning));
    note(graph_line(dataset_, split_));
    if (split_.val.empty())
        throw UsageError(fmt::format("--split: {} has no validation nodes, expected some to choose by; name another",
                                     described(split_)));
    digest_ = dataset_digest(dataset_);
    SolverOptions solver = solver_options(o);
    fit_task(o, dataset_, solver);
    metric_ = solver.metric;
    require_defined(metric_, describe_split(dataset_, split_, augment_options(o)));
}

Trials::~Trials() = default;

fs::path Trials::folder_of(int trial) const { return fs::path(arguments_.folder) / fmt::format("trial-{:03}", trial); }

TrainArguments Trials::arguments_of(const OptionTexts& options) const { return with_options(arguments_.base, options); }

Costs Trials::known_costs(const OptionTexts& options, int job) const try {
    const TrainOptions o = arguments_of(options).options;
    const SolverOptions solver = solver_options(o);
    Backend& backend = *backends_[static_cast<std::size_t>(job)];
    const AugmentedNodes nodes = describe_split(dataset_, split_, augment_options(o));
    const NodeData data(backend, nodes, false, {0, 1, solver.node_ranges});
    const NetworkShape shape = stage_shape(solver, data, solver.stages.size() - 1);
    const double features = static_cast<double>(data.inputs()) * static_cast<double>(data.nodes()) * sizeof(real);
    return {NAN, static_cast<double>(border_bytes(solver, shape)),
            features + static_cast<double>(training_bytes(backend, data, solver)), parameters_of(shape),
            training_flops(solver, data)};
} catch (const UsageError&) {
    constexpr double none = std::numeric_limits<double>::infinity();
    return {NAN, none, none, none, none};
}

RunResult Trials::run(int trial, const OptionTexts& options, double share, Backend& backend) {
    const TrainArguments arguments = arguments_of(options);
    const TrainOptions& o = arguments.options;
    SolverOptions solver = solver_options(o);
    fit_task(o, dataset_, solver);
    const AugmentOptions augment = augment_options(o);
    const SharedFeatures::Nodes nodes = features_.get(to_string(augment), [&] {
        AugmentedNodes made = arguments_.base.has("--cache")
                                  ? augment_cached(backend, dataset_, split_, augment, o.cache, [](const auto&) {})
                                  : augment_split(backend, dataset_, split_, augment);
        weigh_classes(o, made);
        return made;
    });
    RunSettings settings = run_settings(
        arguments, solver, arguments_.seed,
        run_identity(arguments.identity, digest_, split_digest(*nodes, split_), nodes->multi_label(), backend),
        model_template(o, dataset_, arguments_.seed), *nodes);
    settings.folder = folder_of(trial).string();
    settings.resume = has_begun(settings.folder);
    settings.overwrite = !settings.resume;
    settings.quiet = true;
    settings.begun = [&] { registration_.enter(settings.folder); };
    const EndOfRun end(registration_, settings.folder);
    if (share < 1)
        settings.pause_after =
            std::max<Index>(1, static_cast<Index>(std::ceil(share * static_cast<double>(total_epochs(solver)))));
    return run_training(backend, rank_data(backend, *nodes, solver, 0, 1), settings);
}

TrialRow Trials::train(int trial, const OptionTexts& options, double share, int job) {
    TrialRow row;
    row.trial = trial;
    row.share = share;
    row.figure = NAN;
    row.costs = known_costs(options, job);
    row.beyond = excess(row.costs, arguments_.limits());
    if (row.beyond > 0 && std::isfinite(row.beyond)) {
        row.state = "refused";
        row.why = excess_text(row.costs, arguments_.limits());
        return row;
    }
    try {
        const RunResult result = run(trial, options, share, *backends_[static_cast<std::size_t>(job)]);
        row.state = result.stopped_by ? "" : result.paused ? "paused" : "done";
        row.figure = figure_of(result);
        row.epochs = result.epochs;
        row.costs[0] = result.seconds + result.setup_seconds;
    } catch (const DivergedError& error) {
        row.state = "diverged";
        row.why = error.what();
    } catch (const UsageError& error) {
        row.state = "failed";
        row.why = error.what();
    } catch (const DeviceError& error) {  // memory
        row.state = "failed";
        row.why = error.what();
    }
    row.beyond = std::min(excess(row.costs, arguments_.limits()), 1e9);
    return row;
}

}  // namespace pdadmm
