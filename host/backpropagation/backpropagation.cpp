// Full-batch backpropagation (host/backpropagation/backpropagation.hpp).
#include "host/backpropagation/backpropagation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "host/network/weights.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

Dropout dropout_of(const SolverOptions& options, int stage, Index first_node) {
    const std::uint64_t key =
        mixed_bits(mixed_bits(options.seed + golden_step) + golden_step * static_cast<std::uint64_t>(stage + 1));
    return {options.dropout, key, 0, first_node};
}

/// Throws UsageError unless so many workers can go by the rule.
void check_workers(const WorkerRule& rule, Parallel form, int ranks) {
    if (rule.every < 1) throw UsageError(fmt::format("--exchange-every: {}, expected at least 1", rule.every));
    if (!(rule.pull >= 0 && rule.pull <= 1)) throw UsageError(fmt::format("--pull: {}, expected 0 to 1", rule.pull));
    if (form == Parallel::elastic) return;
    if (rule.groups < 1 || rule.groups > ranks)
        throw UsageError(fmt::format("--groups: {}, expected 1 to {}, the number of --ranks", rule.groups, ranks));
    if (rule.of_all < 0 || rule.of_all % rule.every != 0)
        throw UsageError(fmt::format("--exchange-all-every: {}, expected a multiple of --exchange-every {}",
                                     rule.of_all, rule.every));
}

}  // namespace

std::size_t backpropagation_bytes(const Backend& backend, const NodeData& data, const SolverOptions& o, int rank,
                                  int ranks) {
    std::size_t most = 0, before = 0, by_graph = 0;
    for (const Stage& stage : o.stages) {
        const bool copies = o.stage_from == StageFrom::best && &stage != &o.stages.back();
        const NetworkShape s = stage_shape(o, data, static_cast<std::size_t>(&stage - o.stages.data()));
        const GradientPart part = gradient_part(o, s, rank, ranks);
        const std::size_t now = GradientNetwork::bytes(s, o.optimizer, part),
                          copy = copies ? WeightCopy::bytes(s, part.layers, false, false) : 0;
        const std::size_t model =
            static_cast<std::size_t>(GradientNetwork::parameters_of(s, {1, s.layers})) * sizeof(real);
        most = std::max(most, now + std::max(before, copy + gradient_epoch_bytes(o, s, rank, ranks)) +
                                  (backend.name() == "cpu" && rank == 0 ? 2 * model : 0));
        before = now;
        if (s.graph_entries > 0 && part.layers.has(1)) by_graph = data.by_graph_bytes(o.hidden);
    }
    return most + by_graph + 2 * Evaluator::buffer_bytes(data, o.hidden);
}

