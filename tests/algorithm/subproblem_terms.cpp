// What the checks of subproblems share (tests/algorithm/subproblem_terms.hpp).
#include "tests/algorithm/subproblem_terms.hpp"

#include <fmt/format.h>

#include <cmath>

namespace pdadmm::subproblem {

Array minus(Array a, const Array& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a.values[i] -= b.values[i];
    return a;
}

Residual residual(const Array& W, const Array& p, const Array& b, const Array& z, double carried) {
    Residual r{multiply(W, false, p, false), multiply(absolute(W), false, absolute(p), false)};
    for (Index j = 0; j < z.cols; ++j)
        for (Index i = 0; i < z.rows; ++i) {
            r.value(i, j) += b(i, 0) - z(i, j);
            r.magnitude(i, j) += std::fabs(b(i, 0)) + std::fabs(z(i, j)) + carried;
        }
    return r;
}

double decay_reference(const RandomProblem& problem, int layer, Index rows, std::size_t i) {
    const ProblemSpec& spec = problem.spec();
    const auto at_row = static_cast<Index>(i) % rows, at_column = static_cast<Index>(i) / rows;
    return spec.decay == DecayTo::identity && layer > 1 && layer < spec.layers && at_row == at_column ? 1 : 0;
}

PointOfP gradient_of_p(const State& old, int layer) {
    const std::size_t l = at(layer);
    const Residual r = residual(old.W[l], old.p[l], old.b[l], old.z[l], old.carried[l]);
    PointOfP point{multiply(old.W[l], true, r.value, false), 0};
    Array parts = multiply(absolute(old.W[l]), true, r.magnitude, false);
    for (std::size_t i = 0; i < point.g.size(); ++i) {
        const double u = old.u[l - 1].values[i], p = old.p[l].values[i], q = old.q[l - 1].values[i];
        point.g.values[i] = old.nu * point.g.values[i] + u + old.rho * (p - q);
        parts.values[i] = old.nu * parts.values[i] + std::fabs(u) + old.rho * (std::fabs(p) + std::fabs(q));
    }
    point.magnitude = largest(parts);
    return point;
}

double curvature_of_p(const State& old, int layer, const Array& d) {
    const Array h = multiply(old.W[at(layer)], false, d, false);
    return old.nu * dot(h, h) + old.rho * dot(d, d);
}

double distance_but_ties(const std::vector<double>& levels, const Array& values, const Array& targets, double tie) {
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double x = targets.values[i], best = std::fabs(levels[reference::nearest(levels, x)] - x);
        const double extra = std::fabs(values.values[i] - x) - best;
        if (!(extra <= 2 * tie) && !(extra <= worst)) worst = extra;
    }
    return worst;
}

double off_grid(const std::vector<double>& levels, const Array& values) {
    double worst = 0;
    for (const double x : values.values) {
        const double off = std::fabs(levels[reference::nearest(levels, x)] - x);
        if (!(off <= worst)) worst = off;
    }
    return worst;
}

namespace {

void check_p_on_grid(Checker& c, int layer, const Trials& trials) {
    const std::size_t l = at(layer);
    const std::vector<double> levels(c.problem.levels().begin(), c.problem.levels().end());
    const Array& p = c.before.p[l];
    c.expect("p: off the grid", layer, off_grid(levels, c.after.p[l]), 0);
    const auto target = [&](double inverse) {
        Array t = p;
        for (std::size_t i = 0; i < t.size(); ++i) t.values[i] -= inverse * trials.direction.values[i];
        return t;
    };
    const auto tie = [&](double inverse) { return slack * unit * (largest(p) + inverse * trials.magnitude); };
    double tau = trials.first_tau;
    for (int k = 0; k < 11; ++k, tau *= 2) {
        Array d = target(1 / tau);
        for (double& x : d.values) x = levels[reference::nearest(levels, x)];
        d = minus(d, p);
        const bool made = distance_but_ties(levels, c.after.p[l], target(1 / tau), tie(1 / tau)) == 0;
        const Array move = made ? minus(c.after.p[l], p) : d;
        const double curvature = curvature_of_p(c.before, layer, move), allowed = trials.bound(move, tau),
                     excess = curvature - allowed;
        const double noise = 1e3 * unit * std::fmax(curvature, std::fabs(allowed));
        if (made && excess <= noise) return;  // this trial, and it may be accepted
        if (excess < -noise) return c.expect("p: not the first accepted trial on the grid", layer, 1 + k, 0);
    }
    c.expect("p: not snapped in place after the last trial", layer, distance_but_ties(levels, c.after.p[l], p, tie(0)),
             0);
}

}  // namespace

