// pdadmm train: options, ranks, data, then one run a seed and a summary over seeds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "host/cli/commands.hpp"
#include "host/cli/rank_session.hpp"
#include "host/cli/train_arguments.hpp"
#include "host/cli/train_report.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/console/signals.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/format/digest.hpp"
#include "host/report/report_page.hpp"
#include "host/run/trainers.hpp"
#include "host/run/training_run.hpp"
#include "host/store/checkpoint_store.hpp"
#include "host/store/run_directory.hpp"
#include "host/train/metric.hpp"
#include "host/transport/workers.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Note = std::function<void(const std::string&)>;

/// What all runs of the command train on.
struct TrainingData {
    AugmentedNodes nodes;  // X where rank 0 is, and where ranks divide the nodes
    Json identity;
    SavedModel model_template;
};

std::span<const std::int32_t> training_labels(const AugmentedNodes& nodes) {
    return std::span(nodes.labels).first(static_cast<std::size_t>(nodes.counts[0]));
}

/// Throws UsageError where the validation nodes leave the metric undefined, whatever is predicted of them.
void require_defined(Metric metric, const AugmentedNodes& nodes) {
    const auto train = static_cast<std::size_t>(nodes.counts[0]), val = static_cast<std::size_t>(nodes.counts[1]);
    if (val == 0) return;
    const std::vector<real> logits(val * static_cast<std::size_t>(nodes.classes));
    if (std::isnan(measure(metric, nodes.classes, logits, std::span(nodes.labels).subspan(train, val))))
        throw UsageError(fmt::format(
            "--metric: {} of validation nodes that are of one class, expected some of others; use accuracy or another "
            "split",
            name_of(metric)));
}

TrainingData load_training_data(const TrainArguments& arguments, const SolverOptions& solver, RankGroup& ranks,
                                const Note& note) {
    const TrainOptions& o = arguments.options;
    TrainingData d;
    const Dataset dataset = load_dataset(o.dataset, load_options(o));
    for (const std::string& text : dataset.notes) note(fmt::format("{}: {}", dataset.name, text));
    const Split split = make_split(dataset, o.split, o.split_seed);
    for (const std::string& warning : split_warnings(dataset, split)) note("pdadmm: warning: " + warning);
    note(fmt::format("{}: {} nodes, {} classes, {} features; split {}", dataset.name, dataset.nodes, dataset.classes,
                     dataset.features.count, described(split)));
    const AugmentOptions augment = augment_options(o);
    for (const auto& [key, value] : arguments.identity) d.identity[key] = value;
    d.identity["data_digest"] = dataset_digest(dataset);
    d.nodes = describe_split(dataset, split, augment);
    require_defined(solver.metric, d.nodes);
    d.identity["split_digest"] =
        digest_hex(std::as_bytes(std::span(d.nodes.labels))) + digest_hex(std::as_bytes(std::span(split.train)));
    d.identity["backend"] = ranks.backend().name();
    d.identity["precision"] = static_cast<int>(sizeof(real));
    d.identity["product_kernels"] = ranks.backend().product_kernels();
    std::vector<Control::Entry> entries;
    for (const auto& [key, value] : d.identity.items()) entries.emplace_back(key, value.dump());
    ranks.agree(entries);
    const auto began = std::chrono::steady_clock::now();
    const bool has_first_layer = arguments.launch.rank < solver.node_blocks;
    if (ranks.leads() || divides_nodes(o) || has_first_layer)
        d.nodes = augment_cached(ranks.backend(), dataset, split, augment, augment_cache_folder(o), note);
    d.nodes.node_ranges = o.node_ranges;
    if (o.class_weights == "balanced")
        d.nodes.class_weights = balanced_weights(training_labels(d.nodes), d.nodes.classes);
    if (o.resume.empty())
        note(fmt::format("preset: {} (fast, paper or none; single options, --config and the command line go before it)",
                         o.preset));
    note(fmt::format("augmentation: {} ({} inputs), {:.2f} s", to_string(augment), d.nodes.inputs,
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count()));
    d.model_template = {{},
                        augment,
                        o.binary_features,
                        {{"dataset", dataset.name},
                         {"classes", std::to_string(dataset.classes)},
                         {"split", o.split},
                         {"split_index", std::to_string(o.split_index)},
                         {"unlabelled", o.unlabelled},
                         {"split_seed", std::to_string(o.split_seed)}},
                        dataset.class_ids,
                        dataset.class_names};
    return d;
}

/// What ranks must have been given alike: what decides the result, and which collectives a run makes.
std::vector<Control::Entry> entries_of(const TrainArguments& arguments, const std::vector<std::uint64_t>& seeds) {
    const TrainOptions& o = arguments.options;
    std::vector<Control::Entry> entries{{"build", version_line()}};
    entries.insert(entries.end(), arguments.identity.begin(), arguments.identity.end());
    entries.emplace_back("seeds", fmt::format("{}", fmt::join(seeds, ",")));
    entries.emplace_back("trace", o.trace.empty() ? "no" : std::to_string(o.trace_iterations));
    const OptionTexts agreed = agreed_options(o);
    entries.insert(entries.end(), agreed.begin(), agreed.end());
    return entries;
}

