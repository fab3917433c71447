// The files of a run (host/run/run_files.hpp).
#include "host/run/run_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "host/report/report_page.hpp"
#include "host/report/run_record.hpp"
#include "host/run/confusion_file.hpp"
#include "host/run/trainer_state.hpp"
#include "host/store/run_origin.hpp"
#include "host/train/metric.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kernels_key = "product_kernels";
constexpr std::array set_names{"train", "val", "test"};

Json figures_json(const std::array<double, 3>& figures) {
    Json json;
    for (std::size_t i = 0; i < 3; ++i) json[set_names[i]] = number_or_null(figures[i]);
    return json;
}

std::array<double, 3> figures_from(const Json& json) {
    std::array<double, 3> figures{};
    for (std::size_t i = 0; i < 3; ++i) {
        const Json& value = json.at(set_names[i]);
        figures[i] = value.is_null() ? NAN : value.get<double>();
    }
    return figures;
}

/// What to_json() wrote of an evaluation: accuracies, and the figures of another metric.
Evaluation evaluation_from(const Json& json, const std::string& name) {
    Evaluation e;
    e.accuracy = figures_from(json.at(name));
    e.metric = json.contains("metric") ? figures_from(json.at(name + "_metric")) : e.accuracy;
    return e;
}

std::vector<double> roots(std::vector<double> squares) {
    for (double& v : squares) v = std::sqrt(v);
    return squares;
}

/// "val_macro_f1" of validation nodes and macro-f1.
std::string figure_name(std::size_t set, Metric metric) {
    std::string name = fmt::format("{}_{}", set_names[set], name_of(metric));
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

std::string metrics_line(const EpochRecord& r, Optimizer optimizer, Metric metric) {
    Json line{{"epoch", r.epoch}, {"stage", r.stage},     {"layers", r.layers}, {"objective", r.objective},
              {"risk", r.risk},   {"seconds", r.seconds}, {"bytes", r.bytes}};
    if (r.setup_seconds > 0) line["setup_seconds"] = r.setup_seconds;
    if (optimizer == Optimizer::admm)
        line.update({{"primal_residual", std::sqrt(r.primal_sq)},
                     {"linear_residual", std::sqrt(r.linear_sq)},
                     {"rho", r.rho},
                     {"nu", r.nu}});
    if (r.evaluated && optimizer == Optimizer::admm)
        line.update(
            {{"layer_primal_residual", roots(r.layer_primal_sq)}, {"layer_linear_residual", roots(r.layer_linear_sq)}});
    if (r.evaluated)
        for (std::size_t i = 0; i < 3; ++i) {
            if (std::isnan(r.evaluation.accuracy[i])) continue;  // no nodes, or not evaluated now
            line[figure_name(i, Metric::accuracy)] = r.evaluation.accuracy[i];
            if (metric != Metric::accuracy) line[figure_name(i, metric)] = number_or_null(r.evaluation.metric[i]);
            line[std::string(set_names[i]) + "_cost"] = number_or_null(r.evaluation.cost[i]);
        }
    return line.dump();
}

Json read_json(const fs::path& path, const char* advice) {
    const std::string text = read_text(path, 1 << 20);
    try {
        return Json::parse(text);
    } catch (const Json::exception& error) {
        throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; {}", printable_path(path),
                                    printable(error.what(), 200), advice));
    }
}

/// The identity of a run that was saved, with the options that came later as it went by them.
Json completed(Json saved, const RunSettings& settings) {
    const auto complete = [&](const std::string& name, const Json& value) {
        if (saved.is_object() && !saved.contains(name) && settings.identity.contains(name)) saved[name] = value;
    };
    for (const auto& [name, value] : settings.unrecorded.items()) complete(name, value);
    complete(kernels_key, settings.identity.value(kernels_key, ""));
    return saved;
}

/// "" where the saved run multiplied with the same kernels, else what a user must know.
std::string other_kernels(const Json& saved, const RunSettings& settings) {
    const std::string before = completed(saved, settings).value(kernels_key, ""),
                      now = settings.identity.value(kernels_key, "");
    if (before == now) return {};
    return fmt::format("products by {}, before by {}: the last bits may differ from a run that was not interrupted",
                       now, printable(before));
}

