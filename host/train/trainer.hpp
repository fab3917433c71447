// What every way of training is to a run: stages, epochs, evaluations, the best model, and the state of a checkpoint.
#pragma once

#include <memory>
#include <optional>

#include "host/network/network.hpp"
#include "host/ranks/placement.hpp"
#include "host/ranks/ranks.hpp"
#include "host/trace/recorder.hpp"
#include "host/train/evaluation.hpp"
#include "host/train/stopping.hpp"
#include "host/train/weight_copy.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// The model with the best validation figure (SolverOptions::metric) of any stage or of the last one
/// (SolverOptions::best_of), at its earliest evaluation.
struct BestModel {
    Index epoch = 0;
    int stage = 0;
    Evaluation evaluation;
    Model model;
};

/// Counters that belong to a checkpoint beside the network's tensors.
struct Progress {
    int stage = 0;               // index of the running stage
    Index stage_epoch = 0;       // iterations done in it
    Index epoch = 0;             // iterations done in all
    StageWatch watch;            // of the running stage
    double seconds = 0;          // spent in iterations
    double setup_seconds = 0;    // and before them, as in EpochRecord
    std::uint64_t bytes = 0;     // as in EpochRecord
    bool stopped_early = false;  // the running stage, by its watch
};

/// Of the network of one growth stage.
NetworkShape stage_shape(const SolverOptions& options, const NodeData& data, std::size_t stage);

class Trainer {
public:
    virtual ~Trainer() = default;
    Trainer(const Trainer&) = delete;
    Trainer& operator=(const Trainer&) = delete;

    bool last_stage() const { return progress_.stage + 1 == static_cast<int>(options_.stages.size()); }
    /// The running stage has ended, by its watch or by its number of iterations.
    bool stage_over() const { return progress_.stopped_early || progress_.stage_epoch >= stage().epochs; }
    bool finished() const;
    /// Iterations of all stages, if none of those to come ends early.
    Index most_epochs() const;
    /// Up to `most` iterations, at least one: as many as the backend may queue before the host waits for figures, and
    /// none beyond an evaluation or the end of a stage; grows first where a stage is over. Throws DivergedError, on all
    /// ranks alike, where a value is no longer finite.
    std::vector<EpochRecord> advance(Index most);
    EpochRecord step() { return advance(1).front(); }

    const SolverOptions& options() const { return options_; }
    const Progress& progress() const { return progress_; }
    const std::optional<BestModel>& best() const { return best_; }
    /// Accuracies of the present iterate.
    Evaluation evaluate() { return evaluate_sets(all_sets); }
    virtual Model model() = 0;  // complete on rank 0
    const NodeData& data() const { return data_; }
    Backend& backend() const { return backend_; }
    Ranks& ranks() { return ranks_; }
    /// What placement goes by: counted, and in seconds once measured.
    const CostModel& costs() const { return costs_; }
    /// None where nothing is recorded.
    Recorder* recorder() const { return recorder_.get(); }
    /// Bytes that an iteration of the present stage has sent over each border between ranks, in both directions, as
    /// counted at the transport since training began or went on. Collective; empty where there is no border, or no
    /// iteration yet.
    virtual std::vector<std::uint64_t> border_bytes() { return {}; }

    // Checkpoints (host/run/trainer_state.cpp).
    NetworkShape shape() const { return shape_of(progress_.stage); }
    /// Those of this rank.
    virtual LayerRange layers() const { return {1, shape().layers}; }
    /// Everything that a checkpoint must hold of one layer, in a fixed order; of another rank's only names and shapes.
    virtual std::vector<NamedTensor> state(int layer) = 0;
    /// What growth takes of a layer, likewise.
    virtual std::vector<NamedTensor> weights(int layer) = 0;
    /// Those of the first layer in node space, where it is; else null.
    virtual NodeSpaceScalars* weight_scalars() { return nullptr; }
    /// The weights of this stage's best evaluation so far; null where there is none, or the next stage does not grow
    /// from them.
    WeightCopy* best_weights() { return progress_.watch.best ? best_weights_.get() : nullptr; }
    /// What this rank keeps a copy of, of layers of other ranks.
    virtual std::vector<std::pair<int, NamedTensor>> halos() { return {}; }
    /// The numbers that it must hold beside the tensors, complete on rank 0; restore_scalars() comes after the tensors
    /// were filled.
    virtual std::vector<double> scalars() = 0;
    virtual void restore_scalars(const std::vector<double>& values) = 0;
    /// Replaces the present network by an empty one of `progress.stage`, whose tensors the caller then fills.
    void restore(const Progress& progress);
    void restore_best(BestModel best) { best_ = std::move(best); }

protected:
    /// With `links` to other ranks this is one of them: all make their trainer with the same options and call the same
    /// functions in the same order. Throws UsageError where that many ranks cannot be.
    Trainer(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links);

    virtual Evaluation evaluate_sets(const NodeSets& sets) = 0;

    // What differs between ways of training. The first three replace the network, which is then prepared for run().
    virtual void make_first_network() = 0;
    virtual void grow_network(int stage) = 0;
    virtual void make_empty_network(int stage) = 0;
    virtual void prepare_run() = 0;
    /// `count` iterations, on every rank: objective, residuals, penalties and bytes of each, as far as there are such.
    virtual std::vector<EpochRecord> run(Index count) = 0;
    /// The next iteration to be reported is not finite.
    [[noreturn]] virtual void report_divergence() = 0;

    void begin_stage(int index);
    /// After layers moved from where `before` had them.
    void move_best_weights(const Placement& before);
    NetworkShape shape_of(int stage) const { return stage_shape(options_, data_, static_cast<std::size_t>(stage)); }
    /// The most iterations that run() is asked for at once.
    Index run_ahead() const;
    const Stage& stage() const { return options_.stages[static_cast<std::size_t>(progress_.stage)]; }

    Backend& backend_;
    const NodeData& data_;
    SolverOptions options_;
    Ranks ranks_;
    CostModel costs_;
    Evaluator evaluator_;
    Progress progress_;
    std::unique_ptr<Recorder> recorder_;

private:
    /// Cadence and preparation of the running stage, whose network is made.
    void enter_stage();
    /// How many of `most` iterations may be queued now; the same on all ranks.
    Index queued(Index most) const;
    /// After the last of some iterations: evaluates where it is time to, keeps the best model, and decides whether the
    /// stage ends. Ranks share the evaluation, and so the decision.
    void judge(EpochRecord& record);

    std::optional<BestModel> best_;
    std::unique_ptr<WeightCopy> best_weights_;
    Index eval_period_ = 1;    // iterations of this stage between evaluations
    double setup_ = 0;         // seconds, that no iteration has yet
    double seconds_each_ = 0;  // of an iteration of this stage, as last measured; 0: not yet
    bool diverged_ = false;    // the next iteration to be reported is not finite
};

/// Throws UsageError unless `ranks` ranks can train by these options.
void require_ranks(const SolverOptions& options, int ranks);

/// Iterations of all stages, where none ends early.
Index total_epochs(const SolverOptions& options);

}  // namespace pdadmm
