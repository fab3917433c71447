// pdadmm train: options, data, then one run a seed and a summary over seeds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "host/cli/commands.hpp"
#include "host/cli/config_file.hpp"
#include "host/run/checkpoint_store.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/presets.hpp"
#include "host/run/console.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/signals.hpp"
#include "host/data/split.hpp"
#include "host/cli/train_options.hpp"
#include "host/cpu/thread_pool.hpp"
#include "host/run/training_run.hpp"
#include "host/transport/local.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Parsed {
    TrainOptions options;
    std::vector<std::pair<std::string, std::string>> resolved;  // what decides the result
    std::vector<std::string> given;                             // names of the options that were given
    bool help = false;

    bool has(const std::string& option) const { return std::find(given.begin(), given.end(), option) != given.end(); }
};

Parsed parse_once(const std::vector<std::string>& arguments, std::vector<std::string>* known = nullptr) {
    Parsed parsed;
    CLI::App app("Train a GA-MLP by pdADMM-G, by pdADMM-G-Q with --quantize, or by backpropagation with --optimizer");
    describe(app, "pdadmm train", "pdadmm train --dataset cora --preset fast --seeds 5 --out runs/cora");
    declare_train_options(app, parsed.options);
    if (known)
        for (const CLI::Option* option : app.get_options()) known->push_back(option->get_name());
    parsed.help = !parse_arguments(app, arguments);
    parsed.resolved = resolved_options(app, parsed.options.optimizer);
    for (const CLI::Option* option : app.get_options())
        if (option->count() > 0) parsed.given.push_back(option->get_name());
    return parsed;
}

void refuse_together(const Parsed& typed, const std::string& option, std::initializer_list<const char*> others) {
    for (const char* other : others)
        if (typed.has(option) && typed.has(other)) throw UsageError(fmt::format("{}: with {}, expected one of them; leave one out", other, option));
}

/// Refuses options that were typed or stand in a file but mean nothing to the optimizer; a preset has none of them.
void refuse_foreign(const Parsed& given) {
    const std::string& optimizer = given.options.optimizer;
    if (const std::string option = foreign_option(optimizer, given.given); !option.empty())
        throw UsageError(fmt::format("{}: with --optimizer {}, expected {}; leave it out", option, optimizer, optimizer == "admm" ? "gd, adadelta, adagrad or adam" : "admm"));
}

/// --seed of a preset or file gives way to --seeds of the command line.
void drop_seed(std::vector<std::string>& layered) {
    std::erase_if(layered, [](const std::string& token) { return token.starts_with("--seed="); });
}

/// Preset, then configuration file (of --config, or of the run that is resumed), then command line.
Parsed parse_train(const std::vector<std::string>& arguments) {
    std::vector<std::string> known;
    Parsed typed = parse_once(arguments, &known);
    if (typed.help) return typed;
    for (const auto& [option, value] : {std::pair("--out", &typed.options.out), std::pair("--resume", &typed.options.resume), std::pair("--config", &typed.options.config)})
        if (typed.has(option) && value->empty()) throw UsageError(fmt::format("{}: nothing, expected a path; see pdadmm train --help", option));
    refuse_together(typed, "--seeds", {"--seed"});
    refuse_together(typed, "--resume", {"--out", "--config", "--preset", "--overwrite"});
    std::vector<std::string> layered;
    const TrainOptions& o = typed.options;
    if (!o.resume.empty()) {
        const std::string config = (fs::path(resume_source(o.resume).run_folder) / "config.toml").string();
        std::error_code ignored;
        if (!fs::exists(config, ignored))
            throw UsageError(fmt::format("--resume: {}: no run of pdadmm train, expected a folder with config.toml; name the --out of a run", printable_path(o.resume)));
        layered = config_arguments(read_config_file(config), config, known);
        const TrainOptions kept = parse_once(layered).options;
        if (typed.has("--seed") || typed.has("--seeds")) {
            if (chosen_seeds(kept) != chosen_seeds(o))
                throw DataError(fmt::format("{}: run has seeds={}, this command {}, expected the same; resume without that option", printable_path(o.resume),
                                            kept.seed.empty() ? kept.seeds : kept.seed, o.seed.empty() ? o.seeds : o.seed));
            drop_seed(layered);
        }
    } else {
        if (!o.config.empty()) {
            layered = config_arguments(read_config_file(o.config), o.config, known);
            refuse_together(parse_once(layered), "--seeds", {"--seed"});
        }
        if (typed.has("--seeds")) drop_seed(layered);
        std::vector<std::string> both = layered;
        both.insert(both.end(), arguments.begin(), arguments.end());
        const Parsed wanted = parse_once(both);
        refuse_foreign(wanted);
        const TrainOptions& t = wanted.options;
        const auto preset = preset_arguments(t.preset, t.optimizer, t.dataset, t.hidden, t.quantize != "none");
        layered.insert(layered.begin(), preset.begin(), preset.end());
    }
    layered.insert(layered.end(), arguments.begin(), arguments.end());
    Parsed parsed = parse_once(layered);
    refuse_foreign(parsed);
    if (parsed.options.overwrite && parsed.options.out.empty()) throw UsageError("--overwrite: without --out, expected the folder to overwrite; add --out DIR");
    return parsed;
}

