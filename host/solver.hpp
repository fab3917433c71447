// Training of one network through its growth stages: steps, evaluations, model selection, and the state that makes a
// resumed run equal an uninterrupted one bit for bit.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "host/admm.hpp"
#include "host/evaluation.hpp"
#include "host/network.hpp"
#include "host/ranks/ranked_iteration.hpp"
#include "pdadmm/solver.hpp"

namespace pdadmm {

/// The model with the best validation accuracy of the last stage, at its earliest evaluation.
struct BestModel {
    Index epoch = 0;
    Evaluation evaluation;
    Model model;
};

/// Counters that belong to a checkpoint beside the network's tensors.
struct Progress {
    int stage = 0;            // index of the running stage
    Index stage_epoch = 0;    // iterations done in it
    Index epoch = 0;          // iterations done in all
    int since_best = 0;       // evaluations without a better one
    double seconds = 0;       // spent in iterations
    std::uint64_t bytes = 0;  // as in EpochRecord
    bool stopped_early = false;
};

class Solver {
public:
    /// Throws UsageError on options that contradict each other, DeviceError where memory is short. With `links` to other ranks
    /// this is one of them: all make their solver with the same options and call the same functions in the same order.
    Solver(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links = {});

    bool finished() const;
    /// Up to `most` iterations, at least one: as many as the backend may queue before the host waits for figures, and none
    /// beyond an evaluation or the end of a stage; grows first where a stage is over. Throws DivergedError naming layer and
    /// variable when a value is no longer finite.
    std::vector<EpochRecord> advance(Index most);
    EpochRecord step() { return advance(1).front(); }

    const SolverOptions& options() const { return options_; }
    const Progress& progress() const { return progress_; }
    const std::optional<BestModel>& best() const { return best_; }
    Network& network() { return *network_; }  // of this rank's layers
    Ranks& ranks() { return ranks_; }
    /// Accuracies of the present iterate.
    Evaluation evaluate() { return evaluator_.evaluate(*network_); }
    Model model() { return export_model(*network_, data_, ranks_); }  // complete on rank 0
    const NodeData& data() const { return data_; }
    Backend& backend() const { return backend_; }

    /// Replaces the present network by an empty one of `progress.stage`, whose tensors the caller then fills
    /// (host/run/solver_state.cpp).
    void restore(const Progress& progress);
    void restore_best(BestModel best) { best_ = std::move(best); }

private:
    NetworkShape shape_of(int stage) const;
    const Stage& stage() const { return options_.stages[static_cast<std::size_t>(progress_.stage)]; }
    void begin_stage(int index);
    void prepare_phases();
    Index queued(Index most) const;
    void judge(EpochRecord& record);
    void iterate_once();
    /// The figure that the schedule watches, on the rank of the last layer.
    const double* watched();
    /// The first variable of this rank's layers that is not finite, "" where all are.
    std::string first_not_finite();
    std::vector<LayerFigures> read_figures(Index count);
    [[noreturn]] void report_divergence();

    Backend& backend_;
    const NodeData& data_;
    SolverOptions options_;
    Buffer<real> levels_;
    Rules rules_;
    Ranks ranks_;
    Evaluator evaluator_;
    std::unique_ptr<Network> network_;
    Buffer<LayerFigures> history_figures_;
    Buffer<Controls> history_controls_;
    Buffer<Index> history_position_;
    std::unique_ptr<Phase> refresh_, iteration_;  // with several ranks iteration_ is what follows ranked_
    std::unique_ptr<RankedIteration> ranked_;
    std::unique_ptr<FusedIterations> fused_;
    double seconds_each_ = 0;  // of an iteration of this stage, as last measured; 0: not yet
    bool diverged_ = false;    // the next iteration to be reported is not finite
    Progress progress_;
    std::optional<BestModel> best_;
};

/// Iterations of all stages.
Index total_epochs(const SolverOptions& options);

/// Bytes of backend memory that a run takes at most at once: a growth stage's network with the one it grows from, evaluation,
/// and copies of the weights that are written; on one of `ranks` ranks.
std::size_t training_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options, int rank = 0, int ranks = 1);

/// Sums of one iteration over all layers, in layer order whatever the split (design 1).
struct Objective {
    double lagrangian = 0, risk = 0, linear_sq = 0, primal_sq = 0;
};
Objective objective(std::span<const LayerFigures> figures, const Controls& k);

/// `count` evenly spaced levels from lo to hi, the last one exactly hi (numpy's linspace).
std::vector<double> uniform_levels(double lo, double hi, int count);

/// Bits on the wire of one of `levels` values: 2, 4, 8 or 16. Throws UsageError above 65536.
int wire_bits(std::size_t levels);

}  // namespace pdadmm