/// The newest step that all keepers have a checkpoint of, where nodes have owners; a keeper gives its own newest.
std::uint64_t step_of_all(const Ranks& ranks, std::optional<std::uint64_t> step) {
    if (!ranks.owned()) return step.value_or(0);
    const std::int64_t own = step ? static_cast<std::int64_t>(*step) : INT64_MAX;
    return static_cast<std::uint64_t>(-ranks.control()->max(-own));
}

/// Throws DataError naming the first option or fact that differs from `saved`, which is what `where` holds.
void require_same_run(const Json& saved, const RunSettings& settings, const std::string& where) {
    std::vector<std::string_view> may_differ(settings.extending.begin(), settings.extending.end());
    may_differ.push_back(kernels_key);
    if (const std::string difference = config_difference(completed(saved, settings), settings.identity, may_differ);
        !difference.empty())
        throw DataError(
            fmt::format("{}: {}, expected the same; resume without that option", printable_path(where), difference));
}

}  // namespace

nlohmann::json to_json(const RunResult& r) {
    Json json{{"seed", r.seed},       {"epochs", r.epochs}, {"objective", r.objective},
              {"seconds", r.seconds}, {"bytes", r.bytes},   {"last", figures_json(r.last.accuracy)}};
    json["setup_seconds"] = r.setup_seconds;
    if (!r.border_bytes.empty()) json["border_bytes"] = r.border_bytes;
    if (r.best) {
        json["best"] = figures_json(r.best->accuracy);
        json["best_epoch"] = r.best_epoch;
        json["best_layers"] = r.best_layers;
    }
    if (r.metric != Metric::accuracy) {
        json["metric"] = name_of(r.metric);
        json["last_metric"] = figures_json(r.last.metric);
        if (r.best) json["best_metric"] = figures_json(r.best->metric);
    }
    return json;
}

std::optional<RunResult> finished_result(const RunSettings& settings) {
    std::error_code ignored;
    const fs::path config = fs::path(settings.folder) / "config.json";
    if (settings.resume && fs::exists(config, ignored))
        require_same_run(read_json(config, "name another run"), settings, settings.folder);
    const fs::path summary = fs::path(settings.folder) / "summary.json";
    if (!settings.resume || !settings.exact_checkpoint.empty() || !fs::exists(summary, ignored)) return std::nullopt;
    const Json json = read_json(summary, "remove it and resume again");
    try {
        Json before = completed(json.at("identity"), settings);
        before[kernels_key] = settings.identity.value(kernels_key, "");  // not trained anew for last bits
        if (before != settings.identity) return std::nullopt;
        RunResult result;
        result.metric = settings.solver.metric;
        result.seed = json.at("seed");
        result.epochs = json.at("epochs");
        result.objective = json.at("objective");
        result.seconds = json.at("seconds");
        result.setup_seconds = json.value("setup_seconds", 0.0);
        result.bytes = json.at("bytes");
        result.border_bytes = json.value("border_bytes", result.border_bytes);
        result.last = evaluation_from(json, "last");
        if (json.contains("best")) {
            result.best = evaluation_from(json, "best");
            result.best_epoch = json.at("best_epoch");
            result.best_layers = json.value("best_layers", settings.solver.stages.back().layers);
        }
        return result;
    } catch (const Json::exception& error) {
        throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; remove it to go on from the checkpoints",
                                    printable_path(summary), printable(error.what(), 200)));
    }
}

RunFiles::RunFiles(const RunSettings& settings, RunMode mode, Warnings& warnings)
    : directory_(settings.folder, mode, warnings), store_(directory_), settings_(settings) {}

std::optional<CheckpointData> RunFiles::newest_checkpoint(Ranks& ranks, Warnings& warnings) {
    std::error_code ignored;
    const fs::path folder = fs::path(settings_.folder) / "checkpoints";
    std::optional<CheckpointData> found;
    if (fs::exists(folder, ignored) && !fs::is_empty(folder, ignored))
        found = settings_.exact_checkpoint.empty() ? load_newest_checkpoint(settings_.folder, warnings)
                                                   : load_checkpoint(settings_.exact_checkpoint);
    const std::uint64_t step = step_of_all(ranks, found ? found->step : 0);
    if (ranks.owned() && step == 0) return std::nullopt;
    if (found && found->step != step) return load_checkpoint((folder / step_name(step)).string());
    return found;
}

