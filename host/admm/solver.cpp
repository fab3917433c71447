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

NetworkOptions network_options(const SolverOptions& o) {
    return {FirstLayer::automatic, o.most_stacked, o.quantize != Quantize::none, o.rebuild_q, o.decay_to, o.lanes};
}

}  // namespace

std::size_t admm_bytes(const Backend& backend, const NodeData& data, const SolverOptions& o, int rank, int ranks) {
    const auto bytes = [](Index rows, Index cols) { return static_cast<std::size_t>(rows * cols) * sizeof(real); };
    const Grid grid{ranks / o.node_blocks, o.node_blocks};
    const int block = grid.layer_block(rank);
    const auto layers_in = [&](const NetworkShape& s) {
        return place_layers(o.placement, s, grid.layers, {}).of(block);
    };
    const std::size_t available = backend.free_memory();
    std::size_t most = 0, before = 0;
    for (std::size_t stage = 0; stage < o.stages.size(); ++stage) {
        NetworkShape s = stage_shape(o, data, stage);
        if (o.node_blocks > 1) s.held = NodeBlock{grid.node_block(rank), o.node_blocks}.nodes_of(data.ranges()).count;
        const NetworkPlan plan = plan_network(backend, s, data, network_options(o), layers_in(s),
                                              available > before ? available - before : 0);
        const std::size_t weights =
            bytes(s.hidden, s.inputs + s.classes) + static_cast<std::size_t>(s.layers - 2) * bytes(s.hidden, s.hidden);
        const bool copies = o.stage_from == StageFrom::best && stage + 1 < o.stages.size();
        const std::size_t copy = copies ? WeightCopy::bytes(s, layers_in(s), plan.first.node_space, true) : 0;
        most = std::max(most, plan.bytes + std::max(before, copy) + (backend.name() == "cpu" ? 2 * weights : 0));
        before = o.grow_state == GrowState::forward ? plan.weights : plan.bytes;
    }
    const FirstLayerForm first = first_layer_form(stage_shape(o, data, 0));
    if (block == 0 && first.by_graph)
        most += data.by_graph_bytes(o.hidden);
    else if (block == 0 && first.node_space)
        most += bytes(data.train(), data.nodes());
    if (block == 0 && !first.by_graph &&
        (first.closed || first.centred()))  // centred features while products are formed, a double copy to be inverted
        most += std::max(bytes(data.inputs(), first.node_space ? data.train() : data.held()[0]),
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
        const double spread = ranks_.share(std::vector<double>{spread_here()}, 0)[0];  // the first has the features
        for (Stage& stage : options_.stages) stage.weight_decay *= stage.nu * (spread > 0 ? spread : 1);
    }
    if (options.quantize != Quantize::none && options.codec == Codec::grid)
        levels_ = Buffer<real>(backend, std::vector<real>(options.levels.begin(), options.levels.end()));
    const BorderQuantizers quantizers = border_quantizers(options, levels_.data());
    rules_.p = quantizers.p;
    rules_.q = quantizers.q;
    begin_stage(0);
}

double Solver::spread_here() {
    std::vector<double> moments = data_.moments();
    if (moments.empty()) return data_.spread();
    const Index count = data_.inputs() + 1;
    ranks_.add_over_nodes(moments, count);
    moments.resize(static_cast<std::size_t>(count));
    return NodeData::spread_of(moments, data_.train());
}

bool Solver::fits(const NetworkShape& shape, const Placement& placement) {
    const std::size_t available = backend_.free_memory();
    const LayerRange own = placement.of(ranks_.layer_block());
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
    Placement placement = place_layers(options_.placement, shape, ranks_.grid().layers, costs_);
    if (calibration_.measured() && !fits(shape, placement))
        placement = place_layers(options_.placement, shape, ranks_.grid().layers, {});
    ranks_.place(std::move(placement));
    return std::make_unique<Network>(backend_, shape, data_, network_options(options_), ranks_.own());
}

void Solver::make_first_network() {
    network_ = placed_network(0);
    start(*network_, data_, options_, options_.stages[0], rules_, ranks_);
}

void Solver::grow_network(int stage) {
    const Placement before = ranks_.placement();
    iteration_.reset();
    if (options_.grow_state == GrowState::forward) network_->forget_state();  // or both networks lie in memory
    auto next = placed_network(stage);
    grow(*next, *network_, data_, options_, options_.stages[static_cast<std::size_t>(stage)], rules_, stage, ranks_,
         before);
    network_ = std::move(next);
}

void Solver::make_empty_network(int stage) {
    iteration_.reset();
    network_.reset();
    network_ = placed_network(stage);
}

void Solver::place(const Placement& placement) {
    const Placement before = ranks_.placement();
    if (placement == before) return;
    const SentBytes sent = iteration_->sent();
    recorded(recorder_.get(), Activity::moving_layers, [&] {
        ranks_.place(placement);
        auto next = std::make_unique<Network>(backend_, shape_of(progress_.stage), data_, network_options(options_),
                                              ranks_.own());
        move_layers(*network_, before, *next, ranks_);
        iteration_.reset();
        network_ = std::move(next);
        move_best_weights(before);
    });
    prepare(sent);
}

void Solver::calibrate() {
    const NetworkShape shape = network_->shape();
    calibration_.fit(costs_, *recorder_, *network_, ranks_);
    if (options_.trace_iterations == 0) recorder_.reset();
    const std::vector<double> costs = costs_.of(shape);
    const Placement better = Placement::balanced(costs, ranks_.grid().layers);
    if (worth_moving(ranks_.placement(), better, costs) && fits(shape, better))
        place(better);
    else
        prepare(iteration_->sent());
}

