// One run of training (host/run/training_run.hpp).
#include "host/run/training_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "host/console/printable.hpp"
#include "host/console/signals.hpp"
#include "host/console/words.hpp"
#include "host/machine/processors.hpp"
#include "host/run/progress.hpp"
#include "host/run/run_files.hpp"
#include "host/run/trace_file.hpp"
#include "host/run/trainer_state.hpp"
#include "host/run/trainers.hpp"
#include "host/store/checkpoint_store.hpp"
#include "host/store/run_directory.hpp"
#include "host/train/metric.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

RunResult result_of(Trainer& solver, const EpochRecord& last) {
    RunResult result;
    result.seed = solver.options().seed;
    result.epochs = solver.progress().epoch;
    result.objective = last.objective;
    result.seconds = solver.progress().seconds;
    result.setup_seconds = solver.progress().setup_seconds;
    result.bytes = solver.progress().bytes;
    result.border_bytes = solver.border_bytes();
    result.metric = solver.options().metric;
    result.last = last.evaluated && solver.stage_over() ? last.evaluation : solver.evaluate();
    if (solver.best()) {
        result.best = solver.best()->evaluation;
        result.best_epoch = solver.best()->epoch;
        result.best_layers = solver.best()->model.shape.layers;
    }
    return result;
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
    const std::string why =
        !p.stopped_early ? "all iterations done"
                         : fmt::format("no {} in {} evaluations",
                                       trainer.data().counts()[1] > 0
                                           ? fmt::format("better validation {}", name_of(trainer.options().metric))
                                           : std::string("lower training risk"),
                                       p.watch.since_best);
    return fmt::format("stage {} of {}: {} layers, {} of {} iterations, ended: {}", p.stage + 1, stages.size(),
                       stage.layers, p.stage_epoch, stage.epochs, why);
}

/// The options of one run of several: the first alone is traced.
SolverOptions options_of(const RunSettings& settings) {
    SolverOptions options = settings.solver;
    if (settings.run > 1 || settings.trace.empty()) options.trace_iterations = 0;
    return options;
}

/// Where every rank is, of those that are processes; nothing of threads. Collective.
std::vector<RankPlace> places_of(const Backend& backend, RankLinks links) {
    if (!links.transport || links.transport->name() == "local") return {};
    constexpr std::size_t most = 64;  // bytes of a name
    std::vector<double> own(2 * most);
    const std::string host = host_name(), device = backend.name();
    for (std::size_t i = 0; i < most; ++i) {
        own[i] = i < host.size() ? host[i] : 0;
        own[most + i] = i < device.size() ? device[i] : 0;
    }
    const std::vector<double> all = links.control->gather(own);
    std::vector<RankPlace> places(all.size() / own.size());
    for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i] != 0)
            (i / most % 2 == 0 ? places[i / own.size()].host : places[i / own.size()].device) +=
                static_cast<char>(all[i]);
    return places;
}

/// A run from its folder to its result, on one rank.
class TrainingRun {
public:
    TrainingRun(Backend& backend, const NodeData& data, const RunSettings& settings, RankLinks links)
        : backend_(backend),
          data_(data),
          settings_(settings),
          control_(links.control),
          options_(options_of(settings)),
          ranks_(control_ ? control_->size() : 1),
          leads_(!control_ || control_->rank() == 0),
          quiet_(settings.quiet || !leads_),
          progress_(settings.run, settings.runs, total_epochs(settings.solver), quiet_, settings.solver.metric) {
        // Once rank 0 has a folder a signal to any rank saves it: all can take one before rank 0 has heard from all.
        if (control_) install_signal_handlers();
        require_and_tell_memory(settings.run == 1 ? places_of(backend, links) : std::vector<RankPlace>());
        if (traced() && leads_) begin_trace(settings.trace);
        trainer_ = make_trainer(backend, data, options_, links);
    }

