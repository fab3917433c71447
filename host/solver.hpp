// Training of one network through its growth stages: steps, evaluations, model selection, and the state that makes a
// resumed run equal an uninterrupted one bit for bit.
#pragma once

#include <memory>
#include <optional>

#include "host/admm.hpp"
#include "host/evaluation.hpp"
#include "host/network.hpp"
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
    std::uint64_t bytes = 0;  // sent by a split after every layer
    bool stopped_early = false;
};

class Solver {
public:
    /// Throws UsageError on options that contradict each other, DeviceError where memory is short.
    Solver(Backend& backend, const NodeData& data, const SolverOptions& options);

    bool finished() const;
    /// One iteration; grows first where a stage is over. Throws DivergedError naming layer and variable when a value is no
    /// longer finite.
    EpochRecord step();
    Index total_epochs() const;

    const SolverOptions& options() const { return options_; }
    const Progress& progress() const { return progress_; }
    const std::optional<BestModel>& best() const { return best_; }
    Network& network() { return *network_; }
    /// Accuracies of the present iterate.
    Evaluation evaluate() { return evaluator_.evaluate(*network_); }
    Model model() { return export_model(*network_, data_); }
    const NodeData& data() const { return data_; }
    Backend& backend() const { return backend_; }

    /// Replaces the present network by an empty one of `progress.stage`, whose tensors the caller then fills
    /// (host/run/solver_state.cpp).
    void restore(const Progress& progress);
    void restore_best(BestModel best) { best_ = std::move(best); }

private:
    NetworkShape shape_of(int stage) const;
    NetworkOptions network_options() const;
    const Stage& stage() const { return options_.stages[static_cast<std::size_t>(progress_.stage)]; }
    void begin_stage(int index);
    void judge(EpochRecord& record);
    [[noreturn]] void report_divergence();

    Backend& backend_;
    const NodeData& data_;
    SolverOptions options_;
    Buffer<real> levels_;
    Rules rules_;
    Evaluator evaluator_;
    std::unique_ptr<Network> network_;
    Progress progress_;
    std::optional<BestModel> best_;
};

/// Sums of one iteration over all layers, in layer order whatever the split (design 1).
struct Objective {
    double lagrangian = 0, risk = 0, linear_sq = 0, primal_sq = 0;
};
Objective objective(const std::vector<LayerFigures>& figures, const Controls& k);

/// `count` evenly spaced levels from lo to hi, the last one exactly hi (numpy's linspace).
std::vector<double> uniform_levels(double lo, double hi, int count);

/// Bytes of one (n x N) message under `quantizer`: packed codes, and one scale a message for codec difference.
std::uint64_t message_bytes(Index elements, const Quantizer& quantizer);
/// Bits on the wire of one of `levels` values: 2, 4, 8 or 16. Throws UsageError above 65536.
int wire_bits(std::size_t levels);

}  // namespace pdadmm
