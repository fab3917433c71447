// Training by full-batch backpropagation and gradient descent or one of its relatives (pdadmm/gradients.hpp): what
// pdADMM-G is compared with, on the same network, data and backends, and on as many ranks
// (host/backpropagation/gradient_epoch.hpp).
//
// The loss is the mean cross entropy over training nodes (torch's CrossEntropyLoss, for which the paper's learning
// rates are of a usual size), with weight_decay / 2 times the squares of all weights and biases, as torch's optimizers
// have it. AdamW's decay is a step of its own, so it is not in the loss.
#pragma once

#include <memory>

#include "host/backpropagation/gradient_epoch.hpp"
#include "host/backpropagation/gradient_part.hpp"
#include "host/backpropagation/workers.hpp"
#include "host/train/history.hpp"
#include "host/train/trainer.hpp"

namespace pdadmm {

class Backpropagation final : public Trainer {
public:
    /// `data` as rank_data() makes it. Throws UsageError on options that belong to pdADMM-G and on more workers than
    /// nodes, DeviceError where memory is short.
    Backpropagation(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links = {});

    Model model() override { return export_model(model_weights(), ranks_); }
    LayerRange layers() const override { return network_->layers(); }
    std::vector<NamedTensor> state(int layer) override;
    std::vector<NamedTensor> weights(int layer) override;
    std::vector<double> scalars() override;
    void restore_scalars(const std::vector<double>& values) override;
    const GradientNetwork& network() const { return *network_; }

private:
    Evaluation evaluate_sets(const NodeSets& sets) override {
        return evaluator_.evaluate(model_weights(), network_->layers(), sets);
    }
    void make_first_network() override;
    void grow_network(int stage) override;
    void make_empty_network(int stage) override;
    void prepare_run() override;
    std::vector<EpochRecord> run(Index count) override;
    [[noreturn]] void report_divergence() override;

    /// Places the layers of a stage on ranks, and allocates this one's.
    std::unique_ptr<GradientNetwork> placed_network(int stage);
    /// Before the network goes: what is prepared for it.
    void leave_network();
    /// What is evaluated, kept and grown from: with workers what they agree on, else the weights.
    const Parameters& model_weights() const { return workers_ ? workers_->model() : network_->weights(); }
    /// Of the last `count` epochs: all layers of one after those of another, on every rank.
    std::vector<LayerFigures> read_figures(Index count);
    /// The same of workers; the first epoch was number `first` of the stage, from 0.
    std::vector<LayerFigures> worker_figures(Index first, Index count);
    /// Adds the records of epochs, the first of which was number `first`.
    void add_records(Index first, const std::vector<LayerFigures>& figures, std::vector<EpochRecord>& records) const;

    std::unique_ptr<GradientNetwork> network_;
    RunHistory history_;
    Buffer<Controls> controls_;
    std::unique_ptr<GradientEpoch> gradient_;  // of several ranks; on one it is part of epoch_, with sums_
    std::unique_ptr<GradientSums> sums_;
    std::unique_ptr<Workers> workers_;  // in their place, where there are any
    std::unique_ptr<Phase> epoch_;
};

/// What training_bytes() is of backpropagation.
std::size_t backpropagation_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options, int rank,
                                  int ranks);

}  // namespace pdadmm
