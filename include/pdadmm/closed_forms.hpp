// Scalar formulas of p and W as exact minimisers, and of the first layer in node space (design 2).
#pragma once

#include <cmath>
#include <cstdint>

#include "pdadmm/steps.hpp"

namespace pdadmm {

// Closed forms (design 2, `block`): with gradient g at p and P = (nu W'W + rho I)^-1 the minimiser is p - P g, and phi
// changes by <g,d> + (nu |W d|^2 + rho |d|^2) / 2 along a move d. Quantised moves are taken where they do not raise
// phi.

/// What is added to nu times a Gram matrix before it is inverted: the penalty kappa, or, where that is zero, a proximal
/// term around the old value that only keeps the matrix regular.
inline constexpr double proximal_ridge =
    1e-3;  // of the mean diagonal: fp32 products with the inverse must not drown in its null space
PDADMM_HD inline double ridge_of(double kappa, double mean_diagonal, double least = 0) {
    const double ridge = kappa > 0 ? kappa : mean_diagonal > 0 ? proximal_ridge * mean_diagonal : 1;
    return ridge < least * mean_diagonal ? least * mean_diagonal : ridge;
}
/// `least` where p moves by P g = (g - C' W g) / ridge: fp32 leaves 1e-7 of g in the difference.
inline constexpr double least_ridge_of_outputs = 1e-7;

/// phi(p + f d) - phi(p), from <g,d>, |d|^2 and |W d|^2.
PDADMM_HD inline double block_change(double nu, double rho, double gd, double dd, double hh, double f) {
    return f * gd + f * f / 2 * (nu * hh + rho * dd);
}

/// Codec grid: as grid_decide, for the snapped move towards the minimiser; `inverse` is the part 2^-k of the way, 0
/// snaps in place.
PDADMM_HD inline void grid_descends(double nu, double rho, double gd, double dd, double hh, real& inverse,
                                    std::int32_t& pending) {
    end_trial(block_change(nu, rho, gd, dd, hh, 1) <= 0, inverse, pending);
}

/// Codec difference: the first factor 2^-k with which the decoded move towards the minimiser does not raise phi, or 0.
PDADMM_HD inline double descending_factor(double nu, double rho, double gd, double dd, double hh) {
    if (!(dd > 0)) return dd == 0 ? 0 : NAN;
    double factor = 1;
    for (int k = 0; k < backtracking_trials; ++k, factor /= 2)
        if (block_change(nu, rho, gd, dd, hh, factor) <= 0) return factor;
    return gd == gd && hh == hh ? 0 : NAN;
}

/// Sums over the first layer in node space, with T = r K1 and V = W1 X (design 2, "First layer").
struct NodeSpaceSums {
    double rT, rV, HH;  // <r, T>, <r, V>, |nu T + mu V|^2
};
/// Scalars of the first layer in node space: W1 = c W1_0 - S X'.
struct NodeSpaceScalars {
    double c;          // factor of the initial weights
    double weight_sq;  // |W1|^2
};
inline constexpr double node_space_cancellation = 1e-6;

/// 1/theta of W1 from sums alone, and the scalars after the step. |G|^2 is a difference of large terms near a
/// stationary point; where it is below `node_space_cancellation` of their magnitudes W1 is kept.
PDADMM_HD inline double node_space_decide(StepSpec spec, double nu, double mu, NodeSpaceSums sums,
                                          NodeSpaceScalars& s) {
    const double GG = nu * nu * sums.rT + 2 * nu * mu * sums.rV + mu * mu * s.weight_sq;
    const double magnitude = nu * nu * std::fabs(sums.rT) + 2 * nu * mu * std::fabs(sums.rV) + mu * mu * s.weight_sq;
    if (GG <= node_space_cancellation * magnitude) return 0;
    const double inverse = inverse_step(spec, nu, mu, GG, sums.HH);
    const double GW = nu * sums.rV + mu * s.weight_sq;
    s.weight_sq += inverse * (inverse * GG - 2 * GW);
    s.c *= 1 - mu * inverse;
    return inverse;
}

/// What W of a layer is fitted to from nodes, before centring: the residual at W, or at W_ref where mu pulls there,
/// whatever W is. `reference` is W_ref p, of which b is no part.
PDADMM_HD inline real node_space_target_of(real mu, real reference, real z, real r) {
    return mu > 0 ? reference - z : r;
}

/// One element of S after the step 1/theta = inverse: W1 = c W1_0 - S X'.
PDADMM_HD inline real node_space_sum_of(real nu, real mu, real inverse, real S, real r) {
    return (1 - mu * inverse) * S + nu * inverse * r;
}

/// The first layer's W in node space in closed form (design 2, `block`). With F = (nu K1_c + kappa I)^-1, y = -z_c (mu
/// = 0: r_c), raw = y F and w = raw X_c' xbar, row by row: W1 -= nu raw X_c', from W1 = 0 where mu > 0.
struct NodeSpaceSolution {
    real S, V;      // V = W1 X
    double weight;  // this element's part of |W1|^2, or of its change
};
PDADMM_HD inline NodeSpaceSolution node_space_minimiser(real nu, real mu, double kappa, real y, real raw, real w,
                                                        real S, real V) {
    const double fitted = static_cast<double>(y) - kappa * static_cast<double>(raw),
                 dual = static_cast<double>(nu) * static_cast<double>(raw);
    const double old = mu > 0 ? 0 : static_cast<double>(V);
    return {(mu > 0 ? 0 : S) + nu * raw,
            static_cast<real>(old - fitted - static_cast<double>(nu) * static_cast<double>(w)),
            dual * (fitted - 2 * old)};
}

// Conjugate gradients on W1 in node space, from the W1 of the last iterate: with the gradient G = R X_c' the directions
// are D = E X_c', and D X_c = U. Each step goes to the exact minimum along D, so that phi never rises.

/// |G|^2 of the last step, and how much of the last direction goes into the next one.
struct ConjugateScalars {
    double gradient_sq, weight;
};
PDADMM_HD inline void conjugate_weight(double gradient_sq, bool first, ConjugateScalars& s) {
    s.weight = !first && s.gradient_sq > 0 && gradient_sq > 0 ? gradient_sq / s.gradient_sq : 0;
    s.gradient_sq = gradient_sq;
}

/// Sums over nodes: <G, D> = <R, U>, |D X_c|^2 = |U|^2, |D|^2 = <E, U> and <D, W1> = <E, V>.
struct ConjugateSums {
    double RU, UU, EU, EV;
};
/// The step along D; |W1|^2 moves on with it.
PDADMM_HD inline double conjugate_length(double nu, double mu, ConjugateSums sums, double& weight_sq) {
    const double curvature = nu * sums.UU + mu * sums.EU;
    if (!(curvature > 0)) return curvature == curvature ? 0 : NAN;
    const double step = sums.RU / curvature;
    weight_sq += step * (step * sums.EU - 2 * sums.EV);
    return step;
}

PDADMM_HD inline real dual_gradient_of(real nu, real mu, real r, real S) { return nu * r - mu * S; }
/// `old` may be anything where the weight is 0.
PDADMM_HD inline real conjugate_of(real weight, real gradient, real old) {
    return weight > 0 ? gradient + weight * old : gradient;
}

}  // namespace pdadmm
