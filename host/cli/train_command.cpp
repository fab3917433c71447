// pdadmm train: options, data, then one run a seed and a summary over seeds.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>

#include "host/backpropagation/gradient_epoch.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/train_arguments.hpp"
#include "host/cli/train_report.hpp"
#include "host/run/checkpoint_store.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/run/console.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/signals.hpp"
#include "host/data/split.hpp"
#include "host/cpu/thread_pool.hpp"
#include "host/run/training_run.hpp"
#include "host/transport/local.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// One seed on ranks that are threads of this process, each with a share of the processors.
RunResult train_on_ranks(const TrainOptions& o, const AugmentedNodes& nodes, const RunSettings& settings) {
    RunResult result;
    const int processors = o.backend.threads > 0 ? o.backend.threads : available_processors();
    run_local_ranks(o.ranks, [&](LocalRank& rank) {
        BackendChoice choice = o.backend;
        choice.name = "cpu";
        choice.threads = std::max(1, processors / o.ranks);
        const bool leads = rank.control.rank() == 0;
        const std::unique_ptr<Backend> backend = make_backend(choice, [](const std::string&) {});
        const NodeData data = rank_data(*backend, nodes, settings.solver, rank.control.rank(), o.ranks);
        const RunResult own = run_training(*backend, data, settings, {&rank.transport, &rank.control});
        if (leads) result = own;
    });
    return result;
}