Backpropagation::Backpropagation(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : Trainer(backend, data, options, links) {
    if (options.quantize != Quantize::none)
        throw UsageError("--quantize: with backpropagation, expected --optimizer admm; leave it out");
    if (!(options.dropout >= 0 && options.dropout < 1))
        throw UsageError(fmt::format("--dropout: {}, expected 0 or more and less than 1", options.dropout));
    if (!(options.momentum >= 0 && options.momentum < 1))
        throw UsageError(fmt::format("--momentum: {}, expected 0 or more and less than 1", options.momentum));
    if (options.micro_batches < 1)
        throw UsageError(fmt::format("--micro-batches: {}, expected at least 1", options.micro_batches));
    if (options_.has_workers() && ranks_.size() > data.train())
        throw UsageError(
            fmt::format("--ranks: {}, expected at most {}, one a training node; use fewer ranks or --parallel pipeline",
                        ranks_.size(), data.train()));
    if (options_.has_workers()) check_workers(options_.workers, options_.parallel, ranks_.size());
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
    const Parameters &old = model_weights(), &w = next->weights();
    const auto carry = [&](int from_layer, int to_layer) {
        const auto from = static_cast<std::size_t>(from_layer - 1), to = static_cast<std::size_t>(to_layer - 1);
        for (const auto& [m, grown] : {std::pair(old.W[from], w.W[to]), std::pair(old.b[from], w.b[to])})
            options_.has_workers()
                ? backend_.copy(m, grown)
                : ranks_.move(m, ranks_.rank_of(before.owner(from_layer)), grown, ranks_.owner(to_layer));
    };
    carry(1, 1);
    grow_layers(backend_, old.shape.layers, w, next->layers(), carry, options_,
                options_.stages[static_cast<std::size_t>(stage)], stage);
    leave_network();
    network_ = std::move(next);
}

void Backpropagation::make_empty_network(int stage) {
    leave_network();
    network_.reset();
    network_ = placed_network(stage);
}

void Backpropagation::leave_network() {
    gradient_.reset();
    sums_.reset();
    workers_.reset();
}

void Backpropagation::prepare_run() {
    const GradientNetwork& net = *network_;
    controls_ = {backend_, std::vector<Controls>{{0, 0, static_cast<real>(stage().weight_decay), 0, 0}}};
    history_ = {backend_, run_ahead(), net.figure_count()};
    const UpdateRule rule{options_.optimizer, stage().learning_rate, stage().weight_decay, options_.momentum,
                          options_.rate_schedule == RateSchedule::cosine ? stage().epochs : 0};
    GradientTask task{data_.X_train(), data_.training_labels(),
                      dropout_of(options_, progress_.stage, data_.first_node())};
    if (net.shape().graph_entries > 0 && net.layers().has(1)) task.by_graph = data_.by_graph(backend_, options_.hidden);
    leave_network();
    if (ranks_.several() && options_.has_workers())
        workers_ = std::make_unique<Workers>(backend_, net, data_, task.dropout, options_, ranks_);
    else if (ranks_.several())
        gradient_ = std::make_unique<GradientEpoch>(backend_, net, task, ranks_);
    else
        sums_ = std::make_unique<GradientSums>(backend_, net, ranks_);
    epoch_ = backend_.record([this, &net, task, history = history_.view(), rule] {
        using Array = GradientNetwork::Array;
        if (sums_) {
            backend_.count_step(net.step());
            backpropagate(backend_, net, task);
            for (std::size_t bucket = 0; bucket < net.buckets().size(); ++bucket) sums_->add(bucket);
            sums_->finish();
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
    const auto layers = static_cast<std::size_t>(network_->layers().count()),
               each = static_cast<std::size_t>(network_->figure_count()), epochs = static_cast<std::size_t>(count);
    const std::vector<LayerFigures> kept = history_.own_figures(count);
    std::vector<LayerFigures> own;
    for (std::size_t i = 0; i < epochs; ++i)
        own.insert(own.end(), kept.begin() + static_cast<std::ptrdiff_t>(i * each),
                   kept.begin() + static_cast<std::ptrdiff_t>(i * each + layers));
    if (network_->layers().has(network_->shape().layers)) {
        std::vector<double> risks;  // of a range in all epochs, then of the next
        for (std::size_t at = layers - 1; at < each; ++at)
            for (std::size_t i = 0; i < epochs; ++i) risks.push_back(kept[i * each + at].risk);
        ranks_.add_over_nodes(risks, count);
        for (std::size_t i = 0; i < epochs; ++i) own[(i + 1) * layers - 1].risk = risks[i];
    }
    return ranks_.gather(std::move(own), count);
}

std::vector<LayerFigures> Backpropagation::worker_figures(Index first, Index count) {
    const auto layers = static_cast<std::size_t>(network_->layers().count()),
               ranks = static_cast<std::size_t>(ranks_.size());
    std::vector<LayerFigures> own = history_.own_figures(count);
    std::vector<double> values;  // an epoch after the other; all else is the same on all ranks, or of no meaning
    for (std::size_t i = 0; i < own.size(); i += layers) {
        values.push_back(own[i + layers - 1].risk);
        for (std::size_t l = 0; l < layers; ++l) values.push_back(own[i + l].weight_sq);
    }
    const std::vector<double> all = ranks_.gather(values);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        std::vector<double> risks(ranks), squares(layers);
        for (std::size_t rank = 0; rank < ranks; ++rank) {
            const double* of_rank = &all[rank * values.size() + i * (1 + layers)];
            risks[rank] = of_rank[0];
            for (std::size_t l = 0; l < layers; ++l) squares[l] += of_rank[1 + l];
        }
        own[(i + 1) * layers - 1].risk = std::accumulate(risks.begin(), risks.end(), 0.0);
        workers_->count(first + static_cast<Index>(i), risks);
        for (std::size_t l = 0; l < layers; ++l)
            own[i * layers + l].weight_sq = squares[l] / static_cast<double>(ranks);
    }
    return own;
}

std::vector<EpochRecord> Backpropagation::run(Index count) {
    std::vector<EpochRecord> records;
    while (static_cast<Index>(records.size()) < count) {
        const Index done = static_cast<Index>(records.size()), first = progress_.stage_epoch + done,
                    queued = workers_ ? std::min(count - done, workers_->until_exchange(first)) : count;
        history_.rewind();
        for (Index i = 0; i < queued; ++i) {
            if (workers_) workers_->run(first + i);
            if (gradient_) gradient_->run();
            epoch_->run();
        }
        add_records(first, workers_ ? worker_figures(first, queued) : read_figures(queued), records);
        if (workers_) workers_->exchange(first + queued);
    }
    return records;
}

void Backpropagation::add_records(Index first, const std::vector<LayerFigures>& figures,
                                  std::vector<EpochRecord>& records) const {
    const NetworkShape& shape = network_->shape();
    const auto layers = static_cast<std::size_t>(shape.layers);
    for (std::size_t i = 0; i < figures.size(); i += layers) {
        EpochRecord record;
        for (std::size_t l = 0; l < layers; ++l) {  // in the order of layers
            record.risk += figures[i + l].risk;
            if (decays_in_gradient(options_.optimizer))
                record.objective += stage().weight_decay / 2 * figures[i + l].weight_sq;
        }
        record.objective += record.risk / static_cast<double>(shape.nodes);
        record.bytes = gradient_bytes(options_, shape, ranks_.size(), first + static_cast<Index>(i / layers) + 1);
        records.push_back(record);
    }
}

std::vector<NamedTensor> Backpropagation::state(int layer) {
    const auto i = static_cast<std::size_t>(layer - 1);
    const GradientNetwork& net = *network_;
    std::vector<NamedTensor> tensors = weights(layer);
    const auto add = [&](const std::string& name, const Parameters& p, int rank) {
        Mat W = p.W[i], b = p.b[i];
        if (rank >= 0 && rank != ranks_.rank()) W.data = b.data = nullptr;
        tensors.push_back({"W_" + name, W, rank});
        tensors.push_back({"b_" + name, b, rank});
    };
    for (int rank = workers_ ? 0 : -1; rank < (workers_ ? ranks_.size() : 0); ++rank) {
        const std::string of_rank = workers_ ? fmt::format("_of_{}", rank) : "";
        if (workers_) add("worker" + of_rank, net.weights(), rank);
        for (int m = 0; m < net.memories(); ++m) add((m == 0 ? "first" : "second") + of_rank, net.memory(m), rank);
    }
    return tensors;
}

std::vector<NamedTensor> Backpropagation::weights(int layer) {
    const auto i = static_cast<std::size_t>(layer - 1);
    return {{"W", model_weights().W[i]}, {"b", model_weights().b[i]}};
}

std::vector<double> Backpropagation::scalars() {
    Index step = 0;
    backend_.download(network_->step(), &step, sizeof step);
    std::vector<double> values{static_cast<double>(step)};
    if (workers_)
        for (const double loss : workers_->losses()) values.push_back(loss);
    return values;
}
void Backpropagation::restore_scalars(const std::vector<double>& values) {
    const auto step = static_cast<Index>(values[0]);
    backend_.upload(&step, network_->step(), sizeof step);
    if (workers_) workers_->restore_losses(std::span(values).subspan(1));
}

void Backpropagation::report_divergence() {
    throw DivergedError(
        fmt::format("iteration {}: the loss is not finite; try a smaller --learning-rate", progress_.epoch + 1));
}

}  // namespace pdadmm
