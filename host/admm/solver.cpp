// The solver loop (host/admm/solver.hpp).
#include "host/admm/solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/admm/first_state.hpp"
#include "host/admm/quantisers.hpp"
#include "host/ranks/move_layers.hpp"
#include "host/ranks/replicas.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

// Calibration of placement: a backend's first runs of a phase are slower than those that follow.
constexpr Index untimed_iterations = 2, timed_iterations = 5;
constexpr double worthwhile_gain = 0.05;  // of the costliest rank's time

NetworkOptions network_options(const SolverOptions& o) {
    return {FirstLayer::automatic, o.most_stacked, o.quantize != Quantize::none, o.rebuild_q, o.decay_to};
}

}  // namespace

std::size_t admm_bytes(const Backend& backend, const NodeData& data, const SolverOptions& o, int rank, int ranks) {
    const auto bytes = [](Index rows, Index cols) { return static_cast<std::size_t>(rows * cols) * sizeof(real); };
    const std::size_t available = backend.free_memory();
    std::size_t most = 0, before = 0;
    for (std::size_t stage = 0; stage < o.stages.size(); ++stage) {
        const NetworkShape s = stage_shape(o, data, stage);
        const NetworkPlan plan =
            plan_network(backend, s, data, network_options(o), place_layers(o.placement, s, ranks, {}).of(rank),
                         available > before ? available - before : 0);
        const std::size_t weights =
            bytes(s.hidden, s.inputs + s.classes) + static_cast<std::size_t>(s.layers - 2) * bytes(s.hidden, s.hidden);
        const bool copies = o.stage_from == StageFrom::best && stage + 1 < o.stages.size();
        const std::size_t copy =
            copies ? WeightCopy::bytes(s, place_layers(o.placement, s, ranks, {}).of(rank), plan.first.node_space, true)
                   : 0;
        most = std::max(most, plan.bytes + std::max(before, copy) + (backend.name() == "cpu" ? 2 * weights : 0));
        before = plan.bytes;
    }
    const FirstLayerForm first = first_layer_form(stage_shape(o, data, 0));
    if (rank == 0 && first.node_space) most += bytes(data.train(), data.nodes());
    if (rank == 0 &&
        first.closed)  // centred features while the Gram matrix is formed, its double copy while it is inverted
        most += std::max(bytes(data.inputs(), data.train()),
                         static_cast<std::size_t>(first.factor * first.factor) * sizeof(double));
    return most + 2 * Evaluator::buffer_bytes(data, o.hidden);
}

Objective objective(std::span<const LayerFigures> figures, const Controls& k) {
    const double rho = static_cast<double>(k.rho), nu = static_cast<double>(k.nu), mu = static_cast<double>(k.mu);
    Objective sum;
    for (const LayerFigures& f : figures) {
        sum.risk += f.risk;
        sum.linear_sq += f.linear_sq;
        sum.primal_sq += f.primal_sq;
        sum.lagrangian += f.risk + nu / 2 * (f.linear_sq + f.activation_sq) + f.coupling + rho / 2 * f.primal_sq +
                          mu / 2 * f.weight_sq;
    }
    return sum;
}

Solver::Solver(Backend& backend, const NodeData& data, const SolverOptions& options, RankLinks links)
    : Trainer(backend, data, options, links) {
    rules_.step = options.step;
    rules_.refresh_every = options.refresh_every;
    options_.schedule.threshold *= static_cast<double>(data.train());  // given per node, watched as a sum
    if (options.penalties == Penalties::relative) {
        const double spread =
            ranks_.share(std::vector<double>{data.spread()}, 0)[0];  // the first rank has the features
        for (Stage& stage : options_.stages) stage.weight_decay *= stage.nu * (spread > 0 ? spread : 1);
    }
    if (options.quantize != Quantize::none && options.codec == Codec::grid)
        levels_ = Buffer<real>(backend, std::vector<real>(options.levels.begin(), options.levels.end()));
    const BorderQuantizers quantizers = border_quantizers(options, levels_.data());
    rules_.p = quantizers.p;
    rules_.q = quantizers.q;
    begin_stage(0);
}

