// What every way of training shares (host/trainer.hpp).
#include "host/trainer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "host/backpropagation.hpp"
#include "host/backpropagation/gradient_epoch.hpp"
#include "host/solver.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr double wait_seconds = 0.25;  // that the host may wait for queued iterations
constexpr Index least_of_ranks = 16;   // iterations: what is read on several ranks is gathered, and that is a barrier

}  // namespace

Index total_epochs(const SolverOptions& options) {
    Index total = 0;
    for (const Stage& s : options.stages) total += s.epochs;
    return total;
}

std::unique_ptr<Trainer> make_trainer(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links) {
    if (options.optimizer == Optimizer::admm) return std::make_unique<Solver>(backend, data, options, links);
    return std::make_unique<Backpropagation>(backend, data, options, links);
}

std::size_t training_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options, int rank, int ranks) {
    return options.optimizer == Optimizer::admm ? admm_bytes(backend, data, options, rank, ranks) : backpropagation_bytes(backend, data, options, rank, ranks);
}

NodeData rank_data(Backend& backend, const AugmentedNodes& nodes, const SolverOptions& options, int rank, int ranks) {
    if (options.divides_nodes()) return {backend, nodes, rank, ranks};
    return {backend, nodes, rank == 0};
}

std::vector<std::size_t> memory_of_ranks(const Backend& backend, const NodeData& data, const SolverOptions& options, int ranks) {
    std::vector<std::size_t> bytes;
    for (int rank = 0; rank < ranks; ++rank) bytes.push_back(training_bytes(backend, data, options, rank, ranks));
    return bytes;
}

std::string rank_table(const SolverOptions& options, const NetworkShape& shape, int ranks, const CostModel& costs, std::span<const std::size_t> memory) {
    if (options.optimizer == Optimizer::admm) return placement_table(place_layers(options.placement, shape, ranks, costs), costs.of(shape), memory);
    if (!options.divides_nodes()) return placement_table(gradient_placement(options, shape, ranks), gradient_costs(shape), memory);
    std::string text = "rank  training nodes  memory";
    for (int rank = 0; rank < ranks; ++rank)
        text += fmt::format("\n{:>4}  {:>14}  {:.1f} MiB", rank, NodeRange::share(shape.nodes, rank, ranks).count,
                            static_cast<double>(memory[static_cast<std::size_t>(rank)]) / (1 << 20));
    return text;
}

void require_ranks(const SolverOptions& options, int ranks) {
    const int layers = options.stages.back().layers;
    const std::vector<int>& listed = options.placement.layers;
    if (options.placement.kind == PlacementRule::Kind::listed &&
        (static_cast<int>(listed.size()) != ranks || std::accumulate(listed.begin(), listed.end(), std::int64_t{0}) != layers))
        throw UsageError(fmt::format("--placement: {}, expected the layers of each of {} ranks, {} in all; use auto or uniform, or other numbers", fmt::join(listed, ","),
                                     ranks, layers));
    if (options.rebuild_q && ranks > 1) throw UsageError("--rebuild-q: with several ranks, expected one; q of a border cannot be rebuilt");
    if (options.rebuild_q && (options.quantize != Quantize::none || options.schedule.watch != RhoSchedule::Watch::off || options.grow_state == GrowState::carry))
        throw UsageError("--rebuild-q: with quantised p or q, a rho schedule or --grow-state carry, expected none of them; q cannot be rebuilt then");
    if (options.divides_nodes()) return;
    if (ranks > layers) throw UsageError(fmt::format("--ranks: {}, expected at most {}, one a layer; use fewer ranks or more layers", ranks, layers));
}

