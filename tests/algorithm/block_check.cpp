// Optimality of closed forms (tests/algorithm/block_check.hpp). The program multiplies by an inverse that was rounded,
// so a gradient may be left that is the condition of the matrix times a rounding unit of the gradient that was there
// before.
#include "tests/algorithm/block_check.hpp"

#include <cmath>

namespace pdadmm::subproblem {
namespace {

/// nu W'W + rho I, m x m.
Array hessian_of_p(const State& old, int layer) {
    const Array& W = old.W[at(layer)];
    Array H = multiply(W, true, W, false);
    for (double& x : H.values) x *= old.nu;
    for (Index i = 0; i < H.rows; ++i) H(i, i) += old.rho;
    return H;
}

double trace(const Array& A) {
    double sum = 0;
    for (Index i = 0; i < A.rows; ++i) sum += A(i, i);
    return sum;
}

Array centred(Array a) {
    for (Index i = 0; i < a.rows; ++i) {
        double mean = 0;
        for (Index j = 0; j < a.cols; ++j) mean += a(i, j) / static_cast<double>(a.cols);
        for (Index j = 0; j < a.cols; ++j) a(i, j) -= mean;
    }
    return a;
}

}  // namespace

void check_block_p(Checker& c, int layer) {
    const PointOfP old = gradient_of_p(c.before, layer);
    const Array H = hessian_of_p(c.before, layer);
    const double condition = trace(H) / c.before.rho;
    if (c.problem.rules().p.codec == Codec::none) {
        State moved = c.before;
        moved.p[at(layer)] = c.after.p[at(layer)];
        const PointOfP now = gradient_of_p(moved, layer);
        return c.expect("p: gradient at the minimiser", layer, largest(now.g),
                        slack * unit * (now.magnitude + old.magnitude + condition * largest(old.g)));
    }
    const Array direction = reference::solve(H, old.g);
    const auto bound = [&](const Array& d,
                           double tau) {  // f <g,d> + f^2/2 d' H d <= 0 with f = 1/tau, for a grid that is in d already
        return -2 * dot(old.g, d) * (c.problem.rules().p.codec == Codec::grid ? 1 : tau);
    };
    check_quantised_p(c, layer, {direction, condition * (largest(direction) + old.magnitude / c.before.rho), 1, bound});
}

void check_block_W(Checker& c, int layer) {
    const std::size_t l = at(layer);
    const State &old = c.before, &now = c.after;
    const Array& p = now.p[l];
    const auto gradient = [&](const State& s, Array& parts) {
        const Residual r = residual(s.W[l], p, s.b[l], old.z[l], s.carried[l]);
        Array G = multiply(centred(r.value), false, p, true);
        parts = multiply(r.magnitude, false, absolute(p), true);
        const Array& W_parts = layer == 1 && s.node_space ? s.W_parts : s.W[l];
        for (std::size_t i = 0; i < G.size(); ++i) {
            const double to = decay_reference(c.problem, layer, G.rows, i);
            G.values[i] = old.nu * G.values[i] + old.mu * (s.W[l].values[i] - to);
            parts.values[i] = old.nu * parts.values[i] + old.mu * (std::fabs(W_parts.values[i]) + to);
        }
        return G;
    };
    Array parts, old_parts;
    Array G = gradient(now, parts);
    const Array before = gradient(old, old_parts), spread = centred(p);
    const double scatter = old.nu * dot(spread, spread), rows = static_cast<double>(p.rows);
    double ridge = old.mu;
    const bool of_nodes = layer == 1 ? old.node_space : old.W_from_nodes[l];
    if (old.mu == 0) {  // the Gram matrix of nodes has another mean diagonal
        ridge = scatter > 0 ? 1e-3 * scatter / (of_nodes ? static_cast<double>(p.cols) : rows) : 1;
        for (std::size_t i = 0; i < G.size(); ++i) G.values[i] += ridge * (now.W[l].values[i] - old.W[l].values[i]);
    }
    const double condition = (scatter + ridge) / ridge;
    const double noise = slack * unit * (largest(parts) + largest(old_parts) + condition * largest(before));
    c.expect("W: gradient at the minimiser of W and b", layer, largest(G), noise);
    if (layer != 1 || !old.node_space) return;
    const Array V = multiply(now.W[l], false, p, false), V_parts = multiply(now.W_parts, false, absolute(p), false);
    // Without decay the step is added to V and to W1, and what they were apart before it stays.
    const double carried = old.mu == 0 ? largest(minus(multiply(old.W[l], false, p, false), old.V)) : 0;
    c.expect("V: not W1 X", layer, largest(minus(V, now.V)),
             carried + slack * unit * (largest(V_parts) + condition * largest(old.z[l])));
    c.expect("|W1|^2 as carried", layer, std::fabs(now.weight_sq - dot(now.W[l], now.W[l])),
             slack * unit * condition * (dot(now.W_parts, now.W_parts) + dot(old.W_parts, old.W_parts)));
}

}  // namespace pdadmm::subproblem
