// The solver loop (host/solver.hpp).
#include "host/solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "host/initialise.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr double wait_seconds = 0.25;  // that the host may wait for queued iterations

NetworkOptions network_options(const SolverOptions& o) {
    return {FirstLayer::automatic, o.most_stacked, o.quantize != Quantize::none, o.rebuild_q};
}

}  // namespace

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

std::size_t training_bytes(const Backend& backend, const NodeData& data, const SolverOptions& o, int rank, int ranks) {
    const auto bytes = [](Index rows, Index cols) { return static_cast<std::size_t>(rows * cols) * sizeof(real); };
    const std::size_t available = backend.free_memory();
    std::size_t most = 0, before = 0;
    for (const Stage& stage : o.stages) {
        const NetworkShape s{stage.layers, data.inputs(), o.hidden, data.classes(), data.train()};
        const NetworkPlan plan = plan_network(backend, s, data, network_options(o), Placement::uniform(s, ranks).of(rank),
                                              available > before ? available - before : 0);
        const std::size_t weights = bytes(s.hidden, s.inputs + s.classes) + static_cast<std::size_t>(s.layers - 2) * bytes(s.hidden, s.hidden);
        most = std::max(most, plan.bytes + before + (backend.name() == "cpu" ? 2 * weights : 0));
        before = plan.bytes;
    }
    if (rank == 0 && prefers_node_space({2, data.inputs(), o.hidden, data.classes(), data.train()})) most += bytes(data.train(), data.nodes());
    return most + 2 * Evaluator::buffer_bytes(data, o.hidden);
}