Trainer::Trainer(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : backend_(backend), data_(data), options_(options), ranks_(backend, links), evaluator_(backend, data, options.hidden, ranks_) {
    require_ranks(options, ranks_.size());
    if (options.trace_iterations > 0) recorder_ = std::make_unique<Recorder>(backend);
}

bool Trainer::finished() const { return progress_.stopped_early || progress_.epoch >= total_epochs(options_); }

NetworkShape stage_shape(const SolverOptions& options, const NodeData& data, std::size_t stage) {
    return {options.stages[stage].layers, data.inputs(), options.hidden, data.classes(), data.train(), options.step.rule};
}

void Trainer::begin_stage(int index) {
    if (recorder_) recorder_->turn(options_.trace_iterations > 0, progress_.epoch + 1);
    recorded(recorder_.get(), Activity::growth, [&] { index == 0 ? make_first_network() : grow_network(index); });
    progress_.stage = index;
    progress_.stage_epoch = 0;
    seconds_each_ = 0;
    prepare_run();
}

void Trainer::restore(const Progress& progress) {
    make_empty_network(progress.stage);
    progress_ = progress;
    best_.reset();
    seconds_each_ = 0;
    prepare_run();
}

Index Trainer::run_ahead() const { return ranks_.several() ? std::max(backend_.run_ahead(), least_of_ranks) : backend_.run_ahead(); }

History Trainer::new_history() {
    const Index capacity = run_ahead();
    const int count = layers().count();
    history_figures_ = {backend_, capacity * count};
    history_controls_ = {backend_, capacity};
    history_position_ = {backend_, 1};
    return {history_figures_.data(), history_controls_.data(), history_position_.data(), capacity, count};
}

void Trainer::restart_history() { backend_.zero(history_position_.data(), sizeof(Index)); }

std::vector<LayerFigures> Trainer::own_figures(Index count) const {
    std::vector<LayerFigures> own(static_cast<std::size_t>(count * layers().count()));
    backend_.download(history_figures_.data(), own.data(), own.size() * sizeof(LayerFigures));
    return own;
}

std::vector<Controls> Trainer::used_controls(Index count) const {
    std::vector<Controls> used(static_cast<std::size_t>(count));
    backend_.download(history_controls_.data(), used.data(), used.size() * sizeof(Controls));
    return used;
}

Index Trainer::queued(Index most) const {
    Index count = std::min({most, run_ahead(), static_cast<Index>(stage().epochs) - progress_.stage_epoch});
    if (options_.eval_every > 0) count = std::min(count, options_.eval_every - progress_.stage_epoch % options_.eval_every);
    // Figures and signals should not wait long; an unmeasured stage starts with two, the second of which shows the speed.
    const double affordable = seconds_each_ > 0 ? wait_seconds / seconds_each_ : 2;
    count = std::max<Index>(1, affordable < static_cast<double>(count) ? static_cast<Index>(affordable) : count);
    // Clocks differ, and so may what ranks can afford.
    return ranks_.several() ? -ranks_.control()->max(-count) : count;
}

std::vector<EpochRecord> Trainer::advance(Index most) {
    if (diverged_) report_divergence();
    while (progress_.stage_epoch >= stage().epochs) begin_stage(progress_.stage + 1);
    const Index count = queued(most);
    const auto began = std::chrono::steady_clock::now();
    std::vector<EpochRecord> records = run(count);
    seconds_each_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() / static_cast<double>(count);
    const auto lost = std::find_if(records.begin(), records.end(), [](const EpochRecord& r) { return !std::isfinite(r.objective); });
    if (lost == records.begin()) report_divergence();
    diverged_ = lost != records.end();  // after those that are still finite have been seen
    records.erase(lost, records.end());
    for (EpochRecord& record : records) {
        record.stage = progress_.stage;
        record.layers = shape().layers;
        record.seconds = seconds_each_;
        progress_.bytes += record.bytes;
        progress_.seconds += record.seconds;
        ++progress_.stage_epoch;
        record.epoch = ++progress_.epoch;
    }
    if (!diverged_) judge(records.back());
    return records;
}

void Trainer::judge(EpochRecord& record) {
    const bool last_stage = progress_.stage + 1 == static_cast<int>(options_.stages.size());
    const bool stage_over = progress_.stage_epoch == stage().epochs;
    if (!stage_over && (options_.eval_every <= 0 || progress_.stage_epoch % options_.eval_every != 0)) return;
    record.evaluated = true;
    recorded(recorder_.get(), Activity::evaluation, [&] { record.evaluation = evaluate(); });
    if (!last_stage || data_.counts()[1] == 0) return;
    if (!best_ || record.evaluation.accuracy[1] > best_->evaluation.accuracy[1]) {
        best_ = BestModel{record.epoch, record.evaluation, model()};
        progress_.since_best = 0;
    } else if (++progress_.since_best >= options_.patience && options_.patience > 0) {
        progress_.stopped_early = true;
    }
}

}  // namespace pdadmm