    /// Makes or opens the folder, and goes on from its checkpoint where there is one.
    void open_folder() {
        const bool begun = has_begun();
        Ranks& ranks = trainer_->ranks();
        if (ranks.owned() && !leads_) ranks.share(std::vector<char>(), 0);  // folders of owners lie in that of rank 0
        if (!settings_.folder.empty() && ranks.keeps()) {
            files_ = std::make_unique<RunFiles>(settings_,
                                                begun                                     ? RunMode::resume
                                                : settings_.overwrite || settings_.resume ? RunMode::overwrite
                                                                                          : RunMode::create,
                                                warnings_);
        }
        if (ranks.owned() && leads_) ranks.share(std::vector<char>(), 0);
        if (files_) {
            if (begun) go_on();
            files_->write_configuration();
            if (settings_.begun) settings_.begun();
            tell();
        } else if (begun) {
            follow_restore(*trainer_);
        }
        before_ = trainer_->progress();
        saved_ = before_.epoch > 0 ? before_.epoch : -1;
    }

    /// To the last iteration of the last stage; a result where a signal or a pause comes before.
    std::optional<RunResult> train() {
        install_signal_handlers();
        try {
            while (!trainer_->finished()) {
                if (control_ && stop_signal() != 0) control_->request_stop(stop_signal());
                if (const int signal = control_ ? control_->stop() : stop_signal()) return stop(signal);
                if (settings_.pause_after > 0 && trainer_->progress().epoch >= settings_.pause_after) return pause();
                advance();
            }
        } catch (const DivergedError& error) {
            if (files_) files_->write_status("diverged", 0, trainer_->progress().epoch, static_cast<int>(error.code()));
            throw;
        } catch (const Error& error) {
            tell_failure(error);
            throw;
        }
        return std::nullopt;
    }

    /// The result of a run that is done, and everything that is written of it.
    RunResult finish() {
        if (control_) control_->rest();
        RunResult result = result_here();
        tell_placement();
        if (options_.best_of == BestOf::any_stage && options_.stages.size() > 1 && trainer_->best())
            progress_.note(fmt::format("best model: {} layers, of stage {} of {}, epoch {}", result.best_layers,
                                       trainer_->best()->stage + 1, options_.stages.size(), result.best_epoch));
        const Model model = settings_.folder.empty() ? Model{} : trainer_->model();
        if (files_) files_->write_result(result, model, trainer_->best(), backend_, warnings_);
        tell();
        keep_trace(result);  // last: what was trained is safe
        return result;
    }

private:
    bool traced() const { return options_.trace_iterations > 0; }

    /// What was trained, and the runs that follow, are not lost for a trace.
    void keep_trace(RunResult& result) {
        if (!traced()) return;
        try {
            write_trace(settings_.trace, *trainer_);
        } catch (const OutputError& error) {
            result.trace_error = error.what();
        }
    }

    void require_and_tell_memory(const std::vector<RankPlace>& places) {
        const NetworkShape shape = stage_shape(options_, data_, options_.stages.size() - 1);
        const std::vector<std::size_t> needs = memory_of_ranks(backend_, data_, options_, ranks_);
        std::size_t need = 0;
        for (const int rank : settings_.memory_sharers) need += needs[static_cast<std::size_t>(rank)];
        require_memory(backend_, need, shape);
        if (settings_.run > 1 || quiet_) return;
        const auto gibibytes = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
        const std::size_t mapped = data_.mapped_bytes();
        progress_.note(fmt::format(
            "memory: {:.2f} GiB of the {:.2f} GiB that are free{}", gibibytes(need), gibibytes(backend_.free_memory()),
            mapped > 0 ? fmt::format("; X, {:.2f} GiB, is read from its file", gibibytes(mapped)) : ""));
        if (ranks_ > 1) progress_.note(rank_table(options_, shape, ranks_, {}, needs, places));
    }

    /// Whether the folder holds a run to go on with. Rank 0 makes folders while others look, so it alone says.
    bool has_begun() {
        std::error_code ignored;
        // A run that died while it made a seed's folder left one without checkpoints.
        const bool here = leads_ && !settings_.folder.empty() && settings_.resume &&
                          (settings_.runs == 1 || fs::exists(fs::path(settings_.folder) / "checkpoints", ignored));
        return trainer_->ranks().share(std::vector<char>{here}, 0).front() != 0;
    }

    void go_on() {
        const std::optional<EpochRecord> last = files_->restore(*trainer_, warnings_);
        if (!last) return;
        record_ = *last;
        const Progress& p = trainer_->progress();
        const int most = options_.stages[static_cast<std::size_t>(p.stage)].epochs;
        if (p.stage_epoch > most)
            throw UsageError(fmt::format(
                "--epochs: {} in stage {}, expected at least the {} that are done; leave it out or give more", most,
                p.stage + 1, p.stage_epoch));
        progress_.note(fmt::format("resumed after epoch {}", record_.epoch));
        progress_.expect(trainer_->most_epochs());
    }

