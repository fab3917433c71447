// pdadmm train: options, ranks, data, then one run a seed and a summary over seeds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "host/cli/commands.hpp"
#include "host/cli/grid_choice.hpp"
#include "host/cli/on_disk.hpp"
#include "host/cli/owners.hpp"
#include "host/cli/rank_session.hpp"
#include "host/cli/run_identity.hpp"
#include "host/cli/train_arguments.hpp"
#include "host/cli/train_report.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/console/signals.hpp"
#include "host/console/words.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/registry/registration.hpp"
#include "host/run/run_files.hpp"
#include "host/run/trainers.hpp"
#include "host/run/training_run.hpp"
#include "host/store/checkpoint_store.hpp"
#include "host/store/run_directory.hpp"
#include "host/transport/workers.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Note = std::function<void(const std::string&)>;

/// What runs on one split train on.
struct TrainingData {
    /// X where rank 0 is, and where ranks divide the nodes; of nodes with owners, those of each block.
    std::vector<AugmentedNodes> blocks = std::vector<AugmentedNodes>(1);
    double seconds = 0;  // that augmentation took
    Json identity;
    SavedModel model_template;

    const AugmentedNodes& nodes(int rank) const { return blocks[static_cast<std::size_t>(rank) % blocks.size()]; }
    Index inputs() const {
        return std::max_element(blocks.begin(), blocks.end(),
                                [](const auto& a, const auto& b) { return a.inputs < b.inputs; })
            ->inputs;
    }
};

/// The seeds of the command; with --split-index all the numbers of the splits, or those of them that --seeds names.
std::vector<std::uint64_t> seeds_of(const TrainArguments& arguments) {
    const TrainOptions& o = arguments.options;
    if (!every_split(o)) return chosen_seeds(o);
    if (o.split != "auto" && o.split != "stored")
        throw UsageError(fmt::format("--split: {} with --split-index all, expected stored; leave one of them out",
                                     printable(o.split)));
    const Index splits = load_dataset(o.dataset, load_options(o)).stored_splits;
    if (splits < 2)
        throw UsageError(fmt::format("--split-index: all, but {} holds {}, expected several; leave it out",
                                     printable(o.dataset), splits == 1 ? "one split" : "no split"));
    if (arguments.has("--seeds") || arguments.has("--seed")) {
        std::vector<std::uint64_t> seeds = chosen_seeds(o);
        for (const std::uint64_t seed : seeds)
            if (seed >= static_cast<std::uint64_t>(splits))
                throw UsageError(
                    fmt::format("--seeds: {} with --split-index all, expected 0 to {}, numbers of the {} "
                                "splits; write --seeds {}",
                                seed, splits - 1, splits, splits));
        return seeds;
    }
    std::vector<std::uint64_t> seeds(static_cast<std::size_t>(splits));
    std::iota(seeds.begin(), seeds.end(), std::uint64_t{0});
    return seeds;
}

void agree(RankGroup& ranks, const Json& identity) {
    std::vector<Control::Entry> entries;
    for (const auto& [key, value] : identity.items()) entries.emplace_back(key, value.dump());
    ranks.agree(entries);
}

/// Of --owners: X was made before.
TrainingData load_owned_data(const TrainArguments& arguments, SolverOptions& solver, std::uint64_t seed,
                             RankGroup& ranks, const Note& note) {
    const TrainOptions& o = arguments.options;
    OwnedNodes owned = load_owners(o, grid_of(o.ranks), ranks);
    TrainingData d;
    d.blocks = std::move(owned.blocks);
    note(owned.line);
    fit_task(o, owned.common, solver);
    d.identity = run_identity(arguments.identity, owned.data_digest, owned.split_digest, false, ranks.backend());
    agree(ranks, d.identity);
    d.model_template = model_template(o, owned.common, seed);
    return d;
}

