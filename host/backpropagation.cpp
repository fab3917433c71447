// Full-batch backpropagation (host/backpropagation.hpp).
// Shapes: W (n, m)  b d (n, 1)  A g (n, N); the first layer reads X (n0, N), so its input needs no gradient.
#include "host/backpropagation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/initialise.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index part_alignment = 64;  // reals: a matrix of any layer begins where products and passes are fastest
constexpr Index flat_rows = 1024;

Index rounded_up(Index value, Index to) { return (value + to - 1) / to * to; }
Index padded_size(const NetworkShape& s) {
    Index total = 0;
    for (int layer = 1; layer <= s.layers; ++layer)
        total += rounded_up(s.rows(layer) * s.cols(layer), part_alignment) + rounded_up(s.rows(layer), part_alignment);
    return rounded_up(total, flat_rows);
}
int memories_of(Optimizer optimizer) { return optimizer == Optimizer::gd ? 0 : optimizer == Optimizer::adagrad ? 1 : 2; }

Parameters laid_out(const NetworkShape& s, real* at) {
    Parameters p{s, {}, {}};
    for (int layer = 1; layer <= s.layers; ++layer) {
        const Index rows = s.rows(layer), cols = s.cols(layer);
        p.W.push_back({at, rows, cols, rows, 1, rows * cols});
        at += rounded_up(rows * cols, part_alignment);
        p.b.push_back({at, rows, 1, rows, 1, rows});
        at += rounded_up(rows, part_alignment);
    }
    return p;
}

Dropout dropout_of(const SolverOptions& options, int stage) {
    return {options.dropout, mixed_bits(mixed_bits(options.seed + golden_step) + golden_step * static_cast<std::uint64_t>(stage + 1)), 0};
}

}  // namespace

std::size_t GradientNetwork::bytes(const NetworkShape& s, Optimizer optimizer) {
    const Index reals = (2 + memories_of(optimizer)) * padded_size(s) + (s.layers + 1) * s.hidden * s.nodes + s.classes * s.nodes;
    return static_cast<std::size_t>(reals) * sizeof(real);
}

GradientNetwork::GradientNetwork(Backend& backend, const NetworkShape& shape, Optimizer optimizer) : shape_(shape) {
    const std::size_t need = bytes(shape, optimizer), available = backend.free_memory();
    if (need > available)
        throw DeviceError(fmt::format("memory of the {} backend: {:.2f} GiB free, expected {:.2f} GiB for {} layers of {} neurons on {} nodes; use fewer layers, "
                                      "neurons or nodes",
                                      backend.name(), static_cast<double>(available) / (1 << 30), static_cast<double>(need) / (1 << 30), shape.layers, shape.hidden,
                                      shape.nodes));
    const Index total = padded_size(shape), A = shape.hidden * shape.nodes;
    for (int part = 0; part < 2 + memories_of(optimizer); ++part) {
        arrays_.emplace_back(backend, total);
        backend.zero(arrays_.back().data(), static_cast<std::size_t>(total) * sizeof(real));
        parts_.push_back(laid_out(shape, arrays_.back().data()));
    }
    activations_ = {backend, (shape.layers - 1) * A};
    logits_ = {backend, shape.classes * shape.nodes};
    even_ = {backend, A};
    odd_ = {backend, A};
    step_ = {backend, 1};
    backend.zero(step_.data(), sizeof(Index));
    figures_ = {backend, 1};
    backend.zero(figures_.data(), sizeof(LayerFigures));
}

Mat GradientNetwork::flat(Part part) const {
    const auto which = static_cast<std::size_t>(part);
    if (which >= arrays_.size()) return {};
    return {arrays_[which].data(), flat_rows, arrays_[which].count() / flat_rows, flat_rows};
}
Mat GradientNetwork::activation(int layer) const {
    const Index n = shape_.rows(layer);
    return {layer == shape_.layers ? logits_.data() : activations_.data() + (layer - 1) * n * shape_.nodes, n, shape_.nodes, n};
}
Mat GradientNetwork::activation_gradient(int layer) const {
    const Index n = shape_.hidden;
    return {(layer % 2 == 0 ? even_ : odd_).data(), n, shape_.nodes, n};
}

void backpropagate(Backend& be, const GradientNetwork& net, CMat X, const std::int32_t* labels, Dropout dropout) {
    const int L = net.shape().layers;
    const Parameters &w = net.weights(), &gradient = net.gradient();
    const auto of = [](const std::vector<Mat>& parts, int layer) { return parts[static_cast<std::size_t>(layer - 1)]; };
    const auto input = [&](int layer) { return layer == 1 ? X : CMat(net.activation(layer - 1)); };

    for (int layer = 1; layer <= L; ++layer) {
        const Mat A = net.activation(layer);
        be.gemm(Trans::no, Trans::no, 1, of(w.W, layer), input(layer), 0, A, Precision::working);  // A = W A_prev        2nmN flops
        dropout.layer = layer;
        if (layer < L && dropout.rate > 0)
            be.dropped_activation(of(w.b, layer), dropout, net.step(), A);                         // A = drop f(A + b)   reads nN writes nN
        else
            be.add_bias(of(w.b, layer), layer == L, A);                                            // A = f(A + b)        reads nN writes nN
    }
    be.softmax_gradient(labels, 1 / static_cast<double>(net.shape().nodes), net.activation(L), net.figures());
    for (int layer = L; layer >= 1; --layer) {
        const Mat g = layer == L ? net.activation(L) : net.activation_gradient(layer);
        const CMat A = layer == L ? CMat{} : CMat(net.activation(layer));
        be.activation_gradient(A, dropout_scale(dropout.rate), g, of(gradient.b, layer));                                   // g = g f'(A), d = rows' sums
        be.gemm(Trans::no, Trans::yes, 1, g, input(layer), 0, of(gradient.W, layer), Precision::working);                   // G = g A_prev'   2nmN flops
        if (layer > 1) be.gemm(Trans::yes, Trans::no, 1, of(w.W, layer), g, 0, net.activation_gradient(layer - 1), Precision::working);  // W' g  2nmN flops
    }
}

