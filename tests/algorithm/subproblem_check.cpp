// Optimality checks in float64 (tests/algorithm/subproblem_check.hpp). Every bound is `slack` rounding units of the sum
// of the magnitudes that enter the checked value, so one line serves float and double builds.
#include "tests/algorithm/subproblem_check.hpp"
#include "tests/algorithm/block_check.hpp"
#include "tests/algorithm/subproblem_terms.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace pdadmm {
namespace {

using namespace subproblem;

/// A quadratic step: new = old - gradient / tau for one tau, which passes the majorisation test and is the rule's
/// choice.
struct Quadratic {
    const char* name;
    int layer;
    Array gradient, move;                           // at the old point; new - old
    double magnitude;                               // of the gradient's terms
    double old_magnitude;                           // of the old values
    std::function<double(const Array&)> curvature;  // d' Hessian d
    double sum_noise = 0;                           // relative error of |gradient|^2 where it is formed from sums
};

void check_step(Checker& c, const Quadratic& s) {
    const StepSpec spec = c.problem.rules().step;
    const double gg = dot(s.gradient, s.gradient), dd = dot(s.move, s.move);
    const double wanted = gg > 0 ? s.curvature(s.gradient) / gg : 0;
    const std::string name = s.name;
    if (dd == 0) {  // kept: the gradient is zero, or no trial was accepted
        const bool none_accepted = spec.rule == StepRule::backtracking && wanted > 20480 * (1 - slack * unit);
        c.expect(name + ": kept although its gradient is not zero", s.layer, none_accepted ? 0 : largest(s.gradient),
                 slack * unit * s.magnitude);
        return;
    }
    const double tau = -dot(s.gradient, s.move) / dd;
    const double noise = slack * unit * (s.magnitude + std::fabs(tau) * s.old_magnitude);
    Array stationary = s.gradient;
    for (std::size_t i = 0; i < stationary.size(); ++i) stationary.values[i] += tau * s.move.values[i];
    const double entries = static_cast<double>(s.move.size());
    const double relative = noise / (std::fabs(tau) * std::sqrt(dd / entries)) + slack * unit + s.sum_noise;
    c.expect(name + ": gradient + tau (new - old)", s.layer, largest(stationary), noise);
    c.expect(name + ": majorisation, curvature / tau - 1", s.layer, s.curvature(s.move) / (tau * dd) - 1, relative);
    const double expected = reference::inverse_step(spec, wanted),
                 below = reference::inverse_step(spec, wanted * (1 + relative)),
                 above = reference::inverse_step(spec, wanted * (1 - relative));
    const double off =
        std::fmin(std::fabs(tau * expected - 1), std::fmin(std::fabs(tau * below - 1), std::fabs(tau * above - 1)));
    c.expect(name + ": tau beside the rule's choice", s.layer, off, 2 * relative);
}

void check_p(Checker& c, int layer) {
    const PointOfP point = gradient_of_p(c.before, layer);
    const auto curvature = [&](const Array& d) { return curvature_of_p(c.before, layer, d); };
    const double gg = dot(point.g, point.g);
    const StepSpec spec = c.problem.rules().step;
    const double first_tau = spec.rule == StepRule::backtracking ? 20 : std::fmax(curvature(point.g) / gg, spec.least);
    if (c.problem.rules().p.codec == Codec::none)
        return check_step(c, {"p", layer, point.g, minus(c.after.p[at(layer)], c.before.p[at(layer)]), point.magnitude,
                              largest(c.before.p[at(layer)]), curvature});
    check_quantised_p(
        c, layer, {point.g, point.magnitude, first_tau, [](const Array& d, double tau) { return tau * dot(d, d); }});
}

void check_W(Checker& c, int layer) {
    const std::size_t l = at(layer);
    const State& old = c.before;
    const Array& p = c.after.p[l];
    const Residual r = residual(old.W[l], p, old.b[l], old.z[l], old.carried[l]);
    Array G = multiply(r.value, false, p, true), parts = multiply(r.magnitude, false, absolute(p), true);
    const bool from_sums = layer == 1 && old.node_space;
    const Array& W_parts = from_sums ? old.W_parts : old.W[l];
    for (std::size_t i = 0; i < G.size(); ++i) {
        const double reference = decay_reference(c.problem, layer, G.rows, i);
        G.values[i] = old.nu * G.values[i] + old.mu * (old.W[l].values[i] - reference);
        parts.values[i] = old.nu * parts.values[i] + old.mu * (std::fabs(W_parts.values[i]) + reference);
    }
    double sum_noise = 0;
    if (from_sums) {
        const Array X = absolute(p), T = multiply(multiply(r.magnitude, false, X, true), false, X, false);
        sum_noise = slack * unit *
                    (old.nu * old.nu * dot(r.magnitude, T) + 2 * old.nu * old.mu * dot(r.magnitude, r.magnitude) +
                     old.mu * old.mu * old.weight_sq) /
                    dot(G, G);
    }
    const auto curvature = [&](const Array& d) {
        const Array h = multiply(d, false, p, false);
        return old.nu * dot(h, h) + old.mu * dot(d, d);
    };
    check_step(c,
               {"W", layer, G, minus(c.after.W[l], old.W[l]), largest(parts), largest(W_parts), curvature, sum_noise});
    if (!from_sums) return;
    const Array V = multiply(c.after.W[l], false, p, false),
                V_parts = multiply(c.after.W_parts, false, absolute(p), false);
    c.expect("V: not W1 X", layer, largest(minus(V, c.after.V)), slack * unit * largest(V_parts));
    c.expect("|W1|^2 as carried", layer, std::fabs(c.after.weight_sq - dot(c.after.W[l], c.after.W[l])),
             slack * unit * (dot(c.after.W_parts, c.after.W_parts) + dot(old.W_parts, old.W_parts)) *
                 (1 + sum_noise / unit / slack));
}

void check_b(Checker& c, int layer) {
    const std::size_t l = at(layer);
    const Residual r = residual(c.after.W[l], c.after.p[l], c.after.b[l], c.before.z[l], c.after.carried[l]);
    double worst = 0;
    for (Index i = 0; i < r.value.rows; ++i) {
        double sum = 0;
        for (Index j = 0; j < r.value.cols; ++j) sum += r.value(i, j);
        const double mean = std::fabs(sum / static_cast<double>(r.value.cols));
        if (!(mean <= worst)) worst = mean;
    }
    c.expect("b: mean over nodes of W p + b - z", layer, worst, slack * unit * largest(r.magnitude));
}

void check_hidden_z(Checker& c, int layer) {
    const std::size_t l = at(layer);
    const Residual r = residual(c.after.W[l], c.after.p[l], c.after.b[l], c.before.z[l], c.after.carried[l]);
    const double m = largest(r.magnitude) + largest(c.before.q[l]);
    double worse = 0, beside = 0;
    for (std::size_t i = 0; i < r.value.size(); ++i) {
        const double z = c.before.z[l].values[i], a = r.value.values[i] + z, q = c.before.q[l].values[i],
                     now = c.after.z[l].values[i];
        const double negative = std::fmin((a + z) / 2, 0), positive = std::fmax((a + q + z) / 3, 0);
        double best =
            std::fmin(reference::hidden_objective(negative, a, q, z), reference::hidden_objective(positive, a, q, z));
        const double reach = std::fabs(a) + std::fabs(q) + std::fabs(z);
        for (int k = -100; k <= 100; ++k) best = std::fmin(best, reference::hidden_objective(reach * k / 100, a, q, z));
        const double excess = reference::hidden_objective(now, a, q, z) - best;
        const double off = std::fmin(std::fabs(now - negative), std::fabs(now - positive));
        if (!(excess <= worse)) worse = excess;
        if (!(off <= beside)) beside = off;
    }
    c.expect("z: objective above the least of a grid and both half-lines", layer, worse, slack * unit * m * m);
    c.expect("z: beside the minimisers of both half-lines", layer, beside, slack * unit * m);
}

std::vector<double> column(const Array& a, Index j) {
    std::vector<double> v;
    for (Index i = 0; i < a.rows; ++i) v.push_back(a(i, j));
    return v;
}

void check_last_z(Checker& c) {
    const int L = c.before.layers();
    const std::size_t l = at(L);
    const Residual r = residual(c.after.W[l], c.after.p[l], c.after.b[l], c.before.z[l], c.after.carried[l]);
    const double nu = c.before.nu, m = largest(r.magnitude) + 1;
    double kkt = 0, rise = 0, risk = 0, heaviest = 1;
    for (Index j = 0; j < r.value.cols; ++j) {
        const std::vector<double> old = column(c.before.z[l], j), now = column(c.after.z[l], j);
        std::vector<double> a = old;
        for (Index i = 0; i < r.value.rows; ++i) a[static_cast<std::size_t>(i)] += r.value(i, j);
        if (!c.before.targets.empty()) {
            for (std::size_t i = 0; i < now.size(); ++i) {
                const bool t = c.before.targets[static_cast<std::size_t>(j) * now.size() + i] != 0;
                const auto at_point = [&](double v) {
                    return reference::label_cost(v, t) + nu / 2 * (v - a[i]) * (v - a[i]);
                };
                const double gradient = std::fabs(reference::label_slope(now[i], t) + nu * (now[i] - a[i])),
                             change = at_point(now[i]) - at_point(old[i]);
                if (!(gradient <= kkt)) kkt = gradient;
                if (!(change <= rise)) rise = change;
                risk += reference::label_cost(now[i], t);
            }
            continue;
        }
        const std::int32_t y = c.before.labels[static_cast<std::size_t>(j)];
        const double weight = c.before.class_weights[static_cast<std::size_t>(y)], penalty = nu / weight;
        const double gradient = weight * reference::prox_residual(now, a, y, penalty);
        const double change =
            weight * (reference::prox_objective(now, a, y, penalty) - reference::prox_objective(old, a, y, penalty));
        if (!(gradient <= kkt)) kkt = gradient;
        if (!(change <= rise)) rise = change;
        risk += weight * reference::cross_entropy(now, y);
        heaviest = std::fmax(heaviest, weight);
    }
    const double move = heaviest + nu;
    c.expect("z_L: KKT residual", L, kkt, slack * unit * move * m + heaviest * 1e-11);
    c.expect("z_L: objective rose", L, rise, slack * unit * move * m * m);
    const double nodes =
        static_cast<double>(c.before.targets.empty() ? r.value.cols : static_cast<Index>(r.value.size()));
    c.expect("figures: risk", L, std::fabs(c.after.figures[l - 1].risk - risk),
             heaviest * (slack * unit * m * nodes + 1e-11 * nodes));
}

void check_q_and_u(Checker& c, int layer) {
    const std::size_t l = at(layer);
    const State &old = c.before, &now = c.after;
    const Codec codec = c.problem.rules().q.codec;
    const std::vector<double> levels(c.problem.levels().begin(), c.problem.levels().end());
    Array wanted = old.q[l];
    double gradient = 0, noise = 0, dual = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const double q = now.q[l].values[i], f = reference::ramp(now.z[l].values[i]), u = old.u[l].values[i],
                     p = now.p[l + 1].values[i];
        const double slope = old.nu * (q - f) - u - old.rho * (p - q);
        if (!(std::fabs(slope) <= gradient)) gradient = std::fabs(slope);
        noise = std::fmax(noise, old.nu * (std::fabs(q) + f) + std::fabs(u) + old.rho * (std::fabs(p) + std::fabs(q)));
        wanted.values[i] = (old.nu * f + u + old.rho * p) / (old.nu + old.rho);
        const real step = static_cast<real>(old.rho) * (static_cast<real>(p) - static_cast<real>(q));
        if (!(now.u[l].values[i] == static_cast<double>(static_cast<real>(u) + step))) dual += 1;
    }
    const double q_noise = slack * unit * (noise / (old.nu + old.rho) + largest(old.q[l]));
    if (codec == Codec::none) c.expect("q: gradient", layer, gradient, slack * unit * noise);
    if (codec == Codec::grid) {
        c.expect("q: off the grid", layer, off_grid(levels, now.q[l]), 0);
        c.expect("q: not the nearest level", layer, distance_but_ties(levels, now.q[l], wanted, q_noise), 0);
    }
    if (codec == Codec::difference)
        check_codes(c, "q", layer, minus(now.q[l], old.q[l]), minus(wanted, old.q[l]), 1, q_noise);
    c.expect("u: elements that are not u + rho (p - q)", layer, dual, 0);
}