    /// Some iterations, and what is due after them.
    void advance() {
        const Index every = settings_.checkpoint_every;
        Index most = every > 0 ? every - trainer_->progress().epoch % every : total_epochs(settings_.solver);
        if (settings_.pause_after > 0) most = std::min(most, settings_.pause_after - trainer_->progress().epoch);
        for (const EpochRecord& done : trainer_->advance(most)) {
            record_ = done;
            progress_.show(record_);
            if (files_) files_->append_metrics(record_);
        }
        if (trainer_->stage_over()) {
            progress_.note(stage_line(*trainer_));
            progress_.expect(trainer_->most_epochs());
        }
        if (control_) control_->tick();
        if (every > 0 && (record_.epoch % every == 0 || trainer_->finished())) checkpoint();
        tell();
    }

    void checkpoint() {
        if (settings_.folder.empty() || saved_ == trainer_->progress().epoch) return;
        if (control_) control_->rest();
        recorded(trainer_->recorder(), Activity::checkpoint, [&] {
            CheckpointData state = save_state(*trainer_);
            if (files_) files_->checkpoint(std::move(state), record_, warnings_);
        });
        saved_ = trainer_->progress().epoch;
    }

    RunResult stop(int signal) {
        RunResult result = result_here();
        result.stopped_by = signal;
        checkpoint();
        if (files_) files_->write_status("signal", signal, trainer_->progress().epoch, exit_code_of_signal(signal));
        tell();
        keep_trace(result);
        return result;
    }

    RunResult pause() {
        RunResult result = result_here();
        result.paused = true;
        checkpoint();
        if (files_) files_->write_status("paused", 0, trainer_->progress().epoch, 0);
        tell();
        return result;
    }

    RunResult result_here() {
        RunResult result = result_of(*trainer_, record_);
        result.epochs_here = result.epochs - before_.epoch;
        result.bytes_here = result.bytes - before_.bytes;
        return result;
    }

    /// In the folder, as far as it can be written: the error that ends the run may be that it cannot.
    void tell_failure(const Error& error) noexcept {
        try {
            if (files_) files_->write_status("error", 0, trainer_->progress().epoch, static_cast<int>(error.code()));
        } catch (const std::exception&) {
            return;
        }
    }

    void tell() {
        for (const std::string& warning : warnings_) progress_.note(warning_line(warning));
        warnings_.clear();
    }

    void tell_placement() {
        if (ranks_ == 1 || options_.optimizer != Optimizer::admm || quiet_) return;
        const Placement& placement = trainer_->ranks().placement();
        if (placement == place_layers(options_.placement, trainer_->shape(), ranks_ / options_.node_blocks, {})) return;
        progress_.note("layers were moved, by measured times:\n" +
                       placement_table(placement, trainer_->costs().of(trainer_->shape()),
                                       memory_of_ranks(backend_, data_, placed(options_, placement), ranks_),
                                       options_.node_blocks));
    }

    Backend& backend_;
    const NodeData& data_;
    const RunSettings& settings_;
    Control* control_;
    SolverOptions options_;
    int ranks_;
    bool leads_, quiet_;
    ProgressLine progress_;
    std::unique_ptr<Trainer> trainer_;
    std::unique_ptr<RunFiles> files_;  // where rank 0 has a folder
    Warnings warnings_;
    EpochRecord record_;  // of the newest iteration
    Progress before_;     // what this command began with
    Index saved_ = -1;    // epoch that is safe on disk
};

}  // namespace

RunResult run_training(Backend& backend, const NodeData& data, const RunSettings& settings, RankLinks links) {
    Ranks ranks(backend, links);
    if (links.control) links.control->rest();
    std::optional<RunResult> finished;
    if (ranks.rank() == 0) finished = finished_result(settings);
    if (ranks.share(std::vector<char>{finished.has_value()}, 0).front()) return finished.value_or(RunResult{});
    TrainingRun run(backend, data, settings, links);
    run.open_folder();
    if (const std::optional<RunResult> stopped = run.train()) return *stopped;
    return run.finish();
}

}  // namespace pdadmm
