// What every way of training shares (host/train/trainer.hpp).
#include "host/train/trainer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr double wait_seconds = 0.25;  // that the host may wait for queued iterations
constexpr Index least_of_ranks = 16;   // iterations: what is read on several ranks is gathered, and that is a barrier

double seconds_since(std::chrono::steady_clock::time_point began) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

Index total_epochs(const SolverOptions& options) {
    Index total = 0;
    for (const Stage& s : options.stages) total += s.epochs;
    return total;
}

void require_ranks(const SolverOptions& options, int ranks) {
    const int layers = options.stages.back().layers, blocks = ranks / options.node_blocks;
    const std::vector<int>& listed = options.placement.layers;
    if (options.placement.kind == PlacementRule::Kind::listed &&
        (static_cast<int>(listed.size()) != blocks ||
         std::accumulate(listed.begin(), listed.end(), std::int64_t{0}) != layers))
        throw UsageError(
            fmt::format("--placement: {}, expected the layers of each of {} {}, {} in all; use auto or uniform, or "
                        "other numbers",
                        fmt::join(listed, ","), blocks, options.node_blocks > 1 ? "blocks" : "ranks", layers));
    if (options.rebuild_q && ranks > 1)
        throw UsageError("--rebuild-q: with several ranks, expected one; q of a border cannot be rebuilt");
    if (options.rebuild_q && (options.quantize != Quantize::none || options.schedule.watch != RhoSchedule::Watch::off ||
                              options.grow_state == GrowState::carry))
        throw UsageError(
            "--rebuild-q: with quantised p or q, a rho schedule or --grow-state carry, expected none of them; q cannot "
            "be rebuilt then");
    if (options.has_workers()) return;
    if (options.node_blocks > 1 && blocks > layers)
        throw UsageError(fmt::format(
            "--grid: {}x{}, expected at most {} blocks of layers, one a layer; use another grid or more layers", blocks,
            options.node_blocks, layers));
    if (blocks > layers)
        throw UsageError(fmt::format("--ranks: {}, expected at most {}, one a layer; use fewer ranks or more layers",
                                     ranks, layers));
}

