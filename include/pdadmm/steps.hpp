// Scalar formulas of pdADMM-G(-Q)'s steps, written once and compiled for the host and the device: what the CPU tests
// check is what every backend computes. Symbols as in the paper (arXiv 2105.09837v2): W b z p q u, tau theta, nu rho
// mu.
#pragma once

#include <cmath>
#include <cstdint>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// f(x), the hidden layers' activation.
PDADMM_HD inline real relu(real x) { return x > 0 ? x : real(0); }

/// The gradient g of an activation y = f(x) by x.
PDADMM_HD inline real relu_gradient(real y, real g) { return y > 0 ? g : real(0); }

/// argmin over v of (v - a)^2 + (q - f(v))^2 + (v - z)^2: the better of the minimisers of the two half-lines, the
/// non-positive one on a tie (paper, eq. of the z-subproblem with its proximal term). Completing the squares, they lie
/// 2 neg^2 and 3 pos^2 below a^2 + q^2 + z^2.
PDADMM_HD inline real hidden_z(real a, real q, real z) {
    const real s = a + z, t = a + q + z;
    const real neg = (s - std::fabs(s)) / 4, pos = (t + std::fabs(t)) * (real(1) / 6);
    return 2 * neg * neg >= 3 * pos * pos ? neg : pos;
}

/// The exact q: (rho p_next + u + nu f(z)) / (rho + nu).
PDADMM_HD inline real q_step(real rho, real nu, real p_next, real u, real z) {
    return (rho * p_next + u + nu * relu(z)) * (1 / (rho + nu));  // the reciprocal leaves the loop over elements
}

/// The q that belongs to u = nu (q - f(z)).
PDADMM_HD inline real rebuilt_q(real nu, real z, real u) { return relu(z) + u * (1 / nu); }

/// The dual ascent u + rho (p_next - q).
PDADMM_HD inline real u_step(real rho, real u, real p_next, real q) { return u + rho * (p_next - q); }

/// The change of b, which is the mean residual; NaN where b is not finite, so that r and the figures report it (nothing
/// else reads b between two refreshes of r).
PDADMM_HD inline real bias_change(real mean, real b) { return b - b == 0 ? mean : b - b; }

/// One element of the gradient of L_rho by p: nu (W' r) + u + rho (p - q).
PDADMM_HD inline real p_gradient_of(real rho, real nu, real Wr, real u, real p, real q) {
    return nu * Wr + (u + rho * (p - q));
}

/// One element of the gradient of L_rho by W: nu (r p') + mu (W - W_ref); and in node space of H = G X: nu (r K1) + mu
/// V.
PDADMM_HD inline real W_gradient_of(real nu, real mu, real rp, real W) { return nu * rp + mu * W; }

/// What weight decay draws W to, W_ref: zero, or the identity (square hidden layers).
enum class DecayTo : std::int32_t { zero, identity };

enum class StepRule : std::int32_t { exact, backtracking, block };

/// How p and W are updated. `exact`: a gradient step of 1 / max(curvature, least). `backtracking`: the first of
/// 20, 40, ..., 20 * 2^10 that is not below the curvature, else the variable is kept. `block`: the exact minimiser, p
/// alone, W and b together.
struct StepSpec {
    StepRule rule = StepRule::exact;
    double least = 0;
};

inline constexpr double backtracking_start = 20;
inline constexpr int backtracking_trials = 11;

/// Inverse step size from the exact curvature along the gradient, (nu |h|^2 + kappa |g|^2) / |g|^2; 0 keeps the
/// variable (zero gradient, or no trial accepted).
PDADMM_HD inline double inverse_step(StepSpec spec, double nu, double kappa, double gg, double hh) {
    if (!(gg > 0)) return gg == 0 ? 0 : NAN;
    const double curvature = nu * (hh / gg) + kappa;
    if (spec.rule == StepRule::exact) return 1 / (curvature > spec.least ? curvature : spec.least);
    double trial = backtracking_start;
    for (int k = 0; k < backtracking_trials; ++k, trial *= 2)
        if (curvature <= trial) return 1 / trial;
    return curvature == curvature ? 0 : NAN;
}

/// After a trial of codec `grid`: an accepted move, or p snapped in place (inverse 0), ends them (pending 0); else tau
/// doubles, and after the last of the trials p is snapped in place next. `pending` holds the trials that are left,
/// counting this one.
PDADMM_HD inline void end_trial(bool accepted, real& inverse, std::int32_t& pending) {
    if (pending <= 0) return;
    if (inverse == 0 || accepted) {
        pending = 0;
        return;
    }
    --pending;
    inverse = pending > 1 ? inverse / 2 : real(0);
}

/// Decides a trial of codec `grid`: accepted if nu |W d|^2 + rho |d|^2 <= tau |d|^2.
PDADMM_HD inline void grid_decide(double nu, double rho, double dd, double hh, real& inverse, std::int32_t& pending) {
    end_trial(nu * hh + rho * dd <= 1 / static_cast<double>(inverse) * dd, inverse, pending);
}

/// How often a snapped move d under codec `difference` must be halved (tau doubled) until
/// nu |W d|^2 + rho |d|^2 <= tau |d|^2. Doubling tau halves the whole decoded move, so one product decides all trials.
/// Returns the factor 2^-k, or 0 where none of the trials is accepted (p is kept).
PDADMM_HD inline double difference_factor(double inverse_tau, double nu, double rho, double dd, double hh) {
    if (!(dd > 0)) return dd == 0 ? 0 : NAN;
    const double curvature = nu * (hh / dd) + rho;
    double tau = 1 / inverse_tau, factor = 1;
    for (int k = 0; k < backtracking_trials; ++k, tau *= 2, factor /= 2)
        if (curvature <= tau) return factor;
    return curvature == curvature ? 0 : NAN;
}

/// A count of iterations, as wide as a real, so that the struct that holds it has no padding.
using Stalls = std::conditional_t<sizeof(real) == 8, std::int64_t, std::int32_t>;

/// Whether rho and nu grow after an iteration (design 2, "rho schedules"): the watched figure fell by less than
/// `threshold` `patience` times in a row.
PDADMM_HD inline bool stalled(double watched, double threshold, int patience, double& last, Stalls& stalls) {
    stalls = last - watched < threshold ? stalls + 1 : 0;
    last = watched;
    if (stalls < patience) return false;
    stalls = 0;
    return true;
}

/// A penalty after it grew: factor times as large, but at most `most` (never smaller than it was).
PDADMM_HD inline real grown(real penalty, double factor, double most) {
    const double next = static_cast<double>(penalty) * factor;
    return static_cast<double>(penalty) >= most ? penalty : static_cast<real>(next < most ? next : most);
}

}  // namespace pdadmm
