// One run of training (host/run/training_run.hpp).
#include "host/run/training_run.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>

#include "host/format/file.hpp"
#include "host/run/checkpoint_store.hpp"
#include "host/run/progress.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/signals.hpp"
#include "host/run/solver_state.hpp"
#include "host/run/trace_file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::array set_names{"train", "val", "test"};

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json accuracies(const Evaluation& e) {
    Json json;
    for (std::size_t i = 0; i < 3; ++i) json[set_names[i]] = number_or_null(e.accuracy[i]);
    return json;
}

Evaluation evaluation_from(const Json& json) {
    Evaluation e;
    for (std::size_t i = 0; i < 3; ++i) {
        const Json& value = json.at(set_names[i]);
        e.accuracy[i] = value.is_null() ? NAN : value.get<double>();
    }
    return e;
}

std::string metrics_line(const EpochRecord& r, Optimizer optimizer) {
    Json line{{"epoch", r.epoch}, {"stage", r.stage},     {"layers", r.layers}, {"objective", r.objective},
              {"risk", r.risk},   {"seconds", r.seconds}, {"bytes", r.bytes}};
    if (optimizer == Optimizer::admm)
        line.update({{"primal_residual", std::sqrt(r.primal_sq)},
                     {"linear_residual", std::sqrt(r.linear_sq)},
                     {"rho", r.rho},
                     {"nu", r.nu}});
    if (r.evaluated)
        for (std::size_t i = 0; i < 3; ++i) {
            if (std::isnan(r.evaluation.accuracy[i])) continue;  // no nodes, or not evaluated now
            line[std::string(set_names[i]) + "_accuracy"] = r.evaluation.accuracy[i];
            line[std::string(set_names[i]) + "_cost"] = number_or_null(r.evaluation.cost[i]);
        }
    return line.dump();
}

Json read_json(const fs::path& path) {
    const auto bytes = read_file(path, 1 << 20);
    try {
        return Json::parse(reinterpret_cast<const char*>(bytes.data()),
                           reinterpret_cast<const char*>(bytes.data()) + bytes.size());
    } catch (const Json::exception& error) {
        throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; name another run", printable_path(path),
                                    printable(error.what(), 200)));
    }
}

/// The identity of a run that was saved, with the options that came later as it went by them.
Json completed(Json saved, const RunSettings& settings) {
    for (const auto& [name, value] : settings.unrecorded.items())
        if (saved.is_object() && !saved.contains(name) && settings.identity.contains(name)) saved[name] = value;
    return saved;
}

/// Throws DataError naming the first option or fact that differs from `saved`, which is what `where` holds.
void require_same_run(const Json& saved, const RunSettings& settings, const std::string& where) {
    const std::vector<std::string_view> may_differ(settings.extending.begin(), settings.extending.end());
    if (const std::string difference = config_difference(completed(saved, settings), settings.identity, may_differ);
        !difference.empty())
        throw DataError(
            fmt::format("{}: {}, expected the same; resume without that option", printable_path(where), difference));
}

/// The folder of a run: everything that is written goes through here.
class RunFiles {
public:
    RunFiles(const RunSettings& settings, RunMode mode, Warnings& warnings)
        : directory_(settings.folder, mode, warnings), store_(directory_), settings_(settings) {}

