// Draws and reads whole states (tests/support/random_problem.hpp).
#include "tests/support/random_problem.hpp"

#include <fmt/format.h>

#include <cmath>

namespace pdadmm {
namespace {

using reference::Array;

/// Some small, some large; 1 each where the problem has none.
std::vector<double> weights_of(const ProblemSpec& spec) {
    std::vector<double> weights(static_cast<std::size_t>(spec.classes), 1.0);
    for (std::size_t c = 0; c < weights.size() && spec.class_weights; ++c) weights[c] = c % 2 == 0 ? 0.2 : 3;
    return weights;
}

AugmentedNodes random_nodes(const ProblemSpec& spec, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    AugmentedNodes nodes;
    nodes.inputs = spec.inputs;
    nodes.classes = spec.classes;
    nodes.counts = {spec.nodes, 0, 0};
    for (Index i = 0; i < spec.inputs * spec.nodes; ++i) nodes.X.push_back(static_cast<real>(normal(random)));
    for (Index j = 0; j < spec.nodes; ++j)
        nodes.labels.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(spec.classes)));
    if (spec.class_weights) nodes.class_weights = weights_of(spec);
    for (Index i = 0; spec.multi_label && i < spec.classes * spec.nodes; ++i)
        nodes.targets.push_back(static_cast<std::uint8_t>(random() % 3 == 0 ? 1 : 0));
    return nodes;
}

Array read(Backend& be, CMat m) { return {m.rows, m.cols, download(be, m)}; }

}  // namespace

std::string ProblemSpec::text() const {
    const char* const codecs[] = {"none", "grid", "difference"};
    const char* const steps[] = {"exact", "backtracking", "block"};
    return fmt::format(
        "L {} n0 {} n {} C {} N {} rho {:g} nu {:g} mu {:g} {} p {} q {} bits {} of {} {} stacks of {} scale "
        "{:g}{}{}{}",
        layers, inputs, hidden, classes, nodes, rho, nu, mu, steps[static_cast<int>(step.rule)],
        codecs[static_cast<int>(p)], codecs[static_cast<int>(q)], bits,
        change_scale == ChangeScale::max ? "max" : "rms", first_layer == FirstLayer::direct ? "direct" : "node space",
        most_stacked, scale, decay == DecayTo::identity ? " to identity" : "",
        class_weights ? " with class weights"
        : multi_label ? " with several labels a node"
                      : "",
        growth == 1 ? "" : fmt::format(" penalties times {:g}", growth));
}

RandomProblem::RandomProblem(Backend& backend, const ProblemSpec& spec, std::uint64_t seed)
    : backend_(backend),
      spec_(spec),
      host_levels_(spec.levels.begin(), spec.levels.end()),
      nodes_(random_nodes(spec, seed)),
      data_(backend, nodes_),
      net_(backend, {spec.layers, spec.inputs, spec.hidden, spec.classes, spec.nodes, spec.step.rule}, data_,
           {spec.first_layer, spec.most_stacked, spec.p != Codec::none, false, spec.decay}),
      levels_(backend, host_levels_) {
    const Quantizer grid{Codec::grid, 8, levels_.data(), static_cast<std::int32_t>(levels_.count())};
    const auto quantizer = [&](Codec c) {
        return c == Codec::grid ? grid : Quantizer{c, spec.bits, nullptr, 0, spec.change_scale};
    };
    rules_ = {spec.step, quantizer(spec.p), quantizer(spec.q), 0, net_.plan().lanes};

    std::mt19937_64 random(seed + 1);
    std::normal_distribution<double> normal;
    const auto draw = [&](Mat to, double scale) {
        Array a(to.rows, to.cols);
        for (double& x : a.values) x = scale * normal(random);
        set(to, a);
    };
    const auto draw_levels = [&](Mat to) {
        Array a(to.rows, to.cols);
        for (double& x : a.values) x = static_cast<double>(host_levels_[random() % host_levels_.size()]);
        set(to, a);
    };
    const int L = spec.layers;
    for (int l = 1; l <= L; ++l) {
        const bool as_sum = l == 1 && net_.node_space();
        const Mat W = as_sum ? net_.W0() : net_.W(l);
        draw(W, 1 / std::sqrt(static_cast<double>(W.cols)));
        draw(net_.b(l), 0.5);
        draw(net_.z(l), spec.scale);
        if (l == L) break;
        spec.p == Codec::grid ? draw_levels(net_.p(l + 1)) : draw(net_.p(l + 1), spec.scale);
        spec.q == Codec::grid ? draw_levels(net_.q(l)) : draw(net_.q(l), spec.scale);
        draw(net_.u(l), spec.nu * spec.scale);
    }
    if (net_.node_space()) {
        const Array W0 = read(backend, net_.W0());
        const bool dropped = net_.plan().first.conjugate_steps > 0 && spec.mu > 0;  // as at the start of a stage
        const NodeSpaceScalars scalars = dropped ? NodeSpaceScalars{0, 0} : NodeSpaceScalars{1, reference::dot(W0, W0)};
        backend.upload(&scalars, net_.node_scalars(), sizeof scalars);
        net_.form_node_space();
    }
    const Controls k{static_cast<real>(spec.rho), static_cast<real>(spec.nu), static_cast<real>(spec.mu), 0, INFINITY};
    backend.upload(&k, net_.controls(), sizeof k);
    refresh();
}

void RandomProblem::set(Mat to, const Array& values) {
    const std::vector<real> host(values.values.begin(), values.values.end());
    backend_.upload(host.data(), to.data, host.size() * sizeof(real));
}

void RandomProblem::refresh() { pdadmm::refresh(backend_, net_.groups()); }

