// pdadmm train: options, data, then one run a seed and a summary over seeds.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>

#include "host/cli/commands.hpp"
#include "host/run/checkpoint_store.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/presets.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/signals.hpp"
#include "host/data/split.hpp"
#include "host/cli/train_options.hpp"
#include "host/run/training_run.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Parsed {
    TrainOptions options;
    std::vector<std::pair<std::string, std::string>> resolved;  // what decides the result
    bool help = false;
};

Parsed parse_once(const std::vector<std::string>& arguments, std::vector<std::string>* known = nullptr) {
    Parsed parsed;
    CLI::App app("Train a GA-MLP by pdADMM-G, or by pdADMM-G-Q with --quantize");
    describe(app, "pdadmm train", "pdadmm train --dataset cora --preset fast --seeds 5 --out runs/cora");
    declare_train_options(app, parsed.options);
    if (known)
        for (const CLI::Option* option : app.get_options()) known->push_back(option->get_name());
    parsed.help = !parse_arguments(app, arguments);
    parsed.resolved = resolved_options(app);
    return parsed;
}

std::string read_text(const fs::path& path) {
    const auto bytes = read_file(path, 1 << 20);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Preset, then configuration file (of --config, or of the run that is resumed), then command line.
Parsed parse_train(const std::vector<std::string>& arguments) {
    std::vector<std::string> known;
    Parsed typed = parse_once(arguments, &known);
    if (typed.help) return typed;
    std::vector<std::string> layered;
    const TrainOptions& o = typed.options;
    if (!o.resume.empty()) {
        const fs::path config = fs::path(resume_source(o.resume).run_folder) / "config.toml";
        if (!fs::exists(config)) throw UsageError(fmt::format("--resume: {}: no run of pdadmm train, expected a folder with config.toml", o.resume));
        layered = config_arguments(read_text(config), config.string(), known);
    } else {
        if (!o.config.empty()) layered = config_arguments(read_text(o.config), o.config, known);
        std::vector<std::string> both = layered;
        both.insert(both.end(), arguments.begin(), arguments.end());
        const TrainOptions t = parse_once(both).options;
        if (!t.preset.empty()) {
            const auto preset = preset_arguments(t.preset, t.dataset, t.hidden, t.quantize != "none");
            layered.insert(layered.begin(), preset.begin(), preset.end());
        }
    }
    layered.insert(layered.end(), arguments.begin(), arguments.end());
    return parse_once(layered);
}

/// config.toml of a run: everything that --resume needs.
std::string config_toml(const Parsed& parsed) {
    std::string text = "# written by " + version_line() + "; use it with: pdadmm train --config FILE\n";
    const auto line = [&](const std::string& name, const std::string& value) {
        text += value == "true" || value == "false" ? fmt::format("{} = {}\n", name, value) : fmt::format("{} = \"{}\"\n", name, value);
    };
    for (const auto& [name, value] : parsed.resolved) line(name, value);
    line("seeds", parsed.options.seeds);
    line("checkpoint-every", std::to_string(parsed.options.checkpoint_every));
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

std::string shown(const MeanSd& m) {
    if (std::isnan(m.mean)) return "-";
    return std::isnan(m.sd) ? fmt::format("{:.4f}", m.mean) : fmt::format("{:.4f} ± {:.4f}", m.mean, m.sd);
}

std::vector<double> column(const std::vector<RunResult>& results, bool best, std::size_t set) {
    std::vector<double> values;
    for (const RunResult& r : results)
        if (!best)
            values.push_back(r.last.accuracy[set]);
        else if (r.best)
            values.push_back(r.best->accuracy[set]);
    return values;
}

/// The table over seeds on stdout, and the same as JSON.
Json summarise(const std::vector<RunResult>& results) {
    Json json{{"runs", Json::array()}};
    double seconds = 0, epochs = 0;
    for (const RunResult& r : results) {
        const auto text = [](const Evaluation& e) { return fmt::format("{:.4f}  {:.4f}  {:.4f}", e.accuracy[0], e.accuracy[1], e.accuracy[2]); };
        fmt::print("seed {:<5} last {}", r.seed, text(r.last));
        if (r.best) fmt::print("   best-val {} (epoch {})", text(*r.best), r.best_epoch);
        fmt::print("   objective {:.4e}\n", r.objective);
        json["runs"].push_back(to_json(r));
        seconds += r.seconds;
        epochs += static_cast<double>(r.epochs);
    }
    constexpr std::array sets{"train", "val", "test"};
    for (const bool best : {false, true}) {
        const char* name = best ? "best_val" : "last";
        fmt::print("{:<9}", best ? "best-val" : "last");
        for (std::size_t set = 0; set < 3; ++set) {
            const MeanSd m = mean_sd(column(results, best, set));
            fmt::print("  {} {}", sets[set], shown(m));
            json[name][sets[set]] = {{"mean", std::isfinite(m.mean) ? Json(m.mean) : Json()}, {"sd", std::isfinite(m.sd) ? Json(m.sd) : Json()}};
        }
        fmt::print("   (mean{} of {} seed{})\n", results.size() > 1 ? " ± sd" : "", results.size(), results.size() > 1 ? "s" : "");
    }
    const double bytes = static_cast<double>(results.back().bytes) / static_cast<double>(std::max<Index>(1, results.back().epochs));
    fmt::print("{:.3f} ms an iteration (evaluation not included); a split after every layer would send {:.0f} bytes an iteration on average\n",
               1e3 * seconds / std::max(1.0, epochs), bytes);
    json["ms_per_iteration"] = 1e3 * seconds / std::max(1.0, epochs);
    return json;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
    Parsed parsed = parse_train(arguments);
    if (parsed.help) return 0;
    const TrainOptions& o = parsed.options;
    const std::vector<std::uint64_t> seeds = seed_list(o.seeds);
    RunSettings settings;
    settings.solver = solver_options(o, seeds[0]);
    settings.resume = !o.resume.empty();
    const ResumeSource source = settings.resume ? resume_source(o.resume) : ResumeSource{};
    const std::string folder = settings.resume ? source.run_folder : o.out;
    if (settings.resume && !o.out.empty()) throw UsageError("--out: with --resume, expected one of them; a resumed run stays in its folder");
    settings.exact_checkpoint = source.checkpoint.value_or("");
    install_signal_handlers();

    const auto note = [&](const std::string& text) {
        if (!o.quiet) fmt::print(stderr, "{}\n", text);
    };
    const std::unique_ptr<Backend> backend = make_backend(o.backend, {o.threads, 0});
    const Dataset dataset = load_dataset(o.dataset, {o.binary_features, {}, 0});
    const Split split = make_split(dataset, o.split, o.split_seed);
    for (const std::string& warning : split_warnings(dataset, split)) note("pdadmm: warning: " + warning);
    note(fmt::format("{}: {} nodes, {} classes, {} features; split {}: {} train, {} val, {} test", dataset.name, dataset.nodes, dataset.classes,
                     dataset.features.count, split.name, split.train.size(), split.val.size(), split.test.size()));
    const AugmentOptions augment = augment_options(o);
    const auto began = std::chrono::steady_clock::now();
    const AugmentedNodes nodes = augment_cached(*backend, dataset, split, augment, augment_cache_folder(o), note);
    note(fmt::format("augmentation: {} ({} inputs), {:.2f} s", to_string(augment), nodes.inputs,
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count()));
    note(fmt::format("backend: {}; {}", backend->description(), sizeof(real) == 4 ? "fp32" : "fp64"));
    const NodeData data(*backend, nodes);

    for (const auto& [name, value] : parsed.resolved) settings.identity[name] = value;
    settings.identity["data_digest"] = dataset_digest(dataset);
    settings.identity["split_digest"] = digest_hex(std::as_bytes(std::span(nodes.labels))) + digest_hex(std::as_bytes(std::span(split.train)));
    settings.identity["backend"] = backend->name();
    settings.identity["precision"] = static_cast<int>(sizeof(real));
    settings.config_toml = config_toml(parsed);
    settings.model_template = {{}, augment, o.binary_features, {{"dataset", dataset.name}, {"classes", std::to_string(dataset.classes)}}};
    settings.overwrite = o.overwrite;
    settings.quiet = o.quiet;
    settings.checkpoint_every = o.checkpoint_every;
    settings.runs = static_cast<int>(seeds.size());

    std::unique_ptr<RunDirectory> parent;  // of several seeds' folders
    Warnings warnings;
    if (!folder.empty() && seeds.size() > 1) {
        parent = std::make_unique<RunDirectory>(folder, settings.resume ? RunMode::resume : o.overwrite ? RunMode::overwrite : RunMode::create, warnings);
        if (!settings.resume) parent->write("config.toml", settings.config_toml);
        for (const std::string& warning : warnings) note("pdadmm: warning: " + warning);
    }
    std::vector<RunResult> results;
    for (const std::uint64_t seed : seeds) {
        settings.run = static_cast<int>(results.size()) + 1;
        settings.solver.seed = seed;
        settings.identity["seed"] = seed;
        settings.folder = parent ? (fs::path(folder) / fmt::format("seed-{}", seed)).string() : folder;
        results.push_back(run_training(*backend, data, settings));
        if (const int signal = results.back().stopped_by) {
            note(folder.empty() ? fmt::format("stopped after epoch {}; without --out nothing was saved", results.back().epochs)
                                : fmt::format("stopped after epoch {}; go on with: pdadmm train --resume {}", results.back().epochs, folder));
            if (parent) parent->write_status({"signal", signal, 0, exit_code_of_signal(signal)});
            return exit_code_of_signal(signal);
        }
    }
    const Json summary = summarise(results);
    if (parent) {
        parent->write("summary.json", summary.dump(2) + "\n");
        parent->write_status({"done", 0, 0, 0});
    }
    if (std::fflush(stdout) != 0) throw OutputError("stdout: cannot be written, expected room for the summary");
    return 0;
}

}  // namespace pdadmm