/// config.toml of a run: everything that --resume needs.
std::string config_toml(const Parsed& parsed, const std::vector<std::uint64_t>& seeds) {
    std::string text = "# written by " + version_line() + "; use it with: pdadmm train --config FILE\n";
    for (const auto& [name, value] : parsed.resolved) text += config_line(name, value);
    text += seeds.size() == 1 ? config_line("seed", std::to_string(seeds[0])) : config_line("seeds", fmt::format("{}", fmt::join(seeds, ",")));
    text += config_line("checkpoint-every", std::to_string(parsed.options.checkpoint_every));
    return text;
}

struct MeanSd {
    double mean = NAN, sd = NAN;
};
MeanSd mean_sd(const std::vector<double>& values) {
    if (values.empty()) return {};
    double sum = 0, square = 0;
    for (const double v : values) sum += v;
    const double n = static_cast<double>(values.size()), mean = sum / n;
    for (const double v : values) square += (v - mean) * (v - mean);
    return {mean, values.size() > 1 ? std::sqrt(square / (n - 1)) : NAN};
}

constexpr std::array sets{"train", "val", "test"};

MeanSd over_seeds(const std::vector<RunResult>& results, bool best, std::size_t set) {
    std::vector<double> values;
    for (const RunResult& r : results)
        if (!best || r.best) values.push_back((best ? *r.best : r.last).accuracy[set]);
    return mean_sd(values);
}

/// Summary over seeds; sd with n - 1.
Json summary_of(const std::vector<RunResult>& results) {
    Json json{{"runs", Json::array()}};
    double seconds = 0, epochs = 0;
    for (const RunResult& r : results) {
        json["runs"].push_back(to_json(r));
        seconds += r.seconds;
        epochs += static_cast<double>(r.epochs);
    }
    for (const bool best : {false, true})
        for (std::size_t set = 0; set < 3; ++set) {
            const MeanSd m = over_seeds(results, best, set);
            json[best ? "best_val" : "last"][sets[set]] = {{"mean", std::isfinite(m.mean) ? Json(m.mean) : Json()}, {"sd", std::isfinite(m.sd) ? Json(m.sd) : Json()}};
        }
    json["ms_per_iteration"] = 1e3 * seconds / std::max(1.0, epochs);
    return json;
}

std::string cell(double value) { return std::isnan(value) ? fmt::format("{:>8}", "-") : fmt::format("{:8.4f}", value); }

/// The same as a table.
std::string table_of(const std::vector<RunResult>& results, double ms_per_iteration, int ranks) {
    std::string text = "              last iterate         best validation accuracy\n"
                       "  seed    train     val    test    train     val    test  epoch   objective\n";
    for (const RunResult& r : results) {
        text += fmt::format("{:>6} ", r.seed);
        for (const double a : r.last.accuracy) text += cell(a);
        text += " ";
        for (std::size_t set = 0; set < 3; ++set) text += cell(r.best ? r.best->accuracy[set] : NAN);
        text += fmt::format("  {:>5}  {:10.4e}\n", r.best ? std::to_string(r.best_epoch) : "-", r.objective);
    }
    for (const bool sd : {false, true}) {
        if (results.size() < 2) break;
        text += fmt::format("{:>6} ", sd ? "sd" : "mean");
        for (const bool best : {false, true}) {
            for (std::size_t set = 0; set < 3; ++set) {
                const MeanSd m = over_seeds(results, best, set);
                text += cell(sd ? m.sd : m.mean);
            }
            text += best ? "\n" : " ";
        }
    }
    const double bytes = static_cast<double>(results.back().bytes) / static_cast<double>(std::max<Index>(1, results.back().epochs));
    return text + fmt::format("{:.3f} ms an iteration without evaluation; {} {:.0f} bytes an iteration\n", ms_per_iteration,
                              ranks == 1 ? "a split after every layer would send" : fmt::format("{} ranks sent", ranks), bytes);
}

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
        const NodeData data(*backend, nodes, leads);
        const RunResult own = run_training(*backend, data, settings, {&rank.transport, &rank.control});
        if (leads) result = own;
    });
    return result;
}

/// The layers of each rank, its share of the counted work.
std::string placement_table(const NetworkShape& shape, int ranks) {
    const Placement placement = Placement::uniform(shape, ranks);
    double all = 0;
    for (int layer = 1; layer <= shape.layers; ++layer) all += layer_cost(shape, layer);
    std::string text = "rank  layers   share of work";
    for (int rank = 0; rank < ranks; ++rank) {
        const LayerRange own = placement.of(rank);
        double cost = 0;
        for (int layer = own.first; layer <= own.last; ++layer) cost += layer_cost(shape, layer);
        text += fmt::format("\n{:>4}  {:<7}  {:5.1f} %", rank, fmt::format("{}-{}", own.first, own.last), 100 * cost / all);
    }
    return text;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
    Parsed parsed = parse_train(arguments);
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
        note(placement_table({settings.solver.stages.back().layers, nodes.inputs, settings.solver.hidden, nodes.classes, nodes.counts[0]}, o.ranks));

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