void RandomProblem::assign(const State& s) {
    for (int l = 1; l <= spec_.layers; ++l) {
        const auto i = static_cast<std::size_t>(l);
        set(net_.W(l), s.W[i]);
        set(net_.b(l), s.b[i]);
        set(net_.p(l), s.p[i]);
        set(net_.z(l), s.z[i]);
        if (l == spec_.layers) break;
        set(net_.q(l), s.q[i]);
        set(net_.u(l), s.u[i]);
    }
    backend_.upload(s.labels.data(), const_cast<std::int32_t*>(data_.labels().of_nodes),
                    s.labels.size() * sizeof(std::int32_t));
    refresh();
}

void RandomProblem::step() {
    if (rules_.refresh_due(++iteration_)) pdadmm::refresh(backend_, net_.groups());
    iterate(backend_, net_.groups(), net_.controls(), rules_);
    if (spec_.growth == 1) return;
    Controls k;
    backend_.download(net_.controls(), &k, sizeof k);
    k.rho *= static_cast<real>(spec_.growth);
    k.nu *= static_cast<real>(spec_.growth);
    backend_.upload(&k, net_.controls(), sizeof k);
}

State RandomProblem::state() {
    const int L = spec_.layers;
    State s;
    Controls k;
    backend_.download(net_.controls(), &k, sizeof k);
    s.rho = static_cast<double>(k.rho);
    s.nu = static_cast<double>(k.nu);
    s.mu = static_cast<double>(k.mu);
    s.labels = data_.host_labels();
    s.targets = data_.host_targets();
    s.class_weights = weights_of(spec_);
    s.decay = spec_.decay;
    s.node_space = net_.node_space();
    for (std::vector<Array>* all : {&s.W, &s.b, &s.p, &s.z, &s.r, &s.q, &s.u})
        all->resize(static_cast<std::size_t>(L) + 1);
    for (int l = 1; l <= L; ++l) {
        const auto i = static_cast<std::size_t>(l);
        if (!(l == 1 && s.node_space)) s.W[i] = read(backend_, net_.W(l));
        s.b[i] = read(backend_, net_.b(l));
        s.p[i] = read(backend_, net_.p(l));
        s.z[i] = read(backend_, net_.z(l));
        s.r[i] = read(backend_, net_.r(l));
        if (l == L) break;
        s.q[i] = read(backend_, net_.q(l));
        s.u[i] = read(backend_, net_.u(l));
    }
    if (s.node_space) {
        NodeSpaceScalars scalars;
        backend_.download(net_.node_scalars(), &scalars, sizeof scalars);
        const Array W0 = read(backend_, net_.W0()), S = read(backend_, net_.S());
        s.W[1] = reference::multiply(S, false, s.p[1], true);
        s.W_parts = reference::multiply(reference::absolute(S), false, reference::absolute(s.p[1]), true);
        for (std::size_t i = 0; i < W0.size(); ++i) {
            s.W[1].values[i] = scalars.c * W0.values[i] - s.W[1].values[i];
            s.W_parts.values[i] += std::fabs(scalars.c * W0.values[i]);
        }
        s.V = read(backend_, net_.V());
        s.weight_sq = scalars.weight_sq;
        s.closed_form = net_.plan().first.closed;
    }
    s.W_from_nodes.resize(static_cast<std::size_t>(L) + 1);
    for (const LayerGroup& g : net_.groups())
        for (int l = g.first; l < g.first + g.count; ++l) s.W_from_nodes[static_cast<std::size_t>(l)] = g.W_from_nodes;
    s.carried.resize(static_cast<std::size_t>(L) + 1);
    s.figures.resize(static_cast<std::size_t>(L));
    backend_.download(net_.figures(), s.figures.data(), s.figures.size() * sizeof(LayerFigures));
    return s;
}

Lagrangian lagrangian(const State& s) {
    Lagrangian sum;
    const auto add = [&](double term) {
        sum.value += term;
        sum.magnitude += std::fabs(term);
    };
    const int L = s.layers();
    for (int layer = 1; layer <= L; ++layer) {
        const auto l = static_cast<std::size_t>(layer);
        const Array a = reference::multiply(s.W[l], false, s.p[l], false);
        for (Index j = 0; j < a.cols; ++j)
            for (Index i = 0; i < a.rows; ++i) {
                add(s.nu / 2 * std::pow(s.z[l](i, j) - a(i, j) - s.b[l](i, 0), 2));
                if (layer == L) continue;
                const double gap = s.p[l + 1](i, j) - s.q[l](i, j);
                add(s.nu / 2 * std::pow(s.q[l](i, j) - reference::ramp(s.z[l](i, j)), 2));
                add(s.u[l](i, j) * gap);
                add(s.rho / 2 * gap * gap);
            }
        Array off = s.W[l];
        for (Index i = 0; i < off.rows && s.decay == DecayTo::identity && layer > 1 && layer < L; ++i) off(i, i) -= 1;
        add(s.mu / 2 * reference::dot(off, off));
    }
    const Array& z = s.z[static_cast<std::size_t>(L)];
    for (Index j = 0; j < z.cols; ++j) {
        std::vector<double> v;
        for (Index i = 0; i < z.rows; ++i) v.push_back(z(i, j));
        for (std::size_t i = 0; i < v.size() && !s.targets.empty(); ++i)
            add(reference::label_cost(v[i], s.targets[static_cast<std::size_t>(j) * v.size() + i] != 0));
        if (!s.targets.empty()) continue;
        const std::int32_t y = s.labels[static_cast<std::size_t>(j)];
        add(s.class_weights[static_cast<std::size_t>(y)] * reference::cross_entropy(v, y));
    }
    return sum;
}

}  // namespace pdadmm
