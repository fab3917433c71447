// The solver loop (host/solver.hpp).
#include "host/solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "host/initialise.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

int wire_bits(std::size_t levels) {
    for (const int bits : {2, 4, 8, 16})
        if (levels <= std::size_t{1} << bits) return bits;
    throw UsageError(fmt::format("--levels: {} levels, expected at most 65536; use fewer", levels));
}

std::vector<double> uniform_levels(double lo, double hi, int count) {
    std::vector<double> levels(static_cast<std::size_t>(count));
    const double step = (hi - lo) / (count - 1);
    for (int i = 0; i < count; ++i) levels[static_cast<std::size_t>(i)] = i * step + lo;
    levels.back() = hi;
    return levels;
}

Objective objective(const std::vector<LayerFigures>& figures, const Controls& k) {
    const double rho = static_cast<double>(k.rho), nu = static_cast<double>(k.nu), mu = static_cast<double>(k.mu);
    Objective sum;
    for (const LayerFigures& f : figures) {
        sum.risk += f.risk;
        sum.linear_sq += f.linear_sq;
        sum.primal_sq += f.primal_sq;
        sum.lagrangian += f.risk + nu / 2 * (f.linear_sq + f.activation_sq) + f.coupling + rho / 2 * f.primal_sq + mu / 2 * f.weight_sq;
    }
    return sum;
}

std::uint64_t message_bytes(Index elements, const Quantizer& quantizer) {
    const auto count = static_cast<std::uint64_t>(elements);
    if (quantizer.codec == Codec::none) return count * sizeof(real);
    const std::uint64_t packed = (count * static_cast<std::uint64_t>(quantizer.bits) + 7) / 8;
    return packed + (quantizer.codec == Codec::difference ? sizeof(real) : 0);
}

Solver::Solver(Backend& backend, const NodeData& data, const SolverOptions& options)
    : backend_(backend), data_(data), options_(options), evaluator_(backend, data, options.hidden) {
    rules_.step = options.step;
    rules_.refresh_every = options.refresh_every;
    options_.schedule.threshold *= static_cast<double>(data.train());  // given per node, watched as a sum
    if (options.quantize != Quantize::none) {
        Quantizer quantizer{options.codec, options.bits, nullptr, 0};
        if (options.codec == Codec::grid) {
            levels_ = Buffer<real>(backend, std::vector<real>(options.levels.begin(), options.levels.end()));
            quantizer = {Codec::grid, wire_bits(options.levels.size()), levels_.data(), static_cast<std::int32_t>(options.levels.size())};
        }
        rules_.p = quantizer;
        if (options.quantize == Quantize::pq) rules_.q = quantizer;
    }
    begin_stage(0);
}

Index Solver::total_epochs() const {
    Index total = 0;
    for (const Stage& s : options_.stages) total += s.epochs;
    return total;
}

bool Solver::finished() const { return progress_.stopped_early || progress_.epoch >= total_epochs(); }

NetworkShape Solver::shape_of(int stage) const {
    return {options_.stages[static_cast<std::size_t>(stage)].layers, data_.inputs(), options_.hidden, data_.classes(), data_.train()};
}

NetworkOptions Solver::network_options() const {
    return {FirstLayer::automatic, options_.most_stacked, options_.quantize != Quantize::none};
}

void Solver::begin_stage(int index) {
    auto next = std::make_unique<Network>(backend_, shape_of(index), data_, network_options());
    const Stage& stage = options_.stages[static_cast<std::size_t>(index)];
    rules_.weight_decay = stage.weight_decay > 0;
    if (index == 0)
        start(*next, data_, options_, stage, rules_);
    else
        grow(*next, *network_, data_, options_, stage, rules_, index);
    network_ = std::move(next);
    progress_.stage = index;
    progress_.stage_epoch = 0;
}

void Solver::restore(const Progress& progress) {
    network_.reset();
    network_ = std::make_unique<Network>(backend_, shape_of(progress.stage), data_, network_options());
    progress_ = progress;
    best_.reset();
    rules_.weight_decay = stage().weight_decay > 0;
}

EpochRecord Solver::step() {
    while (progress_.stage_epoch >= stage().epochs) begin_stage(progress_.stage + 1);
    Network& net = *network_;
    const auto began = std::chrono::steady_clock::now();
    Controls used;
    backend_.download(net.controls(), &used, sizeof used);
    iterate(backend_, net.groups(), net.controls(), rules_, progress_.epoch + 1);
    for (LayerGroup& s : net.groups())
        s.node_space ? backend_.weight_norm(s.node_scalars, s.figures) : backend_.weight_norm(s.W, s.figures);
    if (options_.schedule.watch == RhoSchedule::Watch::cost)
        backend_.schedule(options_.schedule, evaluator_.training_cost(net), net.controls());
    else if (options_.schedule.watch == RhoSchedule::Watch::risk)
        backend_.schedule(options_.schedule, &net.figures()[net.shape().layers - 1].risk, net.controls());
    EpochRecord record;
    record.stage = progress_.stage;
    record.layers = net.shape().layers;
    record.rho = static_cast<double>(used.rho);
    record.nu = static_cast<double>(used.nu);
    std::vector<LayerFigures> figures(static_cast<std::size_t>(record.layers));
    backend_.download(net.figures(), figures.data(), figures.size() * sizeof(LayerFigures));
    const Objective sum = objective(figures, used);
    record.objective = sum.lagrangian;
    record.risk = sum.risk;
    record.linear_sq = sum.linear_sq;
    record.primal_sq = sum.primal_sq;
    record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (!std::isfinite(record.objective)) report_divergence();
    const Index elements = net.shape().hidden * net.shape().nodes;
    record.bytes = static_cast<std::uint64_t>(record.layers - 1) * (message_bytes(elements, rules_.p) + message_bytes(elements, rules_.q));
    progress_.bytes += record.bytes;
    progress_.seconds += record.seconds;
    ++progress_.stage_epoch;
    record.epoch = ++progress_.epoch;
    judge(record);
    return record;
}

void Solver::judge(EpochRecord& record) {
    const bool last_stage = progress_.stage + 1 == static_cast<int>(options_.stages.size());
    const bool stage_over = progress_.stage_epoch == stage().epochs;
    if (!stage_over && (options_.eval_every <= 0 || progress_.stage_epoch % options_.eval_every != 0)) return;
    record.evaluated = true;
    record.evaluation = evaluate();
    if (!last_stage || data_.counts()[1] == 0) return;
    if (!best_ || record.evaluation.accuracy[1] > best_->evaluation.accuracy[1]) {
        best_ = BestModel{record.epoch, record.evaluation, model()};
        progress_.since_best = 0;
    } else if (++progress_.since_best >= options_.patience && options_.patience > 0) {
        progress_.stopped_early = true;
    }
}

void Solver::report_divergence() {
    Network& net = *network_;
    for (int layer = 1; layer <= net.shape().layers; ++layer)
        for (const NamedTensor& tensor : net.state(layer)) {
            std::vector<real> host(static_cast<std::size_t>(tensor.value.size()));
            backend_.download(tensor.value.data, host.data(), host.size() * sizeof(real));
            if (!std::all_of(host.begin(), host.end(), [](real v) { return std::isfinite(v); }))
                throw DivergedError(fmt::format("iteration {}: {} of layer {} is not finite; try a larger --rho, a smaller --nu or "
                                                "--step exact",
                                                progress_.epoch + 1, tensor.name, layer));
        }
    throw DivergedError(fmt::format("iteration {}: the objective is not finite; try other --rho and --nu", progress_.epoch + 1));
}

}  // namespace pdadmm