std::size_t backpropagation_bytes(const Backend& backend, const NodeData& data, const SolverOptions& o) {
    std::size_t most = 0, before = 0;
    for (const Stage& stage : o.stages) {
        const NetworkShape s{stage.layers, data.inputs(), o.hidden, data.classes(), data.train()};
        const std::size_t now = GradientNetwork::bytes(s, o.optimizer), weights = static_cast<std::size_t>(padded_size(s)) * sizeof(real);
        most = std::max(most, now + before + (backend.name() == "cpu" ? 2 * weights : 0));
        before = now;
    }
    return most + 2 * Evaluator::buffer_bytes(data, o.hidden);
}

Backpropagation::Backpropagation(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : Trainer(backend, data, options, links) {
    if (options.quantize != Quantize::none) throw UsageError("--quantize: with backpropagation, expected --optimizer admm; leave it out");
    if (!(options.dropout >= 0 && options.dropout < 1)) throw UsageError(fmt::format("--dropout: {}, expected 0 or more and less than 1", options.dropout));
    begin_stage(0);
}

void Backpropagation::make_first_network() {
    make_empty_network(0);
    const Parameters& w = network_->weights();
    for (int layer = 1; layer <= w.shape.layers; ++layer)
        draw_layer(backend_, w.W[static_cast<std::size_t>(layer - 1)], w.b[static_cast<std::size_t>(layer - 1)], layer, options_, 0);
}

void Backpropagation::grow_network(int stage) {
    const Parameters& old = network_->weights();
    auto next = std::make_unique<GradientNetwork>(backend_, shape_of(stage), options_.optimizer);
    const Parameters& w = next->weights();
    const auto carry = [&](int from_layer, int to_layer) {
        const auto from = static_cast<std::size_t>(from_layer - 1), to = static_cast<std::size_t>(to_layer - 1);
        backend_.copy(old.W[from], w.W[to]);
        backend_.copy(old.b[from], w.b[to]);
    };
    carry(1, 1);
    grow_layers(backend_, old.shape.layers, w, {1, w.shape.layers}, carry, options_, options_.stages[static_cast<std::size_t>(stage)], stage);
    network_ = std::move(next);
}

void Backpropagation::make_empty_network(int stage) {
    network_.reset();
    network_ = std::make_unique<GradientNetwork>(backend_, shape_of(stage), options_.optimizer);
}

void Backpropagation::prepare_run() {
    const GradientNetwork& net = *network_;
    const Index capacity = backend_.run_ahead();
    history_figures_ = {backend_, capacity};
    history_controls_ = {backend_, capacity};
    history_position_ = {backend_, 1};
    controls_ = {backend_, std::vector<Controls>{{0, 0, static_cast<real>(stage().weight_decay), 0, 0}}};
    const History history{history_figures_.data(), history_controls_.data(), history_position_.data(), capacity, 1};
    const UpdateRule rule{options_.optimizer, stage().learning_rate, stage().weight_decay};
    epoch_ = backend_.record([this, &net, history, rule, dropout = dropout_of(options_, progress_.stage)] {
        using Part = GradientNetwork::Part;
        backend_.count_step(net.step());
        backpropagate(backend_, net, data_.X_train(), data_.labels(), dropout);
        backend_.optimizer_step(rule, net.step(), net.flat(Part::gradient), net.flat(Part::weights), net.flat(Part::first), net.flat(Part::second), net.figures());
        backend_.archive(net.figures(), controls_.data(), history);
    });
}

std::vector<EpochRecord> Backpropagation::run(Index count) {
    const NetworkShape& shape = network_->shape();
    backend_.zero(history_position_.data(), sizeof(Index));
    for (Index i = 0; i < count; ++i) epoch_->run();
    std::vector<LayerFigures> figures(static_cast<std::size_t>(count));
    backend_.download(history_figures_.data(), figures.data(), figures.size() * sizeof(LayerFigures));
    std::vector<EpochRecord> records;
    for (const LayerFigures& f : figures) {
        EpochRecord record;
        record.risk = f.risk;
        record.objective = f.risk / static_cast<double>(shape.nodes) + stage().weight_decay / 2 * f.weight_sq;
        // A split after every layer sends its activations forward and their gradients back.
        record.bytes = 2 * static_cast<std::uint64_t>((shape.layers - 1) * shape.hidden * shape.nodes) * sizeof(real);
        records.push_back(record);
    }
    return records;
}

std::vector<NamedTensor> Backpropagation::state(int layer) {
    const auto i = static_cast<std::size_t>(layer - 1);
    const GradientNetwork& net = *network_;
    std::vector<NamedTensor> tensors{{"W", net.weights().W[i]}, {"b", net.weights().b[i]}};
    for (int m = 0; m < net.memories(); ++m) {
        const std::string name = m == 0 ? "first" : "second";
        tensors.push_back({"W_" + name, net.memory(m).W[i]});
        tensors.push_back({"b_" + name, net.memory(m).b[i]});
    }
    return tensors;
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
    throw DivergedError(fmt::format("iteration {}: the loss is not finite; try a smaller --learning-rate", progress_.epoch + 1));
}

}  // namespace pdadmm
