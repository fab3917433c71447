// Training by full-batch backpropagation and gradient descent, Adadelta, Adagrad or Adam: what pdADMM-G is compared with, on the
// same network, data and backends.
//
// The loss is the mean cross entropy over training nodes (torch's CrossEntropyLoss, for which the paper's learning rates are
// of a usual size), with weight_decay / 2 times the squares of all weights and biases, as torch's optimizers have it.
#pragma once

#include <memory>

#include "host/trainer.hpp"

namespace pdadmm {

/// Weights, their gradient and the optimizer's memory, each one contiguous array over all layers, so that a step is one pass.
class GradientNetwork {
public:
    /// All weights and memory are zero. Throws DeviceError where backend memory is short, before anything is taken.
    GradientNetwork(Backend& backend, const NetworkShape& shape, Optimizer optimizer);
    static std::size_t bytes(const NetworkShape& shape, Optimizer optimizer);

    const NetworkShape& shape() const { return shape_; }
    const Parameters& weights() const { return parts_[0]; }
    const Parameters& gradient() const { return parts_[1]; }
    /// As far as the optimizer has it: see update_parameter (pdadmm/math.hpp).
    int memories() const { return static_cast<int>(parts_.size()) - 2; }
    const Parameters& memory(int which) const { return parts_[static_cast<std::size_t>(2 + which)]; }
    enum class Part : std::size_t { weights, gradient, first, second };
    /// All layers of a part as one matrix, with zeros between them; no data where the optimizer has no such part.
    Mat flat(Part part) const;
    /// Outputs of a layer (rows of the layer, N); of the last one the logits, and then their gradient.
    Mat activation(int layer) const;
    /// The gradient by what a layer l < L adds its bias to; shares memory with that of every second layer.
    Mat activation_gradient(int layer) const;
    Index* step() const { return step_.data(); }
    LayerFigures* figures() const { return figures_.data(); }

private:
    NetworkShape shape_;
    std::vector<Buffer<real>> arrays_;
    std::vector<Parameters> parts_;
    Buffer<real> activations_, logits_, even_, odd_;
    Buffer<Index> step_;
    Buffer<LayerFigures> figures_;
};

/// One epoch's gradient at the present weights, and figures().risk: 3 products a layer, 2 in the first.
void backpropagate(Backend& backend, const GradientNetwork& net, CMat X, const std::int32_t* labels, Dropout dropout);

class Backpropagation final : public Trainer {
public:
    /// Throws UsageError on options that belong to pdADMM-G and on several ranks, DeviceError where memory is short.
    Backpropagation(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links = {});

    Evaluation evaluate() override { return evaluator_.evaluate(network_->weights()); }
    Model model() override { return export_model(backend_, network_->weights()); }
    std::vector<NamedTensor> state(int layer) override;
    std::vector<double> scalars() override;
    void restore_scalars(const std::vector<double>& values) override;
    const GradientNetwork& network() const { return *network_; }

private:
    void make_first_network() override;
    void grow_network(int stage) override;
    void make_empty_network(int stage) override;
    void prepare_run() override;
    std::vector<EpochRecord> run(Index count) override;
    [[noreturn]] void report_divergence() override;

    std::unique_ptr<GradientNetwork> network_;
    Buffer<LayerFigures> history_figures_;
    Buffer<Controls> controls_, history_controls_;
    Buffer<Index> history_position_;
    std::unique_ptr<Phase> epoch_;
};

/// What training_bytes() is of backpropagation.
std::size_t backpropagation_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options);

}  // namespace pdadmm