/// What each rank holds: its layers and their share of the counted work, or its training nodes.
std::string placement_table(const SolverOptions& options, const NetworkShape& shape, int ranks) {
    std::vector<double> costs = gradient_costs(shape);
    Placement placement = gradient_placement(options, shape, ranks);
    if (options.optimizer == Optimizer::admm) {
        placement = Placement::uniform(shape, ranks);
        for (int layer = 1; layer <= shape.layers; ++layer) costs[static_cast<std::size_t>(layer - 1)] = layer_cost(shape, layer);
    }
    const double all = std::accumulate(costs.begin(), costs.end(), 0.0);
    std::string text = options.divides_nodes() ? "rank  training nodes" : "rank  layers   share of work";
    for (int rank = 0; rank < ranks; ++rank) {
        if (options.divides_nodes()) {
            text += fmt::format("\n{:>4}  {}", rank, NodeRange::share(shape.nodes, rank, ranks).count);
            continue;
        }
        const LayerRange own = placement.of(rank);
        double cost = 0;
        for (int layer = own.first; layer <= own.last; ++layer) cost += costs[static_cast<std::size_t>(layer - 1)];
        text += fmt::format("\n{:>4}  {:<7}  {:5.1f} %", rank, fmt::format("{}-{}", own.first, own.last), 100 * cost / all);
    }
    return text;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
    TrainArguments parsed = parse_train(arguments);
    if (parsed.help) return 0;
    const TrainOptions& o = parsed.options;
    const std::vector<std::uint64_t> seeds = chosen_seeds(o);
    RunSettings settings;
    settings.solver = solver_options(o, seeds[0]);
    require_ranks(settings.solver, o.ranks);
    settings.resume = !o.resume.empty();
    const ResumeSource source = settings.resume ? resume_source(o.resume) : ResumeSource{};
    const std::string folder = settings.resume ? source.run_folder : o.out;
    settings.exact_checkpoint = source.checkpoint.value_or("");
    install_signal_handlers();

    const auto note = [&](const std::string& text) {
        if (!o.quiet) put_note(text);
    };
    const std::unique_ptr<Backend> backend = make_backend(o.backend, note);
    if (o.ranks > 1 && backend->name() != "cpu")
        throw UsageError("--ranks: with the " + backend->name() + " backend, expected the CPU's; add --backend cpu");
    const Dataset dataset = load_dataset(o.dataset, {o.binary_features, {}, 0});
    const Split split = make_split(dataset, o.split, o.split_seed);
    for (const std::string& warning : split_warnings(dataset, split)) note("pdadmm: warning: " + warning);
    note(fmt::format("{}: {} nodes, {} classes, {} features; split {}: {} train, {} val, {} test", dataset.name, dataset.nodes, dataset.classes,
                     dataset.features.count, split.name, split.train.size(), split.val.size(), split.test.size()));
    const AugmentOptions augment = augment_options(o);
    const auto began = std::chrono::steady_clock::now();
    const AugmentedNodes nodes = augment_cached(*backend, dataset, split, augment, augment_cache_folder(o), note);
    if (o.resume.empty()) note(fmt::format("preset: {} (fast, paper or none; single options, --config and the command line go before it)", o.preset));
    note(fmt::format("augmentation: {} ({} inputs), {:.2f} s", to_string(augment), nodes.inputs,
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count()));
    note(fmt::format("backend: {}; {}", backend->description(), sizeof(real) == 8 ? "fp64" : o.backend.math));
    std::optional<NodeData> data;
    if (o.ranks == 1)
        data.emplace(*backend, nodes);
    if (o.ranks > 1)
        note(placement_table(settings.solver, {settings.solver.stages.back().layers, nodes.inputs, settings.solver.hidden, nodes.classes, nodes.counts[0]}, o.ranks));

    for (const auto& [name, value] : parsed.resolved) settings.identity[name] = value;
    settings.identity["data_digest"] = dataset_digest(dataset);
    settings.identity["split_digest"] = digest_hex(std::as_bytes(std::span(nodes.labels))) + digest_hex(std::as_bytes(std::span(split.train)));
    settings.identity["backend"] = backend->name();
    settings.identity["precision"] = static_cast<int>(sizeof(real));
    settings.model_template = {{}, augment, o.binary_features,
                               {{"dataset", dataset.name}, {"classes", std::to_string(dataset.classes)}, {"split", o.split}, {"split_seed", std::to_string(o.split_seed)}}};
    settings.overwrite = o.overwrite;
    settings.quiet = o.quiet;
    settings.checkpoint_every = o.checkpoint_every;
    settings.runs = static_cast<int>(seeds.size());

    std::unique_ptr<RunDirectory> parent;  // of several seeds' folders
    Warnings warnings;
    if (!folder.empty() && seeds.size() > 1) {
        parent = std::make_unique<RunDirectory>(folder, settings.resume ? RunMode::resume : o.overwrite ? RunMode::overwrite : RunMode::create, warnings,
                                                RunKind::several_seeds);
        parent->write("config.toml", config_toml(parsed, seeds));
        for (const std::string& warning : warnings) note("pdadmm: warning: " + warning);
    }
    std::vector<RunResult> results;
    for (const std::uint64_t seed : seeds) {
        settings.run = static_cast<int>(results.size()) + 1;
        settings.solver.seed = seed;
        settings.identity["seed"] = seed;
        settings.config_toml = config_toml(parsed, {seed});
        settings.folder = parent ? (fs::path(folder) / RunDirectory::seed_name(seed)).string() : folder;
        results.push_back(data ? run_training(*backend, *data, settings) : train_on_ranks(o, nodes, settings));
        if (const int signal = results.back().stopped_by) {
            note(folder.empty() ? fmt::format("stopped after epoch {}; without --out nothing was saved", results.back().epochs)
                                : fmt::format("stopped after epoch {}; go on with: pdadmm train --resume {}", results.back().epochs, printable_path(folder)));
            if (parent) parent->write_status({"signal", signal, 0, exit_code_of_signal(signal)});
            return exit_code_of_signal(signal);
        }
    }
    const Json summary = summary_of(results);
    if (parent) {
        parent->write("summary.json", summary.dump(2) + "\n");
        parent->write_status({"done", 0, 0, 0});
    }
    put_result(o.json ? summary.dump(2) + "\n" : table_of(results, summary["ms_per_iteration"], o.ranks));
    return 0;
}

}  // namespace pdadmm
