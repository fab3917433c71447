// Full-batch backpropagation (host/backpropagation/backpropagation.hpp).
#include "host/backpropagation/backpropagation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/network/weights.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

Dropout dropout_of(const SolverOptions& options, int stage, Index first_node) {
    const std::uint64_t key =
        mixed_bits(mixed_bits(options.seed + golden_step) + golden_step * static_cast<std::uint64_t>(stage + 1));
    return {options.dropout, key, 0, first_node};
}

}  // namespace

std::size_t backpropagation_bytes(const Backend& backend, const NodeData& data, const SolverOptions& o, int rank,
                                  int ranks) {
    std::size_t most = 0, before = 0;
    for (const Stage& stage : o.stages) {
        const bool copies = o.stage_from == StageFrom::best && &stage != &o.stages.back();
        const NetworkShape s{stage.layers, data.inputs(), o.hidden, data.classes(), data.train()};
        const GradientPart part = gradient_part(o, s, rank, ranks);
        const std::size_t now = GradientNetwork::bytes(s, o.optimizer, part),
                          copy = copies ? WeightCopy::bytes(s, part.layers, false, false) : 0;
        const std::size_t model =
            static_cast<std::size_t>(GradientNetwork::parameters_of(s, {1, s.layers})) * sizeof(real);
        most = std::max(most, now + std::max(before, copy + gradient_epoch_bytes(o, s, ranks)) +
                                  (backend.name() == "cpu" && rank == 0 ? 2 * model : 0));
        before = now;
    }
    return most + 2 * Evaluator::buffer_bytes(data, o.hidden);
}