bool Solver::fits(const NetworkShape& shape, const Placement& placement) {
    const std::size_t available = backend_.free_memory();
    const LayerRange own = placement.of(ranks_.rank());
    const NetworkPlan plan = plan_network(backend_, shape, data_, network_options(options_), own, available);
    const std::size_t copy =
        options_.stage_from == StageFrom::best ? WeightCopy::bytes(shape, own, plan.first.node_space, true) : 0;
    const std::vector<double> need = ranks_.gather({static_cast<double>(plan.bytes + copy)}),
                              free = ranks_.gather({static_cast<double>(available)});
    const double all = std::accumulate(need.begin(), need.end(), 0.0);
    for (std::size_t rank = 0; rank < need.size(); ++rank)  // processors share one memory, devices have each their own
        if ((backend_.name() == "cpu" ? all : need[rank]) > free[rank]) return false;
    return true;
}

std::unique_ptr<Network> Solver::placed_network(int stage) {
    const NetworkShape shape = shape_of(stage);
    Placement placement = place_layers(options_.placement, shape, ranks_.size(), costs_);
    if (calibrated_stage_ >= 0 && !fits(shape, placement))
        placement = place_layers(options_.placement, shape, ranks_.size(), {});
    ranks_.place(std::move(placement));
    sent_ = {};
    sent_iterations_ = 0;
    return std::make_unique<Network>(backend_, shape, data_, network_options(options_), ranks_.own());
}

void Solver::make_first_network() {
    network_ = placed_network(0);
    start(*network_, data_, options_, options_.stages[0], rules_, ranks_);
}

void Solver::grow_network(int stage) {
    const Placement before = ranks_.placement();
    auto next = placed_network(stage);
    grow(*next, *network_, data_, options_, options_.stages[static_cast<std::size_t>(stage)], rules_, stage, ranks_,
         before);
    ranked_.reset();
    network_ = std::move(next);
}

void Solver::make_empty_network(int stage) {
    ranked_.reset();
    network_.reset();
    network_ = placed_network(stage);
}

void Solver::place(const Placement& placement) {
    const Placement before = ranks_.placement();
    if (placement == before) return;
    recorded(recorder_.get(), Activity::moving_layers, [&] {
        ranks_.place(placement);
        auto next = std::make_unique<Network>(backend_, shape_of(progress_.stage), data_, network_options(options_),
                                              ranks_.own());
        move_layers(*network_, before, *next, ranks_);
        ranked_.reset();
        network_ = std::move(next);
        move_best_weights(before);
    });
    prepare_run();
}

void Solver::calibrate() {
    const NetworkShape shape = network_->shape();
    ByKind work{}, seconds = least_seconds(std::span(recorder_->spans()).subspan(timed_from_));
    for (int layer = network_->layers().first; layer <= network_->layers().last; ++layer)
        work[static_cast<std::size_t>(kind_of(shape, layer))] += counted_work(shape, layer);
    const std::vector<double> works = ranks_.gather({work.begin(), work.end()}),
                              times = ranks_.gather({seconds.begin(), seconds.end()});
    work = seconds = {};
    for (std::size_t k = 0; k < works.size(); ++k) {
        work[k % layer_kinds] += works[k];
        seconds[k % layer_kinds] += times[k];
    }
    costs_.fit(work, seconds);
    calibrated_stage_ = progress_.stage;
    if (options_.trace_iterations == 0) recorder_.reset();
    const std::vector<double> costs = costs_.of(shape);
    const Placement better = Placement::balanced(costs, ranks_.size());
    if (costliest_block(better, costs) < (1 - worthwhile_gain) * costliest_block(ranks_.placement(), costs) &&
        fits(shape, better))
        place(better);
    else
        prepare_run();
}