    /// Goes on from the newest checkpoint, whose last record is returned; none where the run never saved one.
    std::optional<EpochRecord> restore(Trainer& solver, Warnings& warnings) {
        std::error_code ignored;
        const fs::path folder = fs::path(settings_.folder) / "checkpoints";
        if (!fs::exists(folder, ignored) || fs::is_empty(folder, ignored)) {
            if (fs::exists(fs::path(settings_.folder) / "summary.json", ignored))
                throw DataError(
                    fmt::format("{}: finished and kept no checkpoint, expected one to train further; start anew with "
                                "--checkpoint-every",
                                printable_path(settings_.folder)));
            directory_.rewind_metrics(0, warnings);
            warnings.push_back(printable_path(settings_.folder) + ": no checkpoint yet, starting from the beginning");
            solver.ranks().share(std::vector<char>(), 0);
            return std::nullopt;
        }
        const CheckpointData checkpoint = settings_.exact_checkpoint.empty()
                                              ? load_newest_checkpoint(settings_.folder, warnings)
                                              : load_checkpoint(settings_.exact_checkpoint);
        EpochRecord last;
        try {
            require_same_run(checkpoint.meta.at("identity"), settings_, checkpoint.folder);
            solver.ranks().share(std::vector<char>(checkpoint.folder.begin(), checkpoint.folder.end()), 0);
            load_state(solver, checkpoint);
            directory_.rewind_metrics(checkpoint.meta.at("metrics_bytes"), warnings);
            last.objective = checkpoint.meta.at("objective");
        } catch (const Json::exception& error) {
            throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; name another checkpoint",
                                        printable_path(checkpoint.folder), printable(error.what(), 200)));
        }
        last.epoch = solver.progress().epoch;
        store_.set_aside_newer(checkpoint.step, warnings);
        return last;
    }

    void checkpoint(CheckpointData data, const EpochRecord& last, Warnings& warnings) {
        data.meta["identity"] = settings_.identity;
        data.meta["objective"] = last.objective;
        data.meta["metrics_bytes"] = directory_.sync_metrics();
        store_.save(data, warnings);
    }

    void model(const std::string& name, const Model& model, Index epoch) {
        SavedModel saved = settings_.model_template;
        saved.model = model;
        saved.notes["seed"] = std::to_string(settings_.solver.seed);
        saved.notes["epoch"] = std::to_string(epoch);
        directory_.write(name, format_safetensors(to_safetensors(saved)));
    }

    RunDirectory& directory() { return directory_; }

private:
    RunDirectory directory_;
    CheckpointStore store_;
    const RunSettings& settings_;
};

/// The other ranks' part of RunFiles::restore.
void follow_restore(Trainer& solver) {
    const std::vector<char> folder = solver.ranks().share(std::vector<char>(), 0);
    if (!folder.empty()) load_state(solver, load_checkpoint({folder.begin(), folder.end()}));
}

RunResult result_of(Trainer& solver, const EpochRecord& last) {
    RunResult result;
    result.seed = solver.options().seed;
    result.epochs = solver.progress().epoch;
    result.objective = last.objective;
    result.seconds = solver.progress().seconds;
    result.bytes = solver.progress().bytes;
    result.border_bytes = solver.border_bytes();
    result.last = last.evaluated && solver.stage_over() ? last.evaluation : solver.evaluate();
    if (solver.best()) {
        result.best = solver.best()->evaluation;
        result.best_epoch = solver.best()->epoch;
        result.best_layers = solver.best()->model.shape.layers;
    }
    return result;
}

/// The result of a run that has finished before.
std::optional<RunResult> finished_result(const RunSettings& settings) {
    const fs::path summary = fs::path(settings.folder) / "summary.json";
    std::error_code ignored;
    if (!settings.resume || !settings.exact_checkpoint.empty() || !fs::exists(summary, ignored)) return std::nullopt;
    const Json json = read_json(summary);
    try {
        if (completed(json.at("identity"), settings) != settings.identity) return std::nullopt;
        RunResult result;
        result.seed = json.at("seed");
        result.epochs = json.at("epochs");
        result.objective = json.at("objective");
        result.seconds = json.at("seconds");
        result.bytes = json.at("bytes");
        result.border_bytes = json.value("border_bytes", result.border_bytes);
        result.last = evaluation_from(json.at("last"));
        if (json.contains("best")) {
            result.best = evaluation_from(json.at("best"));
            result.best_epoch = json.at("best_epoch");
            result.best_layers = json.value("best_layers", settings.solver.stages.back().layers);
        }
        return result;
    } catch (const Json::exception& error) {
        throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; remove it to go on from the checkpoints",
                                    printable_path(summary), printable(error.what(), 200)));
    }
}

/// `options` with the layers of the last stage where `placement` has them.
SolverOptions placed(SolverOptions options, const Placement& placement) {
    options.placement = {PlacementRule::Kind::listed, {}};
    for (int rank = 0; rank < placement.ranks(); ++rank) options.placement.layers.push_back(placement.of(rank).count());
    return options;
}