Objective objective(std::span<const LayerFigures> figures, const Controls& k) {
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

Solver::Solver(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : backend_(backend), data_(data), options_(options), ranks_(backend, links), evaluator_(backend, data, options.hidden, ranks_) {
    if (ranks_.size() > options.stages.back().layers)
        throw UsageError(fmt::format("--ranks: {}, expected at most {}, one a layer; use fewer ranks or more layers", ranks_.size(), options.stages.back().layers));
    if (options.rebuild_q && ranks_.several()) throw UsageError("--rebuild-q: with several ranks, expected one; q of a border cannot be rebuilt");
    if (options.rebuild_q && (options.quantize != Quantize::none || options.schedule.watch != RhoSchedule::Watch::off || options.grow_state == GrowState::carry))
        throw UsageError("--rebuild-q: with quantised p or q, a rho schedule or --grow-state carry, expected none of them; q cannot be rebuilt then");
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

Index total_epochs(const SolverOptions& options) {
    Index total = 0;
    for (const Stage& s : options.stages) total += s.epochs;
    return total;
}

bool Solver::finished() const { return progress_.stopped_early || progress_.epoch >= total_epochs(options_); }

NetworkShape Solver::shape_of(int stage) const {
    return {options_.stages[static_cast<std::size_t>(stage)].layers, data_.inputs(), options_.hidden, data_.classes(), data_.train()};
}

void Solver::begin_stage(int index) {
    const Placement before = ranks_.placement();
    ranks_.place(Placement::uniform(shape_of(index), ranks_.size()));
    auto next = std::make_unique<Network>(backend_, shape_of(index), data_, network_options(options_), ranks_.own());
    const Stage& stage = options_.stages[static_cast<std::size_t>(index)];
    if (index == 0)
        start(*next, data_, options_, stage, rules_, ranks_);
    else
        grow(*next, *network_, data_, options_, stage, rules_, index, ranks_, before);
    ranked_.reset();
    network_ = std::move(next);
    progress_.stage = index;
    progress_.stage_epoch = 0;
    prepare_phases();
}

void Solver::restore(const Progress& progress) {
    ranked_.reset();
    network_.reset();
    ranks_.place(Placement::uniform(shape_of(progress.stage), ranks_.size()));
    network_ = std::make_unique<Network>(backend_, shape_of(progress.stage), data_, network_options(options_), ranks_.own());
    progress_ = progress;
    best_.reset();
    prepare_phases();
}

void Solver::prepare_phases() {
    Network& net = *network_;
    const int layers = net.layers().count();
    const Index capacity = backend_.run_ahead();
    history_figures_ = {backend_, capacity * layers};
    history_controls_ = {backend_, capacity};
    history_position_ = {backend_, 1};
    const History history{history_figures_.data(), history_controls_.data(), history_position_.data(), capacity, layers};
    rules_.concurrent_groups = net.plan().own_scratch;
    seconds_each_ = 0;
    const bool plain = rules_.p.codec == Codec::none && options_.schedule.watch == RhoSchedule::Watch::off && !options_.rebuild_q;
    fused_ = plain && !ranks_.several() ? backend_.fuse(net.groups(), net.controls(), rules_.step, history) : nullptr;
    ranked_ = ranks_.several() ? std::make_unique<RankedIteration>(net, ranks_, rules_) : nullptr;
    refresh_ = backend_.record([this, &net] { refresh(backend_, net.groups()); });
    iteration_ = backend_.record([this, &net, history] {
        if (!ranked_) iterate(backend_, net.groups(), net.controls(), rules_);
        backend_.archive(net.figures(), net.controls(), history);
        if (!ranked_ && options_.schedule.watch != RhoSchedule::Watch::off) backend_.schedule(options_.schedule, watched(), net.controls());
    });
}

const double* Solver::watched() {
    if (options_.schedule.watch == RhoSchedule::Watch::cost) return evaluator_.training_cost(*network_);
    const LayerRange own = network_->layers();
    return own.has(network_->shape().layers) ? &network_->figures()[own.count() - 1].risk : nullptr;
}

void Solver::iterate_once() {
    if (ranked_) ranked_->run();
    iteration_->run();
    if (!ranked_ || options_.schedule.watch == RhoSchedule::Watch::off) return;
    ranked_->settle();
    backend_.schedule(options_.schedule, ranks_.share(watched(), ranks_.owner(network_->shape().layers)), network_->controls());
}

/// Of the last `count` iterations, all layers of one after those of another, on every rank.
std::vector<LayerFigures> Solver::read_figures(Index count) {
    const auto own_layers = static_cast<std::size_t>(network_->layers().count());
    std::vector<LayerFigures> own(static_cast<std::size_t>(count) * own_layers);
    backend_.download(history_figures_.data(), own.data(), own.size() * sizeof(LayerFigures));
    if (!ranks_.several()) return own;
    constexpr std::size_t each = sizeof(LayerFigures) / sizeof(double);
    static_assert(sizeof(LayerFigures) == each * sizeof(double));
    std::vector<double> values(own.size() * each);
    if (!own.empty()) std::memcpy(values.data(), own.data(), own.size() * sizeof(LayerFigures));
    const std::vector<double> gathered = ranks_.gather(values);
    const auto all_layers = static_cast<std::size_t>(network_->shape().layers), iterations = static_cast<std::size_t>(count);
    std::vector<LayerFigures> all(iterations * all_layers);
    std::size_t from = 0, layer = 0;
    for (int rank = 0; rank < ranks_.placement().active(); ++rank) {
        const auto layers = static_cast<std::size_t>(ranks_.placement().of(rank).count());
        for (std::size_t i = 0; i < iterations; ++i, from += layers * each)
            std::memcpy(&all[i * all_layers + layer], &gathered[from], layers * sizeof(LayerFigures));
        layer += layers;
    }
    return all;
}

Index Solver::queued(Index most) const {
    Index count = std::min({most, backend_.run_ahead(), static_cast<Index>(stage().epochs) - progress_.stage_epoch});
    if (options_.eval_every > 0) count = std::min(count, options_.eval_every - progress_.stage_epoch % options_.eval_every);
    // Figures and signals should not wait long; an unmeasured stage starts with two, the second of which shows the speed.
    const double affordable = seconds_each_ > 0 ? wait_seconds / seconds_each_ : 2;
    count = std::max<Index>(1, affordable < static_cast<double>(count) ? static_cast<Index>(affordable) : count);
    // Clocks differ, and so may what ranks can afford.
    return ranks_.several() && backend_.run_ahead() > 1 ? -ranks_.control()->max(-count) : count;
}

std::vector<EpochRecord> Solver::advance(Index most) {
    if (diverged_) report_divergence();
    while (progress_.stage_epoch >= stage().epochs) begin_stage(progress_.stage + 1);
    Network& net = *network_;
    const Index count = queued(most), layers = net.shape().layers;
    const auto began = std::chrono::steady_clock::now();
    backend_.zero(history_position_.data(), sizeof(Index));
    for (Index i = 0, next = 0; i < count; i = next) {
        if (rules_.refresh_due(progress_.epoch + 1 + i)) refresh_->run();
        next = i + 1;
        if (!fused_) {
            iterate_once();
            continue;
        }
        while (next < count && !rules_.refresh_due(progress_.epoch + 1 + next)) ++next;
        fused_->run(i, static_cast<int>(next - i));
    }
    const std::vector<LayerFigures> figures = read_figures(count);
    if (ranked_) ranked_->settle();
    std::vector<Controls> used(static_cast<std::size_t>(count));
    backend_.download(history_controls_.data(), used.data(), used.size() * sizeof(Controls));
    seconds_each_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() / static_cast<double>(count);

    const Index elements = net.shape().hidden * net.shape().nodes;
    std::vector<EpochRecord> records;
    for (Index i = 0; i < count; ++i) {
        const Controls& k = used[static_cast<std::size_t>(i)];
        const Objective sum = objective(std::span(figures).subspan(static_cast<std::size_t>(i * layers), static_cast<std::size_t>(layers)), k);
        if (!std::isfinite(sum.lagrangian)) {
            if (records.empty()) report_divergence();
            diverged_ = true;  // after those that are still finite have been seen
            break;
        }
        EpochRecord record;
        record.stage = progress_.stage;
        record.layers = static_cast<int>(layers);
        record.rho = static_cast<double>(k.rho);
        record.nu = static_cast<double>(k.nu);
        record.objective = sum.lagrangian;
        record.risk = sum.risk;
        record.linear_sq = sum.linear_sq;
        record.primal_sq = sum.primal_sq;
        record.seconds = seconds_each_;
        const Index borders = ranks_.several() ? ranks_.placement().active() - 1 : layers - 1;
        record.bytes = static_cast<std::uint64_t>(borders) * (message_bytes(elements, rules_.p) + message_bytes(elements, rules_.q));
        progress_.bytes += record.bytes;
        progress_.seconds += record.seconds;
        ++progress_.stage_epoch;
        record.epoch = ++progress_.epoch;
        records.push_back(record);
    }
    if (!diverged_) judge(records.back());
    return records;
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
    std::string found = first_not_finite();
    if (ranks_.several()) {  // that of the lowest layer, told by all
        const std::vector<double> have = ranks_.gather({found.empty() ? 0.0 : 1.0});
        const auto first = std::find(have.begin(), have.end(), 1.0);
        const std::vector<char> text = ranks_.share(std::vector<char>(found.begin(), found.end()), first == have.end() ? 0 : static_cast<int>(first - have.begin()));
        found.assign(text.begin(), text.end());
        ranks_.control()->close();
    }
    if (!found.empty())
        throw DivergedError(fmt::format("iteration {}: {} is not finite; try a larger --rho, a smaller --nu or --step exact", progress_.epoch + 1, found));
    throw DivergedError(fmt::format("iteration {}: the objective is not finite; try other --rho and --nu", progress_.epoch + 1));
}

std::string Solver::first_not_finite() {
    for (int layer = network_->layers().first; layer <= network_->layers().last; ++layer)
        for (const NamedTensor& tensor : network_->state(layer)) {
            const std::vector<real> host = download(backend_, tensor.value);
            if (!std::all_of(host.begin(), host.end(), [](real v) { return std::isfinite(v); })) return fmt::format("{} of layer {}", tensor.name, layer);
        }
    return "";
}

}  // namespace pdadmm