int train_on(RankGroup& ranks, const TrainArguments& arguments, const SolverOptions& solver,
             const std::vector<std::uint64_t>& seeds, const Note& note) {
    const TrainOptions& o = arguments.options;
    if (ranks.leads() && !o.out.empty())
        RunDirectory::check_new(o.out, o.overwrite ? RunMode::overwrite : RunMode::create);
    const TrainingData d = load_training_data(arguments, solver, ranks, note);
    note(fmt::format("backend: {}; {}", ranks.backend().description(), sizeof(real) == 8 ? "fp64" : o.backend.math));
    const bool resumes = !o.resume.empty();
    const ResumeSource source = resumes ? resume_source(o.resume) : ResumeSource{};
    const std::string folder = resumes ? source.run_folder : o.out;
    std::unique_ptr<RunDirectory> parent;  // of several seeds' folders
    Warnings warnings;
    if (!folder.empty() && seeds.size() > 1 && ranks.leads()) {
        parent = std::make_unique<RunDirectory>(folder,
                                                resumes       ? RunMode::resume
                                                : o.overwrite ? RunMode::overwrite
                                                              : RunMode::create,
                                                warnings, RunKind::several_seeds);
        parent->write("config.toml", config_toml(arguments, seeds));
        for (const std::string& warning : warnings) note("pdadmm: warning: " + warning);
    }
    const auto settings_of = [&](std::size_t run, const RankSession& rank) {
        RunSettings s;
        s.solver = solver;
        s.solver.seed = seeds[run];
        s.identity = d.identity;
        s.identity["seed"] = seeds[run];
        for (const auto& [key, value] : later_options()) s.unrecorded[key] = value;
        s.extending = extending_options();
        s.model_template = d.model_template;
        s.nodes = &d.nodes;
        s.folder = folder.empty() || seeds.size() == 1
                       ? folder
                       : (fs::path(folder) / RunDirectory::seed_name(seeds[run])).string();
        s.config_toml = config_toml(arguments, {seeds[run]});
        s.program = version_line();
        s.overwrite = o.overwrite;
        s.resume = resumes;
        s.quiet = o.quiet;
        s.exact_checkpoint = source.checkpoint.value_or("");
        s.checkpoint_every = o.checkpoint_every;
        s.trace = o.trace;
        s.run = static_cast<int>(run) + 1;
        s.runs = static_cast<int>(seeds.size());
        s.memory_sharers = rank.memory_sharers;
        return s;
    };
    std::vector<RunResult> results;
    ranks.each([&](RankSession& rank) {
        const NodeData data = rank_data(rank.backend, d.nodes, solver, rank.rank(), ranks.ranks());
        for (std::size_t run = 0; run < seeds.size(); ++run) {
            const RunResult result = run_training(rank.backend, data, settings_of(run, rank), rank.links);
            if (rank.first_of_process) results.push_back(result);
            if (result.stopped_by) return;
        }
    });
    if (const int signal = results.back().stopped_by) {
        note(folder.empty()
                 ? fmt::format("stopped after epoch {}; without --out nothing was saved", results.back().epochs)
                 : fmt::format("stopped after epoch {}; go on with: pdadmm train --resume {}", results.back().epochs,
                               printable_path(folder)));
        if (parent) parent->write_status({"signal", signal, 0, exit_code_of_signal(signal)});
        return exit_code_of_signal(signal);
    }
    if (!ranks.leads()) return 0;
    const Json summary = summary_of(results);
    if (parent) {
        parent->write("summary.json", summary.dump(2) + "\n");
        parent->write_status({"done", 0, 0, 0});
        parent->write("report.html", report_page({read_run(folder)}, version_line()));
    }
    put_result(o.json ? summary.dump(2) + "\n" : table_of(results, summary["ms_per_iteration"], ranks.ranks()));
    return 0;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
    const std::optional<TrainArguments> parsed = parse_train(train_line(), arguments);
    if (!parsed) return 0;
    const TrainOptions& o = parsed->options;
    const std::vector<std::uint64_t> seeds = chosen_seeds(o);
    const SolverOptions solver = solver_options(o);
    const Launch& launch = parsed->launch;
    const auto check = [&](int ranks) { require_ranks(solver, ranks); };
    if (const int workers = workers_to_start(o.ranks, o.backend, launch)) {
        check(workers);
        WorkerOptions options;
        options.count = workers;
        options.arguments = {"pdadmm", "train"};
        options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
        return run_workers(options);
    }
    ignore_signals_of_writing();
    const Note note = [&, leads = launch.rank == 0](const std::string& text) {
        if (leads && !o.quiet) put_note(text);
    };
    return run_ranks(o.ranks, o.backend, launch, entries_of(*parsed, seeds), check, note,
                     [&](RankGroup& ranks) { return train_on(ranks, *parsed, solver, seeds, note); });
}

}  // namespace pdadmm