void check_codes(Checker& c, const char* name, int layer, const Array& moved, const Array& wanted, double factor,
                 double noise) {
    const reference::ChangeGrid grid =
        reference::change_grid(wanted, c.problem.spec().bits, c.problem.spec().change_scale);
    double off = 0, between = 0;
    for (std::size_t i = 0; i < moved.size(); ++i) {
        const double decoded = moved.values[i] / factor;
        off = std::fmax(off, grid.off_change(decoded, wanted.values[i]));
        between = std::fmax(between, grid.off_code(decoded));
    }
    c.expect(fmt::format("{}: further than half a code from the wanted change", name), layer, off, noise / factor);
    c.expect(fmt::format("{}: change is no code times its width", name), layer, between,
             noise / factor * (grid.top + 1));
}

namespace {

void check_p_by_difference(Checker& c, int layer, const Trials& trials) {
    const std::size_t l = at(layer);
    Array wanted = trials.direction;
    for (double& x : wanted.values) x /= -trials.first_tau;
    const reference::ChangeGrid grid =
        reference::change_grid(wanted, c.problem.spec().bits, c.problem.spec().change_scale);
    const Array moved = minus(c.after.p[l], c.before.p[l]);
    const auto findings_at = [&](double factor) {
        Checker at_this_trial{c.before, c.after, c.problem, {}};
        check_codes(at_this_trial, "p", layer, moved, wanted, factor,
                    slack * unit * (largest(c.before.p[l]) + trials.magnitude / trials.first_tau));
        return at_this_trial.findings;
    };
    // The codes of all trials: those that were sent, where they are codes of the wanted change, since halfway between
    // two rounding decides, and another code moves the test of acceptance.
    Array d = wanted;
    for (double& x : d.values) x = grid.rounded(x);
    double factor = 1;
    for (int trial = 0; trial < 11; ++trial, factor /= 2)
        if (largest(moved) > 0 && findings_at(factor).empty()) {
            d = moved;
            for (double& x : d.values) x = grid.rounded(x / factor);
            break;
        }
    const double curvature = curvature_of_p(c.before, layer, d);
    double tau = trials.first_tau;
    factor = 1;
    for (int trial = 0; trial < 11; ++trial, tau *= 2, factor /= 2) {
        const double allowed = trials.bound(d, tau), undecided = 1e3 * unit;
        const double excess = allowed > 0 ? curvature / allowed - 1 : curvature > 0 ? INFINITY : -1;
        if (excess > undecided) continue;
        const std::vector<Finding> findings = findings_at(factor);
        if (findings.empty()) return;
        if (excess > -undecided) continue;  // rounding decides between this trial and the next
        c.findings.insert(c.findings.end(), findings.begin(), findings.end());
        return;
    }
    c.expect("p: moved although no trial is accepted", layer, largest(moved), 0);
}

}  // namespace

void check_quantised_p(Checker& c, int layer, const Trials& trials) {
    c.problem.rules().p.codec == Codec::grid ? check_p_on_grid(c, layer, trials)
                                             : check_p_by_difference(c, layer, trials);
}

}  // namespace pdadmm::subproblem