std::optional<EpochRecord> RunFiles::restore(Trainer& trainer, Warnings& warnings) {
    const std::optional<CheckpointData> found = newest_checkpoint(trainer.ranks(), warnings);
    if (!found) {
        std::error_code ignored;
        if (fs::exists(fs::path(settings_.folder) / "summary.json", ignored))
            throw DataError(
                fmt::format("{}: finished and kept no checkpoint, expected one to train further; start anew with "
                            "--checkpoint-every",
                            printable_path(settings_.folder)));
        directory_.rewind_metrics(0, warnings);
        warnings.push_back(printable_path(settings_.folder) + ": no checkpoint yet, starting from the beginning");
        trainer.ranks().share_by_keeper(std::vector<char>());
        return std::nullopt;
    }
    const CheckpointData& checkpoint = *found;
    EpochRecord last;
    try {
        require_same_run(checkpoint.meta.at("identity"), settings_, checkpoint.folder);
        if (const std::string other = other_kernels(checkpoint.meta.at("identity"), settings_); !other.empty())
            warnings.push_back(other);
        trainer.ranks().share_by_keeper(std::vector<char>(checkpoint.folder.begin(), checkpoint.folder.end()));
        load_state(trainer, checkpoint);
        directory_.rewind_metrics(checkpoint.meta.at("metrics_bytes"), warnings);
        last.objective = checkpoint.meta.at("objective");
    } catch (const Json::exception& error) {
        throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; name another checkpoint",
                                    printable_path(checkpoint.folder), printable(error.what(), 200)));
    }
    last.epoch = trainer.progress().epoch;
    store_.set_aside_newer(checkpoint.step, warnings);
    return last;
}

void RunFiles::write_configuration() {
    directory_.write("config.json", settings_.identity.dump(2) + "\n");
    directory_.write("config.toml", settings_.config_toml);
    RunOrigin origin = new_origin(settings_.program);
    if (const RunOrigin before = read_origin(settings_.folder); !before.id.empty()) {  // resumed
        origin.id = before.id;
        origin.started = before.started;
    }
    directory_.write("origin.json", to_json(origin));
}

void RunFiles::append_metrics(const EpochRecord& record) {
    directory_.append_metrics(metrics_line(record, settings_.solver.optimizer, settings_.solver.metric));
}

void RunFiles::checkpoint(CheckpointData data, const EpochRecord& last, Warnings& warnings) {
    data.meta["identity"] = settings_.identity;
    data.meta["objective"] = last.objective;
    data.meta["metrics_bytes"] = directory_.sync_metrics();
    store_.save(data, warnings);
}

void RunFiles::write_status(const std::string& end, int signal, Index epoch, int exit) {
    directory_.write_status({end, signal, static_cast<std::uint64_t>(epoch), exit});
}

void RunFiles::write_result(const RunResult& result, const Model& model, const std::optional<BestModel>& best,
                            Backend& backend, Warnings& warnings) {
    write_model("model-final.safetensors", model, result.epochs);
    if (best) write_model("model-best.safetensors", best->model, best->epoch);
    Json summary = to_json(result);
    summary["identity"] = settings_.identity;
    if (const auto algorithms = backend.product_algorithms(); !algorithms.empty())
        summary["product_algorithms"] = algorithms;
    if (!settings_.nodes->multi_label())
        directory_.write("confusion.csv",
                         confusion_csv(confusions_of(backend, best ? best->model : model, *settings_.nodes),
                                       settings_.model_template.names()));
    directory_.write("summary.json", summary.dump(2) + "\n");
    write_status("done", 0, result.epochs, 0);
    write_report(directory_, settings_.program, warnings);
}

void write_report(RunDirectory& directory, const std::string& program, Warnings& warnings) {
    try {
        directory.write("report.html", report_page({read_run(directory.path())}, program));
    } catch (const DataError& error) {
        warnings.push_back(fmt::format("no report.html: {}", error.what()));
    }
}

void RunFiles::write_model(const std::string& name, const Model& model, Index epoch) {
    SavedModel saved = settings_.model_template;
    saved.model = model;
    saved.notes["seed"] = std::to_string(settings_.solver.seed);
    saved.notes["epoch"] = std::to_string(epoch);
    directory_.write(name, format_safetensors(to_safetensors(saved)));
}

void follow_restore(Trainer& trainer) {
    step_of_all(trainer.ranks(), std::nullopt);
    const std::vector<char> folder = trainer.ranks().share_by_keeper(std::vector<char>());
    if (!folder.empty()) load_state(trainer, load_checkpoint({folder.begin(), folder.end()}));
}

}  // namespace pdadmm