/// Of a stage that is over.
std::string stage_line(const Trainer& trainer) {
    const Progress& p = trainer.progress();
    const auto& stages = trainer.options().stages;
    const Stage& stage = stages[static_cast<std::size_t>(p.stage)];
    const std::string why = !p.stopped_early ? "all iterations done"
                                             : fmt::format("no {} in {} evaluations",
                                                           trainer.data().counts()[1] > 0 ? "better validation accuracy"
                                                                                          : "lower training risk",
                                                           p.watch.since_best);
    return fmt::format("stage {} of {}: {} layers, {} of {} iterations, ended: {}", p.stage + 1, stages.size(),
                       stage.layers, p.stage_epoch, stage.epochs, why);
}

}  // namespace

nlohmann::json to_json(const RunResult& r) {
    Json json{{"seed", r.seed},       {"epochs", r.epochs}, {"objective", r.objective},
              {"seconds", r.seconds}, {"bytes", r.bytes},   {"last", accuracies(r.last)}};
    if (!r.border_bytes.empty()) json["border_bytes"] = r.border_bytes;
    if (r.best) {
        json["best"] = accuracies(*r.best);
        json["best_epoch"] = r.best_epoch;
        json["best_layers"] = r.best_layers;
    }
    return json;
}

RunResult run_training(Backend& backend, const NodeData& data, const RunSettings& settings, RankLinks links) {
    const int ranks = links.control ? links.control->size() : 1;
    const bool leads = !links.control || links.control->rank() == 0, quiet = settings.quiet || !leads;
    std::error_code ignored;
    const fs::path folder = settings.folder;
    Ranks others(backend, links);
    if (links.control) links.control->rest();
    std::optional<RunResult> finished;
    if (leads) {
        if (settings.resume && fs::exists(folder / "config.json", ignored))
            require_same_run(read_json(folder / "config.json"), settings, settings.folder);
        finished = finished_result(settings);
    }
    if (others.share(std::vector<char>{finished.has_value()}, 0).front()) return finished.value_or(RunResult{});
    SolverOptions options = settings.solver;
    if (settings.run > 1 || settings.trace.empty()) options.trace_iterations = 0;
    const NetworkShape shape = stage_shape(options, data, options.stages.size() - 1);
    const std::vector<std::size_t> needs = memory_of_ranks(backend, data, options, ranks);
    std::size_t need = 0;
    for (const int rank : settings.memory_sharers) need += needs[static_cast<std::size_t>(rank)];
    require_memory(backend, need, shape);
    ProgressLine progress(settings.run, settings.runs, total_epochs(settings.solver), quiet);
    if (settings.run == 1 && !quiet)
        progress.note(fmt::format("memory: {:.2f} GiB of the {:.2f} GiB that are free",
                                  static_cast<double>(need) / (1 << 30),
                                  static_cast<double>(backend.free_memory()) / (1 << 30)));
    if (settings.run == 1 && !quiet && ranks > 1) progress.note(rank_table(options, shape, ranks, {}, needs));
    if (options.trace_iterations > 0 && leads) begin_trace(settings.trace);
    const std::unique_ptr<Trainer> trainer = make_trainer(backend, data, options, links);
    Trainer& solver = *trainer;
    std::unique_ptr<RunFiles> files;
    Warnings warnings;
    const auto tell = [&] {
        for (const std::string& warning : warnings) progress.note("pdadmm: warning: " + warning);
        warnings.clear();
    };
    EpochRecord record;
    // A run that died while it made a seed's folder left one without checkpoints.
    const bool may_go_on = leads && !settings.folder.empty() && settings.resume &&
                           (settings.runs == 1 || fs::exists(folder / "checkpoints", ignored));
    const bool begun =
        solver.ranks().share(std::vector<char>{may_go_on}, 0).front() != 0;  // rank 0 makes folders while others look
    if (!settings.folder.empty() && leads) {
        files = std::make_unique<RunFiles>(settings,
                                           begun                                   ? RunMode::resume
                                           : settings.overwrite || settings.resume ? RunMode::overwrite
                                                                                   : RunMode::create,
                                           warnings);
        if (begun)
            if (const auto last = files->restore(solver, warnings)) {
                record = *last;
                if (const Index done = solver.progress().stage_epoch,
                    most = options.stages[static_cast<std::size_t>(solver.progress().stage)].epochs;
                    done > most)
                    throw UsageError(fmt::format(
                        "--epochs: {} in stage {}, expected at least the {} that are done; leave it out or give more",
                        most, solver.progress().stage + 1, done));
                progress.note(fmt::format("resumed after epoch {}", record.epoch));
                progress.expect(solver.most_epochs());
            }
        files->directory().write("config.json", settings.identity.dump(2) + "\n");
        files->directory().write("config.toml", settings.config_toml);
        tell();
    } else if (begun) {
        follow_restore(solver);
    }
    const Progress before = solver.progress();
    const auto result_here = [&] {
        RunResult result = result_of(solver, record);
        result.epochs_here = result.epochs - before.epoch;
        result.bytes_here = result.bytes - before.bytes;
        return result;
    };
    Index newest = solver.progress().epoch > 0 ? solver.progress().epoch : -1;  // epoch that is safe on disk
    const auto checkpoint = [&] {
        if (settings.folder.empty() || newest == solver.progress().epoch) return;
        if (links.control) links.control->rest();
        recorded(solver.recorder(), Activity::checkpoint, [&] {
            CheckpointData state = save_state(solver);
            if (files) files->checkpoint(std::move(state), record, warnings);
        });
        newest = solver.progress().epoch;
    };
    try {
        while (!solver.finished()) {
            if (links.control && stop_signal() != 0) links.control->request_stop(stop_signal());
            if (const int signal = links.control ? links.control->stop() : stop_signal()) {
                RunResult result = result_here();
                result.stopped_by = signal;
                checkpoint();
                if (files)
                    files->directory().write_status({"signal", signal,
                                                     static_cast<std::uint64_t>(solver.progress().epoch),
                                                     exit_code_of_signal(signal)});
                tell();
                if (options.trace_iterations > 0) write_trace(settings.trace, solver);
                return result;
            }
            const Index until_checkpoint =
                settings.checkpoint_every > 0
                    ? settings.checkpoint_every - solver.progress().epoch % settings.checkpoint_every
                    : total_epochs(settings.solver);
            for (const EpochRecord& done : solver.advance(until_checkpoint)) {
                record = done;
                progress.show(record);
                if (files) files->directory().append_metrics(metrics_line(record, settings.solver.optimizer));
            }
            if (solver.stage_over()) {
                progress.note(stage_line(solver));
                progress.expect(solver.most_epochs());
            }
            if (links.control) links.control->tick();
            if (settings.checkpoint_every > 0 && (record.epoch % settings.checkpoint_every == 0 || solver.finished()))
                checkpoint();
            tell();
        }
    } catch (const DivergedError& error) {
        if (files)
            files->directory().write_status(
                {"diverged", 0, static_cast<std::uint64_t>(solver.progress().epoch), static_cast<int>(error.code())});
        throw;
    }
    if (links.control) links.control->rest();
    const RunResult result = result_here();
    if (ranks > 1 && options.optimizer == Optimizer::admm && !quiet &&
        !(solver.ranks().placement() == place_layers(options.placement, solver.shape(), ranks, {}))) {
        const Placement& placement = solver.ranks().placement();
        progress.note("layers were moved, by measured times:\n" +
                      placement_table(placement, solver.costs().of(solver.shape()),
                                      memory_of_ranks(backend, data, placed(options, placement), ranks)));
    }
    if (options.best_of == BestOf::any_stage && options.stages.size() > 1 && solver.best())
        progress.note(fmt::format("best model: {} layers, of stage {} of {}, epoch {}", result.best_layers,
                                  solver.best()->stage + 1, options.stages.size(), result.best_epoch));
    const Model model = settings.folder.empty() ? Model{} : solver.model();
    if (files) {
        files->model("model-final.safetensors", model, result.epochs);
        if (solver.best()) files->model("model-best.safetensors", solver.best()->model, solver.best()->epoch);
        Json summary = to_json(result);
        summary["identity"] = settings.identity;
        if (const std::vector<std::string> chosen = backend.product_algorithms(); !chosen.empty())
            summary["product_algorithms"] = chosen;
        files->directory().write("summary.json", summary.dump(2) + "\n");
        files->directory().write_status({"done", 0, static_cast<std::uint64_t>(result.epochs), 0});
    }
    if (options.trace_iterations > 0) write_trace(settings.trace, solver);  // last: what was trained is safe
    return result;
}

}  // namespace pdadmm