void Solver::prepare_run() {
    Network& net = *network_;
    const int active = ranks_.several() ? ranks_.placement().active() : 1;
    calibrating_ = options_.placement.kind == PlacementRule::Kind::automatic && calibrated_stage_ != progress_.stage &&
                   active > 1 && active < net.shape().layers &&
                   stage().epochs - progress_.stage_epoch > 2 * (untimed_iterations + timed_iterations);
    prepared_iterations_ = 0;
    if (calibrating_ && !recorder_) recorder_ = std::make_unique<Recorder>(backend_);
    const History history = new_history();
    rules_.concurrent_groups = net.plan().own_scratch;
    const bool plain = options_.step.rule != StepRule::block && options_.decay_to == DecayTo::zero &&
                       rules_.p.codec == Codec::none && options_.schedule.watch == RhoSchedule::Watch::off &&
                       !options_.rebuild_q;
    fused_ = plain && !ranks_.several() ? backend_.fuse(net.groups(), net.controls(), rules_.step, history) : nullptr;
    ranked_ = ranks_.several() ? std::make_unique<RankedIteration>(
                                     net, ranks_, rules_, IterationWatch{&sent_, recorder_.get(), calibrating_})
                               : nullptr;
    refresh_ = backend_.record([this, &net] { refresh(backend_, net.groups()); });
    const auto figures = [this, &net, history] {
        backend_.archive(net.figures(), net.controls(), history);
        if (!ranked_ && options_.schedule.watch != RhoSchedule::Watch::off)
            backend_.schedule(options_.schedule, watched(), net.controls());
    };
    steps_.clear();
    const auto add_step = [&](Activity activity, auto body) { steps_.push_back({activity, backend_.record(body)}); };
    if (ranked_) {
        add_step(Activity::figures, figures);
    } else if (recorder_) {  // one by one, to be timed
        add_step(Activity::update_p, [this, &net] { update_p(backend_, net.groups(), net.controls(), rules_); });
        add_step(Activity::update_W_b_zqu,
                 [this, &net] { update_W_b_zqu(backend_, net.groups(), net.controls(), rules_); });
        add_step(Activity::figures, figures);
    } else {
        add_step(Activity::iteration, [this, &net, figures] {
            iterate(backend_, net.groups(), net.controls(), rules_);
            figures();
        });
    }
}

const double* Solver::watched() {
    if (options_.schedule.watch == RhoSchedule::Watch::cost) return evaluator_.training_cost(*network_);
    const LayerRange own = network_->layers();
    return own.has(network_->shape().layers) ? &network_->figures()[own.count() - 1].risk : nullptr;
}

void Solver::iterate_once() {
    if (ranked_) ranked_->run();
    for (const Step& step : steps_) recorded(recorder_.get(), step.activity, [&] { step.phase->run(); });
    if (!ranked_ || options_.schedule.watch == RhoSchedule::Watch::off) return;
    if (options_.schedule.watch == RhoSchedule::Watch::cost)
        ranked_->settle();  // its forward pass has messages of its own
    const double* figure = ranks_.share(watched(), ranks_.owner(network_->shape().layers));
    ranked_->settle();
    backend_.schedule(options_.schedule, figure, network_->controls());
}

/// Of the last `count` iterations, all layers of one after those of another, on every rank.
std::vector<LayerFigures> Solver::read_figures(Index count) { return ranks_.gather(own_figures(count), count); }

void Solver::begin_iteration(Index ahead) {
    const Index iteration = progress_.epoch + 1 + ahead;
    if (calibrating_ && prepared_iterations_ == untimed_iterations) timed_from_ = recorder_->spans().size();
    if (recorder_)
        recorder_->turn(calibrating_ || progress_.stage_epoch + ahead < options_.trace_iterations, iteration);
    if (rules_.refresh_due(iteration)) recorded(recorder_.get(), Activity::refresh, [&] { refresh_->run(); });
    ++prepared_iterations_;
}

void Solver::end_iteration(Index ahead) {
    const Index iteration = progress_.epoch + 1 + ahead;
    ++sent_iterations_;
    if (!ranked_ || options_.check_replicas == 0 || iteration % options_.check_replicas != 0) return;
    ranked_->settle();
    check_replicas(*network_, ranks_, iteration);
}

std::vector<std::uint64_t> Solver::border_bytes() {
    if (!ranks_.several() || sent_iterations_ == 0) return {};
    const std::vector<double> left = ranks_.gather({static_cast<double>(sent_.left)}),
                              right = ranks_.gather({static_cast<double>(sent_.right)});
    std::vector<std::uint64_t> bytes;
    for (std::size_t rank = 0; rank + 1 < static_cast<std::size_t>(ranks_.placement().active()); ++rank)
        bytes.push_back(static_cast<std::uint64_t>(right[rank] + left[rank + 1]) /
                        static_cast<std::uint64_t>(sent_iterations_));
    return bytes;
}