/// `seed` says which split it is where every one has a run of its own; --metric auto and --grid auto become what they
/// stand for.
TrainingData load_training_data(const TrainArguments& arguments, SolverOptions& solver, std::uint64_t seed,
                                RankGroup& ranks, const Note& note) {
    const TrainOptions& o = arguments.options;
    if (!o.owners.empty()) return load_owned_data(arguments, solver, seed, ranks, note);
    TrainingData d;
    AugmentedNodes& nodes = d.blocks.front();
    const Dataset dataset = or_advise_disk(o, [&] { return load_dataset(o.dataset, load_options(o, seed)); });
    for (const std::string& text : dataset.notes) note(fmt::format("{}: {}", dataset.name, text));
    const Split split = make_split(dataset, o.split, o.split_seed);
    for (const std::string& warning : split_warnings(dataset, split)) note(warning_line(warning));
    fit_task(o, dataset, solver);
    note(graph_line(dataset, split));
    const AugmentOptions augment = augment_options(o);
    nodes = describe_split(dataset, split, augment);
    require_defined(solver.metric, nodes);
    if (chooses_grid(o.ranks)) {
        const GridChoice choice = choose_grid(solver, nodes, ranks.ranks(), ranks.backend().name() == "cuda");
        solver.node_blocks = choice.grid.nodes;
        require_ranks(solver, ranks.ranks());
        note(choice.text);
    }
    d.identity = run_identity(arguments.identity, dataset_digest(dataset), split_digest(nodes, split),
                              nodes.multi_label(), ranks.backend());
    agree(ranks, d.identity);
    const auto began = std::chrono::steady_clock::now();
    const bool has_first_layer = arguments.launch.rank < solver.node_blocks;
    if (ranks.leads() || has_workers(o) || has_first_layer)
        nodes = or_advise_disk(
            o, [&] { return augment_cached(ranks.backend(), dataset, split, augment, augment_cache_folder(o), note); });
    weigh_classes(o, nodes);
    d.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    d.model_template = model_template(o, dataset, seed);
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

/// What no split changes.
void say_how(const TrainArguments& arguments, const TrainingData& d, Backend& backend, const Note& note) {
    const TrainOptions& o = arguments.options;
    if (o.resume.empty())
        note(fmt::format("preset: {} (fast, paper or none; single options, --config and the command line go before it)",
                         o.preset));
    note(fmt::format("augmentation: {} ({} inputs), {:.2f} s", to_string(augment_options(o)), d.inputs(), d.seconds));
    note(fmt::format("backend: {}; {}", backend.description(), sizeof(real) == 8 ? "fp64" : o.backend.math));
}

/// A note for further splits, which says no line twice.
Note said_once(const Note& note) {
    return [note, said = std::set<std::string>()](const std::string& text) mutable {
        if (said.insert(text).second) note(text);
    };
}

int train_on(RankGroup& ranks, const TrainArguments& arguments, SolverOptions solver,
             const std::vector<std::uint64_t>& seeds, const Note& note_all) {
    const TrainOptions& o = arguments.options;
    if (ranks.leads() && !o.out.empty())
        RunDirectory::check_new(o.out, o.overwrite ? RunMode::overwrite : RunMode::create);
    const Note note = said_once(note_all);
    TrainingData d = load_training_data(arguments, solver, seeds.front(), ranks, note);
    say_how(arguments, d, ranks.backend(), note);
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
        for (const std::string& warning : warnings) note(warning_line(warning));
    }
    Registration registration(o.registry, note);
    const auto settings_of = [&](std::size_t run, const RankSession& rank) {
        RunSettings s = run_settings(arguments, solver, seeds[run], d.identity, d.model_template, d.nodes(rank.rank()));
        s.folder = folder.empty() || seeds.size() == 1
                       ? folder
                       : (fs::path(folder) / RunDirectory::seed_name(seeds[run])).string();
        s.overwrite = o.overwrite;
        s.resume = resumes;
        s.quiet = o.quiet;
        s.begun = [&registration, run_folder = s.folder] { registration.enter(run_folder); };
        s.exact_checkpoint = source.checkpoint.value_or("");
        if (!o.owners.empty() && !s.folder.empty() && !rank.leads() && rank.rank() < solver.node_blocks) {
            s.folder = (fs::path(s.folder) / RunDirectory::owner_name(rank.rank() + 1)).string();
            s.begun = {};
            if (source.checkpoint)
                s.exact_checkpoint =
                    (fs::path(s.folder) / "checkpoints" / fs::path(*source.checkpoint).filename()).string();
        }
        s.checkpoint_every = o.checkpoint_every;
        s.trace = o.trace;
        s.run = static_cast<int>(run) + 1;
        s.runs = static_cast<int>(seeds.size());
        s.memory_sharers = rank.memory_sharers;
        return s;
    };
    std::vector<RunResult> results;
    const std::size_t together = every_split(o) ? 1 : seeds.size();  // runs on the same nodes
    for (std::size_t first = 0; first < seeds.size(); first += together) {
        if (first > 0) d = load_training_data(arguments, solver, seeds[first], ranks, note);
        ranks.each([&](RankSession& rank) {
            const NodeData data = rank_data(rank.backend, d.nodes(rank.rank()), solver, rank.rank(), ranks.ranks());
            for (std::size_t run = first; run < first + together; ++run) {
                const RunSettings settings = settings_of(run, rank);
                const EndOfRun end(registration, rank.leads() ? settings.folder : "");
                const RunResult result = run_training(rank.backend, data, settings, rank.links);
                if (rank.first_of_process) results.push_back(result);
                if (result.stopped_by) return;
            }
        });
        if (results.back().stopped_by) break;
    }
    if (const int signal = results.back().stopped_by) {
        if (!results.front().trace_error.empty()) note(warning_line(results.front().trace_error));
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
        Warnings of_report;
        write_report(*parent, version_line(), of_report);
        for (const std::string& warning : of_report) note(warning_line(warning));
    }
    put_result(o.json ? summary.dump(2) + "\n"
                      : table_of(results, summary["ms_per_iteration"], summary["setup_seconds"], ranks.ranks()));
    if (!results.front().trace_error.empty()) throw OutputError(results.front().trace_error);
    return 0;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
    const std::optional<TrainArguments> parsed = parse_train(train_line(), arguments);
    if (!parsed) return 0;
    const TrainOptions& o = parsed->options;
    const std::vector<std::uint64_t> seeds = seeds_of(*parsed);
    const SolverOptions solver = solver_options(o);
    const Launch& launch = parsed->launch;
    const auto check = [&](int ranks) {
        if (!chooses_grid(o.ranks)) require_ranks(solver, ranks);
    };
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
