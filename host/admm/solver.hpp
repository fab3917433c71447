// pdADMM-G: training of one network by iterations of the algorithm, with the state that makes a resumed run equal an
// uninterrupted one bit for bit.
#pragma once

#include <memory>
#include <span>

#include "host/admm/admm.hpp"
#include "host/admm/calibration.hpp"
#include "host/admm/iteration.hpp"
#include "host/network/network.hpp"
#include "host/train/evaluation.hpp"
#include "host/train/history.hpp"
#include "host/train/trainer.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

class Solver final : public Trainer {
public:
    /// Throws UsageError on options that contradict each other, DeviceError where memory is short. The error of a value
    /// that is not finite names layer and variable.
    Solver(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links = {});

    Network& network() { return *network_; }  // of this rank's layers
    Model model() override {
        return export_model(
            *network_, [this] { return W1(); }, ranks_);
    }
    LayerRange layers() const override { return network_->layers(); }
    std::vector<NamedTensor> state(int layer) override { return network_->state(layer); }
    std::vector<NamedTensor> weights(int layer) override;
    NodeSpaceScalars* weight_scalars() override {
        return network_->node_space() && network_->layers().has(1) ? network_->node_scalars() : nullptr;
    }
    std::vector<std::pair<int, NamedTensor>> halos() override { return network_->halos(); }
    std::vector<double> scalars() override;
    void restore_scalars(const std::vector<double>& values) override;
    std::vector<std::uint64_t> border_bytes() override;
    /// Lays the layers of this stage on ranks in another way; between iterations, on all ranks.
    void place(const Placement& placement);

private:
    Evaluation evaluate_sets(const NodeSets& sets) override {
        return evaluator_.evaluate(
            *network_, [this] { return W1(); }, sets);
    }
    /// W1 of a first layer in node space, formed once for all that look at one iterate.
    CMat W1();
    void make_first_network() override;
    void grow_network(int stage) override;
    void make_empty_network(int stage) override;
    void prepare_run() override { prepare({}); }
    std::vector<EpochRecord> run(Index count) override;
    [[noreturn]] void report_divergence() override;

    /// The features' mean |x - xbar|^2 over all training nodes; 0 without features. Collective over those with them.
    double spread_here();
    /// Places the layers of a stage on ranks, and allocates this one's.
    std::unique_ptr<Network> placed_network(int stage);
    /// Whether every rank has the memory for its part of another network beside what it holds.
    bool fits(const NetworkShape& shape, const Placement& placement);
    /// Everything that run() needs of the present network; `sent` in iterations of this stage so far.
    void prepare(const SentBytes& sent);
    /// Ends the calibration, and places the layers anew where that is worth it.
    void calibrate();
    // Around the iterations that come `ahead` others after this one: what looks on, and the checks between ranks.
    void before_iteration(Index ahead);
    void check_borders(Index ahead);
    /// Number of the iteration `ahead` others after this one, counted from 1 over all stages.
    Index number(Index ahead) const { return progress_.epoch + 1 + ahead; }
    /// The first iteration after `ahead` that has a refresh before it, at most `count`.
    Index until_refresh(Index ahead, Index count) const;
    /// The figure that the schedule watches, on the rank of the last layer.
    const double* watched();
    std::vector<EpochRecord> records(const std::vector<LayerFigures>& figures,
                                     const std::vector<Controls>& penalties) const;
    /// The first variable of this rank's layers that is not finite, "" where all are.
    std::string first_not_finite();

    Buffer<real> levels_;
    Buffer<real> W1_;
    Rules rules_;
    std::unique_ptr<Network> network_;
    RunHistory history_;
    std::unique_ptr<Phase> refresh_;
    std::unique_ptr<Iteration> iteration_;
    Calibration calibration_;
};

/// What training_bytes() is of pdADMM-G.
std::size_t admm_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options, int rank, int ranks);

/// Sums of one iteration over all layers, in layer order whatever the split (design 1).
struct Objective {
    double lagrangian = 0, risk = 0, linear_sq = 0, primal_sq = 0;
};
Objective objective(std::span<const LayerFigures> figures, const Controls& k);

}  // namespace pdadmm