void check_r_and_figures(Checker& c, int layer) {
    const std::size_t l = at(layer);
    const State& now = c.after;
    const Residual r = residual(now.W[l], now.p[l], now.b[l], now.z[l], now.carried[l]);
    c.expect("r: not W p + b - z", layer, largest(minus(r.value, now.r[l])), slack * unit * largest(r.magnitude));
    const LayerFigures& f = now.figures[l - 1];
    const double rr = dot(now.r[l], now.r[l]);
    double WW = 0;
    for (std::size_t i = 0; i < now.W[l].size(); ++i)
        WW += std::pow(now.W[l].values[i] - decay_reference(c.problem, layer, now.W[l].rows, i), 2);
    c.expect("figures: |r|^2", layer, std::fabs(f.linear_sq - rr), slack * unit * rr);
    if (!(layer == 1 && now.node_space))
        c.expect("figures: |W - W_ref|^2", layer, std::fabs(f.weight_sq - WW),
                 slack * unit * (WW + dot(now.W[l], now.W[l])));
    if (layer == now.layers()) return;
    double activation = 0, coupling = 0, primal = 0, m_activation = 0, m_coupling = 0, m_primal = 0;
    for (std::size_t i = 0; i < now.q[l].size(); ++i) {
        const double q = now.q[l].values[i], p = now.p[l + 1].values[i], u = now.u[l].values[i], z = now.z[l].values[i];
        activation += std::pow(q - reference::ramp(z), 2);
        coupling += u * (p - q);
        primal += (p - q) * (p - q);
        m_activation += std::pow(std::fabs(q) + std::fabs(z), 2);
        m_coupling += std::fabs(u) * (std::fabs(p) + std::fabs(q));
        m_primal += std::pow(std::fabs(p) + std::fabs(q), 2);
    }
    c.expect("figures: |q - f(z)|^2", layer, std::fabs(f.activation_sq - activation), slack * unit * m_activation);
    c.expect("figures: <u, p - q>", layer, std::fabs(f.coupling - coupling), slack * unit * m_coupling);
    c.expect("figures: |p - q|^2", layer, std::fabs(f.primal_sq - primal), slack * unit * m_primal);
}

}  // namespace

void note_carried(const State& before, State& after) {
    for (std::size_t l = 1; l < after.W.size(); ++l)
        for (const State* s : {&before, static_cast<const State*>(&after)})
            after.carried[l] = std::fmax(
                std::fmax(after.carried[l], s->carried[l]),
                largest(residual(l == 1 && s->node_space ? s->W_parts : s->W[l], s->p[l], s->b[l], s->z[l]).magnitude) *
                    (l == 1 && s->closed_form ? 16 : 1));
}

std::vector<Finding> check_iteration(const State& before, const State& after, const RandomProblem& problem) {
    Checker c{before, after, problem, {}};
    const int L = before.layers();
    for (int layer = 1; layer <= L; ++layer) {
        const bool block = problem.rules().step.rule == StepRule::block;
        if (layer > 1) block ? check_block_p(c, layer) : check_p(c, layer);
        block ? check_block_W(c, layer) : check_W(c, layer);
        check_b(c, layer);
        check_r_and_figures(c, layer);
        if (layer == L) break;
        check_hidden_z(c, layer);
        check_q_and_u(c, layer);
    }
    check_last_z(c);
    return c.findings;
}

}  // namespace pdadmm