Trainer::Trainer(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : backend_(backend),
      data_(data),
      options_(options),
      ranks_(backend, links, options.node_blocks, data.ranges()),
      evaluator_(backend, data, options.hidden, ranks_, options.metric, options.eval_every > 0) {
    require_ranks(options, ranks_.size());
    if (options.trace_iterations > 0) recorder_ = std::make_unique<Recorder>(backend);
}

bool Trainer::finished() const { return last_stage() && stage_over(); }

Index Trainer::most_epochs() const {
    Index most = progress_.epoch + (stage_over() ? 0 : stage().epochs - progress_.stage_epoch);
    for (std::size_t later = static_cast<std::size_t>(progress_.stage) + 1; later < options_.stages.size(); ++later)
        most += options_.stages[later].epochs;
    return most;
}

NetworkShape stage_shape(const SolverOptions& options, const NodeData& data, std::size_t stage) {
    const bool by_graph = options.optimizer == Optimizer::admm || options.whole_gradients();
    return {options.stages[stage].layers,
            data.inputs(),
            options.hidden,
            data.classes(),
            data.train(),
            options.step.rule,
            data.held()[0],
            data.owned(),
            by_graph ? data.graph_entries() : 0};
}

void Trainer::begin_stage(int index) {
    const auto began = std::chrono::steady_clock::now();
    if (recorder_) recorder_->turn(options_.trace_iterations > 0, progress_.epoch + 1);
    if (best_weights()) best_weights()->put_back(*this);
    best_weights_.reset();
    recorded(recorder_.get(), Activity::growth, [&] { index == 0 ? make_first_network() : grow_network(index); });
    progress_.stage = index;
    progress_.stage_epoch = 0;
    progress_.watch = {};
    progress_.stopped_early = false;
    enter_stage();
    setup_ += seconds_since(began);
}

void Trainer::enter_stage() {
    evaluator_.forget();
    eval_period_ =
        options_.eval_every > 0 ? options_.eval_every : evaluation_period(options_.optimizer, shape(), data_.counts());
    seconds_each_ = 0;
    best_weights_ =
        options_.stage_from == StageFrom::best && !last_stage() ? std::make_unique<WeightCopy>(*this) : nullptr;
    prepare_run();
}

void Trainer::move_best_weights(const Placement& before) {
    if (!best_weights_) return;
    auto next = std::make_unique<WeightCopy>(*this);
    next->scalars = best_weights_->scalars;  // layer 1 is always on the first block
    for (int layer = 1; layer <= shape().layers; ++layer)
        for (std::size_t t = 0; t < next->state(layer).size(); ++t)
            ranks_.move(best_weights_->state(layer)[t].value, ranks_.rank_of(before.owner(layer)),
                        next->state(layer)[t].value, ranks_.owner(layer));
    best_weights_ = std::move(next);
}

void Trainer::restore(const Progress& progress) {
    const auto began = std::chrono::steady_clock::now();
    make_empty_network(progress.stage);
    progress_ = progress;
    best_.reset();
    enter_stage();
    setup_ = seconds_since(began);
}

Index Trainer::run_ahead() const {
    return ranks_.several() ? std::max(backend_.run_ahead(), least_of_ranks) : backend_.run_ahead();
}

Index Trainer::queued(Index most) const {
    Index count = std::min({most, run_ahead(), static_cast<Index>(stage().epochs) - progress_.stage_epoch});
    count = std::min(count, eval_period_ - progress_.stage_epoch % eval_period_);
    // Figures and signals should not wait long; an unmeasured stage starts with two, the second of which shows the
    // speed.
    const double affordable = seconds_each_ > 0 ? wait_seconds / seconds_each_ : 2;
    count = std::max<Index>(1, affordable < static_cast<double>(count) ? static_cast<Index>(affordable) : count);
    // Clocks differ, and so may what ranks can afford.
    return ranks_.several() ? -ranks_.control()->max(-count) : count;
}

std::vector<EpochRecord> Trainer::advance(Index most) {
    if (diverged_) report_divergence();
    while (stage_over()) begin_stage(progress_.stage + 1);
    const Index count = queued(most);
    const auto began = std::chrono::steady_clock::now();
    std::vector<EpochRecord> records = run(count);
    seconds_each_ = seconds_since(began) / static_cast<double>(count);
    const auto lost =
        std::find_if(records.begin(), records.end(), [](const EpochRecord& r) { return !std::isfinite(r.objective); });
    if (lost == records.begin()) report_divergence();
    diverged_ = lost != records.end();  // after those that are still finite have been seen
    records.erase(lost, records.end());
    if (!records.empty()) records.front().setup_seconds = std::exchange(setup_, 0);
    for (EpochRecord& record : records) {
        record.stage = progress_.stage;
        record.layers = shape().layers;
        record.seconds = seconds_each_;
        progress_.bytes += record.bytes;
        progress_.seconds += record.seconds;
        progress_.setup_seconds += record.setup_seconds;
        ++progress_.stage_epoch;
        record.epoch = ++progress_.epoch;
    }
    if (!diverged_) judge(records.back());
    return records;
}

void Trainer::judge(EpochRecord& record) {
    const bool last_iteration = progress_.stage_epoch >= stage().epochs, by_validation = data_.counts()[1] > 0;
    if (!last_iteration && progress_.stage_epoch % eval_period_ != 0) return;
    record.evaluated = true;
    NodeSets seen = options_.eval_every > 0 || last_iteration ? all_sets : deciding_sets(data_.counts());
    const auto look = [&](const NodeSets& sets) {
        Evaluation found;
        recorded(recorder_.get(), Activity::evaluation, [&] { found = evaluate_sets(sets); });
        return found;
    };
    record.evaluation = look(seen);
    const bool best_of_stage = progress_.watch.see(by_validation ? record.evaluation.metric[1] : -record.risk);
    if (best_of_stage && best_weights_) best_weights_->take(*this);
    progress_.stopped_early = progress_.watch.ended(stage().patience);
    const bool best = by_validation && (last_stage() || options_.best_of == BestOf::any_stage) &&
                      (!best_ || record.evaluation.metric[1] > best_->evaluation.metric[1]);
    if ((best || stage_over()) && seen != all_sets) {  // figures that decide nothing, for the records that keep them
        const Evaluation rest = look({!seen[0], !seen[1], !seen[2]});
        for (std::size_t set = 0; set < 3; ++set) {
            if (seen[set]) continue;
            record.evaluation.accuracy[set] = rest.accuracy[set];
            record.evaluation.cost[set] = rest.cost[set];
            record.evaluation.metric[set] = rest.metric[set];
        }
    }
    if (best) best_ = BestModel{record.epoch, progress_.stage, record.evaluation, model()};
}

}  // namespace pdadmm