std::vector<EpochRecord> Solver::run(Index count) {
    const Network& net = *network_;
    const Index layers = net.shape().layers;
    restart_history();
    for (Index i = 0, next = 0; i < count; i = next) {
        begin_iteration(i);
        next = i + 1;
        if (!fused_) {
            iterate_once();
            end_iteration(i);
            continue;
        }
        while (next < count && !rules_.refresh_due(progress_.epoch + 1 + next)) ++next;
        recorded(recorder_.get(), Activity::fused, [&] { fused_->run(i, static_cast<int>(next - i)); });
    }
    std::vector<LayerFigures> figures;
    recorded(recorder_.get(), Activity::gather, [&] { figures = read_figures(count); });
    if (ranked_) ranked_->settle();
    const std::vector<Controls> used = used_controls(count);

    const Index elements = net.shape().hidden * net.shape().nodes;
    const Index borders = ranks_.several() ? ranks_.placement().active() - 1 : layers - 1;
    std::vector<EpochRecord> records;
    for (Index i = 0; i < count; ++i) {
        const Controls& k = used[static_cast<std::size_t>(i)];
        const Objective sum = objective(
            std::span(figures).subspan(static_cast<std::size_t>(i * layers), static_cast<std::size_t>(layers)), k);
        EpochRecord record;
        record.rho = static_cast<double>(k.rho);
        record.nu = static_cast<double>(k.nu);
        record.objective = sum.lagrangian;
        record.risk = sum.risk;
        record.linear_sq = sum.linear_sq;
        record.primal_sq = sum.primal_sq;
        record.bytes = static_cast<std::uint64_t>(borders) *
                       (message_bytes(elements, rules_.p) + message_bytes(elements, rules_.q));
        records.push_back(record);
    }
    if (recorder_) recorder_->settle();
    if (calibrating_ && prepared_iterations_ >= untimed_iterations + timed_iterations) calibrate();
    return records;
}

std::vector<NamedTensor> Solver::weights(int layer) {
    const Network& net = *network_;
    std::vector<NamedTensor> tensors{{"b", net.b(layer)}};
    if (layer == 1 && net.node_space())
        tensors.insert(tensors.end(), {{"V", net.V()}, {"S", net.S()}});
    else
        tensors.push_back({"W", net.W(layer)});
    if (layer == net.shape().layers) tensors.push_back({"z", net.z(layer)});  // ZInit::carry
    return tensors;
}

std::vector<double> Solver::scalars() {
    const Network& net = *network_;
    Controls k;
    backend_.download(net.controls(), &k, sizeof k);
    NodeSpaceScalars s{1, 0};
    if (net.node_space() && net.layers().has(1)) backend_.download(net.node_scalars(), &s, sizeof s);
    return {static_cast<double>(k.rho),
            static_cast<double>(k.nu),
            static_cast<double>(k.mu),
            static_cast<double>(k.stalls),
            k.last_watched,
            s.c,
            s.weight_sq};
}

void Solver::restore_scalars(const std::vector<double>& values) {
    Network& net = *network_;
    const Controls k{static_cast<real>(values[0]), static_cast<real>(values[1]), static_cast<real>(values[2]),
                     static_cast<std::int32_t>(values[3]), values[4]};
    backend_.upload(&k, net.controls(), sizeof k);
    if (!net.node_space() || !net.layers().has(1)) return;
    const NodeSpaceScalars s{values[5], values[6]};
    backend_.upload(&s, net.node_scalars(), sizeof s);
    net.form_node_space();
}

void Solver::report_divergence() {
    const std::string singular = network_->not_invertible();
    std::string found = singular.empty() ? first_not_finite()
                                         : singular + " has no closed form (its matrix is not positive definite) and";
    if (ranks_.several()) {  // that of the lowest layer, told by all
        const std::vector<double> have = ranks_.gather({found.empty() ? 0.0 : 1.0});
        const auto first = std::find(have.begin(), have.end(), 1.0);
        const std::vector<char> text = ranks_.share(std::vector<char>(found.begin(), found.end()),
                                                    first == have.end() ? 0 : static_cast<int>(first - have.begin()));
        found.assign(text.begin(), text.end());
    }
    if (!found.empty())
        throw DivergedError(
            fmt::format("iteration {}: {} is not finite; try a larger --rho, a smaller --nu or --step exact",
                        progress_.epoch + 1, found));
    throw DivergedError(
        fmt::format("iteration {}: the objective is not finite; try other --rho and --nu", progress_.epoch + 1));
}

std::string Solver::first_not_finite() {
    for (int layer = network_->layers().first; layer <= network_->layers().last; ++layer)
        for (const NamedTensor& tensor : network_->state(layer)) {
            const std::vector<real> host = download(backend_, tensor.value);
            if (!std::all_of(host.begin(), host.end(), [](real v) { return std::isfinite(v); }))
                return fmt::format("{} of layer {}", tensor.name, layer);
        }
    return "";
}

}  // namespace pdadmm