Backpropagation::Backpropagation(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : Trainer(backend, data, options, links) {
    if (options.quantize != Quantize::none)
        throw UsageError("--quantize: with backpropagation, expected --optimizer admm; leave it out");
    if (!(options.dropout >= 0 && options.dropout < 1))
        throw UsageError(fmt::format("--dropout: {}, expected 0 or more and less than 1", options.dropout));
    if (options.micro_batches < 1)
        throw UsageError(fmt::format("--micro-batches: {}, expected at least 1", options.micro_batches));
    if (ranks_.several() && options_.divides_nodes() && ranks_.size() > data.train())
        throw UsageError(
            fmt::format("--ranks: {}, expected at most {}, one a training node; use fewer ranks or --parallel pipeline",
                        ranks_.size(), data.train()));
    begin_stage(0);
}

std::unique_ptr<GradientNetwork> Backpropagation::placed_network(int stage) {
    const NetworkShape shape = shape_of(stage);
    ranks_.place(gradient_placement(options_, shape, ranks_.size()));
    return std::make_unique<GradientNetwork>(backend_, shape, options_.optimizer,
                                             gradient_part(options_, shape, ranks_.rank(), ranks_.size()));
}

void Backpropagation::make_first_network() {
    make_empty_network(0);
    const Parameters& w = network_->weights();
    for (int layer = layers().first; layer <= layers().last; ++layer)
        draw_layer(backend_, w.W[static_cast<std::size_t>(layer - 1)], w.b[static_cast<std::size_t>(layer - 1)], layer,
                   options_, 0);
}

void Backpropagation::grow_network(int stage) {
    const Placement before = ranks_.placement();
    auto next = placed_network(stage);
    const Parameters &old = network_->weights(), &w = next->weights();
    const auto carry = [&](int from_layer, int to_layer) {
        const auto from = static_cast<std::size_t>(from_layer - 1), to = static_cast<std::size_t>(to_layer - 1);
        for (const auto& [m, grown] : {std::pair(old.W[from], w.W[to]), std::pair(old.b[from], w.b[to])})
            options_.divides_nodes() ? backend_.copy(m, grown)
                                     : ranks_.move(m, before.owner(from_layer), grown, ranks_.owner(to_layer));
    };
    carry(1, 1);
    grow_layers(backend_, old.shape.layers, w, next->layers(), carry, options_,
                options_.stages[static_cast<std::size_t>(stage)], stage);
    gradient_.reset();
    network_ = std::move(next);
}

void Backpropagation::make_empty_network(int stage) {
    gradient_.reset();
    network_.reset();
    network_ = placed_network(stage);
}

void Backpropagation::prepare_run() {
    const GradientNetwork& net = *network_;
    const Index first_node =
        options_.divides_nodes() ? NodeRange::share(data_.train(), ranks_.rank(), ranks_.size()).first : 0;
    controls_ = {backend_, std::vector<Controls>{{0, 0, static_cast<real>(stage().weight_decay), 0, 0}}};
    history_ = {backend_, run_ahead(), net.layers().count()};
    const UpdateRule rule{options_.optimizer, stage().learning_rate, stage().weight_decay};
    const GradientTask task{data_.X_train(), data_.training_labels(),
                            dropout_of(options_, progress_.stage, first_node)};
    gradient_.reset();
    if (ranks_.several() && options_.divides_nodes())
        gradient_ = std::make_unique<DataParallelEpoch>(backend_, net, task, ranks_);
    if (ranks_.several() && !options_.divides_nodes())
        gradient_ = std::make_unique<PipelineEpoch>(backend_, net, task, ranks_);
    epoch_ = backend_.record([this, &net, task, history = history_.view(), rule] {
        using Array = GradientNetwork::Array;
        if (!gradient_) {
            backend_.count_step(net.step());
            backpropagate(backend_, net, task);
        }
        for (const LayerRange& equal : net.stacks())
            backend_.optimizer_step(rule, net.step(), net.stack(Array::gradient, equal),
                                    net.stack(Array::weights, equal), net.stack(Array::first, equal),
                                    net.stack(Array::second, equal),
                                    net.figures() + (equal.first - net.layers().first));
        backend_.archive(net.figures(), controls_.data(), history);
    });
}

std::vector<LayerFigures> Backpropagation::read_figures(Index count) {
    if (!options_.divides_nodes()) return history_.figures(count, ranks_);
    const auto epochs = static_cast<std::size_t>(count), layers = static_cast<std::size_t>(network_->layers().count());
    std::vector<LayerFigures> own = history_.own_figures(count);
    std::vector<double> risks;  // everything else is the same on all ranks
    for (std::size_t i = 0; i < epochs; ++i) risks.push_back(own[(i + 1) * layers - 1].risk);
    const std::vector<double> all = ranks_.gather(risks);
    for (std::size_t i = 0; i < epochs; ++i) {
        double& risk = own[(i + 1) * layers - 1].risk = 0;
        for (std::size_t at = i; at < all.size(); at += epochs) risk += all[at];
    }
    return own;
}

std::vector<EpochRecord> Backpropagation::run(Index count) {
    const NetworkShape& shape = network_->shape();
    history_.rewind();
    for (Index i = 0; i < count; ++i) {
        if (gradient_) gradient_->run();
        epoch_->run();
    }
    const std::vector<LayerFigures> figures = read_figures(count);
    std::vector<EpochRecord> records(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < figures.size(); ++i) {  // in the order of layers
        EpochRecord& record = records[i / static_cast<std::size_t>(shape.layers)];
        record.risk += figures[i].risk;
        record.objective += stage().weight_decay / 2 * figures[i].weight_sq;
    }
    for (EpochRecord& record : records) {
        record.objective += record.risk / static_cast<double>(shape.nodes);
        record.bytes = gradient_bytes(options_, shape, ranks_.size());
    }
    return records;
}

std::vector<NamedTensor> Backpropagation::state(int layer) {
    const auto i = static_cast<std::size_t>(layer - 1);
    const GradientNetwork& net = *network_;
    std::vector<NamedTensor> tensors = weights(layer);
    for (int m = 0; m < net.memories(); ++m) {
        const std::string name = m == 0 ? "first" : "second";
        tensors.push_back({"W_" + name, net.memory(m).W[i]});
        tensors.push_back({"b_" + name, net.memory(m).b[i]});
    }
    return tensors;
}

std::vector<NamedTensor> Backpropagation::weights(int layer) {
    const auto i = static_cast<std::size_t>(layer - 1);
    return {{"W", network_->weights().W[i]}, {"b", network_->weights().b[i]}};
}

std::vector<double> Backpropagation::scalars() {
    Index step = 0;
    backend_.download(network_->step(), &step, sizeof step);
    return {static_cast<double>(step)};
}
void Backpropagation::restore_scalars(const std::vector<double>& values) {
    const auto step = static_cast<Index>(values[0]);
    backend_.upload(&step, network_->step(), sizeof step);
}

void Backpropagation::report_divergence() {
    throw DivergedError(
        fmt::format("iteration {}: the loss is not finite; try a smaller --learning-rate", progress_.epoch + 1));
}

}  // namespace pdadmm