void Solver::prepare(const SentBytes& sent) {
    Network& net = *network_;
    W1_ = {};
    const int active = ranks_.several() ? ranks_.placement().active() : 1;
    calibration_.prepare(progress_.stage,
                         options_.placement.kind == PlacementRule::Kind::automatic &&
                             Calibration::worthwhile(net.shape(), active, stage().epochs - progress_.stage_epoch));
    if (calibration_.running() && !recorder_) recorder_ = std::make_unique<Recorder>(backend_);
    history_ = {backend_, run_ahead(), net.layers().count()};
    rules_.lanes = net.plan().lanes;
    refresh_ = backend_.record([this, &net] { refresh(backend_, net.groups()); });
    iteration_ = make_iteration({net, ranks_, rules_, options_.schedule, [this] { return watched(); }, history_.view(),
                                 recorder_.get(), calibration_.running(), sent});
}

CMat Solver::W1() {
    const NetworkShape& s = network_->shape();
    const auto view = [&] { return Mat{W1_.data(), s.hidden, s.inputs, s.hidden}; };
    if (!W1_.data()) {
        W1_ = {backend_, s.hidden * s.inputs};
        network_->form_W1(view());
    }
    return view();
}

const double* Solver::watched() {
    if (options_.schedule.watch == RhoSchedule::Watch::cost) return evaluator_.training_cost(*network_);
    const LayerRange own = network_->layers();
    return own.has(network_->shape().layers) ? &network_->figures()[own.count() - 1].risk : nullptr;
}

std::vector<EpochRecord> Solver::run(Index count) {
    W1_ = {};
    history_.rewind();
    for (Index i = 0; i < count;) {
        before_iteration(i);
        if (rules_.refresh_due(number(i))) recorded(recorder_.get(), Activity::refresh, [&] { refresh_->run(); });
        i = iteration_->run(i, until_refresh(i, count));
        check_borders(i - 1);
    }
    std::vector<LayerFigures> figures;
    recorded(recorder_.get(), Activity::gather, [&] { figures = history_.figures(count, ranks_); });
    iteration_->settle();
    std::vector<EpochRecord> done = records(figures, history_.penalties(count));
    if (recorder_) recorder_->settle();
    if (calibration_.complete()) calibrate();
    return done;
}

Index Solver::until_refresh(Index ahead, Index count) const {
    do ++ahead;
    while (ahead < count && !rules_.refresh_due(number(ahead)));
    return ahead;
}

void Solver::before_iteration(Index ahead) {
    if (calibration_.running()) calibration_.count(*recorder_);
    if (recorder_)
        recorder_->turn(calibration_.running() || progress_.stage_epoch + ahead < options_.trace_iterations,
                        number(ahead));
}

void Solver::check_borders(Index ahead) {
    if (!ranks_.several() || options_.check_replicas == 0 || number(ahead) % options_.check_replicas != 0) return;
    iteration_->settle();
    check_replicas(*network_, ranks_, number(ahead));
}

std::vector<EpochRecord> Solver::records(const std::vector<LayerFigures>& figures,
                                         const std::vector<Controls>& penalties) const {
    const NetworkShape& shape = network_->shape();
    const auto layers = static_cast<std::size_t>(shape.layers);
    const auto bytes_of = [&](const Quantizer& q) {
        return ranges_message_bytes(shape.hidden, data_.ranges(), 0, data_.ranges().count, q);
    };
    const Index borders = ranks_.several() ? ranks_.placement().active() - 1 : shape.layers - 1;
    std::vector<EpochRecord> all;
    for (std::size_t i = 0; i < penalties.size(); ++i) {
        const Controls& k = penalties[i];
        const Objective sum = objective(std::span(figures).subspan(i * layers, layers), k);
        EpochRecord record;
        record.rho = static_cast<double>(k.rho);
        record.nu = static_cast<double>(k.nu);
        record.objective = sum.lagrangian;
        record.risk = sum.risk;
        record.linear_sq = sum.linear_sq;
        record.primal_sq = sum.primal_sq;
        for (std::size_t l = 0; l < layers; ++l) {
            const LayerFigures& of_layer = figures[i * layers + l];
            record.layer_linear_sq.push_back(of_layer.linear_sq);
            if (l + 1 < layers) record.layer_primal_sq.push_back(of_layer.primal_sq);
        }
        record.bytes = static_cast<std::uint64_t>(borders) * (bytes_of(rules_.p) + bytes_of(rules_.q));
        all.push_back(record);
    }
    return all;
}

std::vector<std::uint64_t> Solver::border_bytes() {
    const SentBytes sent = iteration_->sent();
    if (sent.iterations == 0) return {};  // none, or none of several ranks
    const std::vector<double> left = ranks_.gather({static_cast<double>(sent.left)}),
                              right = ranks_.gather({static_cast<double>(sent.right)});
    std::vector<std::uint64_t> bytes;
    const auto nodes = static_cast<std::size_t>(ranks_.grid().nodes);
    for (std::size_t block = 0; block + 1 < static_cast<std::size_t>(ranks_.placement().active()); ++block) {
        double all = 0;
        for (std::size_t rank = block * nodes; rank < (block + 1) * nodes; ++rank)
            all += right[rank] + left[rank + nodes];
        bytes.push_back(static_cast<std::uint64_t>(all) / static_cast<std::uint64_t>(sent.iterations));
    }
    return bytes;
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
