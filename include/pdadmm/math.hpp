// Scalar formulas of pdADMM-G(-Q), written once and compiled for the host and the device: what the CPU tests check is
// what every backend computes. Symbols as in the paper (arXiv 2105.09837v2): W b z p q u, tau theta, nu rho mu.
#pragma once

#include <cmath>
#include <cstdint>

#include "pdadmm/types.hpp"

#ifdef __CUDACC__
#define PDADMM_HD __host__ __device__
#else
#define PDADMM_HD
#endif

namespace pdadmm {

/// f(x), the hidden layers' activation.
PDADMM_HD inline real relu(real x) { return x > 0 ? x : real(0); }

/// argmin over v of (v - a)^2 + (q - f(v))^2 + (v - z)^2: the better of the minimisers of the two half-lines, the
/// non-positive one on a tie (paper, eq. of the z-subproblem with its proximal term).
PDADMM_HD inline real hidden_z(real a, real q, real z) {
    const real left = (a + z) / 2, right = (a + q + z) * (real(1) / 3);
    const real neg = left < 0 ? left : real(0);
    const real pos = right > 0 ? right : real(0);
    const real at_neg = (neg - a) * (neg - a) + q * q + (neg - z) * (neg - z);
    const real at_pos = (pos - a) * (pos - a) + (q - pos) * (q - pos) + (pos - z) * (pos - z);
    return at_neg <= at_pos ? neg : pos;
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
PDADMM_HD inline real p_gradient_of(real rho, real nu, real Wr, real u, real p, real q) { return nu * Wr + (u + rho * (p - q)); }

/// One element of the gradient of L_rho by W: nu (r p') + mu W; and in node space of H = G X: nu (r K1) + mu V.
PDADMM_HD inline real W_gradient_of(real nu, real mu, real rp, real W) { return nu * rp + mu * W; }

enum class StepRule : std::int32_t { exact, backtracking };

/// How p and W choose tau and theta. `exact`: 1 / max(curvature, least). `backtracking`: the first of
/// 20, 40, ..., 20 * 2^10 that is not below the curvature, else the variable is kept.
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

/// Index of the level nearest to x in an ascending list; the lower one on a tie (design 4, codec `grid`).
PDADMM_HD inline std::int32_t nearest_level(const real* levels, std::int32_t count, real x) {
    std::int32_t low = 0, high = count - 1;
    while (high - low > 1) {
        const std::int32_t middle = (low + high) / 2;
        if (levels[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    const real below = std::fabs(x - levels[low]), above = std::fabs(levels[high] - x);
    return above < below ? high : low;
}

/// The level nearest to x. NaN stays NaN, so that the figures report it.
PDADMM_HD inline real snapped(const real* levels, std::int32_t count, real x) { return x == x ? levels[nearest_level(levels, count, x)] : x; }

/// Largest code of the symmetric uniform grid of `bits` bits: 2^(bits-1) - 1.
PDADMM_HD inline std::int32_t largest_code(int bits) { return (std::int32_t(1) << (bits - 1)) - 1; }

/// Width of one code: largest |change| / largest code.
PDADMM_HD inline real difference_width(real largest_change, std::int32_t largest) { return largest_change / real(largest); }

/// Code of a change under codec `difference`: x / width, half to even, clamped; 0 where width is 0.
PDADMM_HD inline real difference_code(real x, real width, std::int32_t largest) {
    if (!(width > 0)) return width == 0 ? real(0) : width;
    const real code = std::rint(x / width), bound = real(largest);
    return code > bound ? bound : code < -bound ? -bound : code;
}

/// The change that a receiver decodes; never -0, which an integer code could not tell from 0.
PDADMM_HD inline real difference_round(real x, real width, std::int32_t largest) { return difference_code(x, width, largest) * width + real(0); }

/// Decides a trial of codec `grid`: accepted (pending 0) if nu |W d|^2 + rho |d|^2 <= tau |d|^2 or when p was snapped in
/// place (inverse 0); else tau doubles, and after the last of the trials p is snapped in place next.
/// `pending` holds the trials that are left, counting this one.
PDADMM_HD inline void grid_decide(double nu, double rho, double dd, double hh, real& inverse, std::int32_t& pending) {
    if (pending <= 0) return;
    const double tau = 1 / static_cast<double>(inverse);
    if (inverse == 0 || nu * hh + rho * dd <= tau * dd) {
        pending = 0;
        return;
    }
    --pending;
    inverse = pending > 1 ? inverse / 2 : real(0);
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

/// 1/theta of W1 from sums alone, and the scalars after the step. |G|^2 is a difference of large terms near a stationary
/// point; where it is below `node_space_cancellation` of their magnitudes W1 is kept.
PDADMM_HD inline double node_space_decide(StepSpec spec, double nu, double mu, NodeSpaceSums sums, NodeSpaceScalars& s) {
    const double GG = nu * nu * sums.rT + 2 * nu * mu * sums.rV + mu * mu * s.weight_sq;
    const double magnitude = nu * nu * std::fabs(sums.rT) + 2 * nu * mu * std::fabs(sums.rV) + mu * mu * s.weight_sq;
    if (GG <= node_space_cancellation * magnitude) return 0;
    const double inverse = inverse_step(spec, nu, mu, GG, sums.HH);
    const double GW = nu * sums.rV + mu * s.weight_sq;
    s.weight_sq += inverse * (inverse * GG - 2 * GW);
    s.c *= 1 - mu * inverse;
    return inverse;
}

/// One element of S after the step 1/theta = inverse: W1 = c W1_0 - S X'.
PDADMM_HD inline real node_space_sum_of(real nu, real mu, real inverse, real S, real r) { return (1 - mu * inverse) * S + nu * inverse * r; }

/// Whether rho and nu grow after an iteration (design 2, "rho schedules"): the watched figure fell by less than
/// `threshold` `patience` times in a row.
PDADMM_HD inline bool stalled(double watched, double threshold, int patience, double& last, std::int32_t& stalls) {
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

/// Wright's omega: the w > 0 with w + log w = x. Two fourth-order steps (Fritsch, Shafer and Crowley, 1973), full
/// double precision.
PDADMM_HD inline double wright_omega(double x) {
    if (x < -40) return std::exp(x);
    double w;
    if (x < 1) {
        const double e = std::exp(x);
        w = e / (1 + e * (1 - e / (2 + 2 * e)));
    } else {
        const double l = std::log(x);
        w = x - l + l / x;
    }
    for (int k = 0; k < 2; ++k) {
        const double r = x - w - std::log(w), s = 1 + w, t = 2 * s * (s + 2 * r / 3);
        w *= 1 + r / s * (t - r) / (t - 2 * r);
    }
    return w;
}

/// Result of the last layer's proximal step at one node.
struct ProxResult {
    double risk;  // cross entropy of the node at the new z
    int steps;    // evaluations of the sum of probabilities
};

inline constexpr double prox_tolerance = 1e-12;  // on |sum of probabilities - 1|
inline constexpr int prox_most_steps = 100;

/// argmin over v of crossentropy(softmax(v); y) + nu/2 |v - a|^2, one node (paper, z_L-subproblem).
///
/// Stationarity, s - e_y + nu (v - a) = 0 with s = softmax(v) and lambda = logsumexp(v), decouples for a given lambda:
/// s_i / nu = omega(c_i - lambda - log nu), c = a + e_y / nu. The sum of all s_i falls monotonically in lambda; its
/// root is found by Newton steps on the logarithm of the sum inside a shrinking bracket, so no line search is needed.
/// v_y is formed from the other classes' probabilities, which keeps it accurate when nu is tiny.
/// `Lanes` sums over classes: `lanes.sum(f)` is the sum of f(i) over all classes i (a device backend spreads them over
/// the lanes of a warp); `lanes.each(f)` calls f(i) for every class.
template <typename Lanes, typename Logits>
PDADMM_HD ProxResult prox_cross_entropy(Lanes& lanes, Logits a, std::int32_t y, double nu, double lambda) {
    const double log_nu = std::log(nu);
    const auto omega = [&](std::int32_t i, double at) { return wright_omega(a(i) + (i == y ? 1 / nu : 0.0) - at - log_nu); };
    double low = -HUGE_VAL, high = HUGE_VAL, walk = 1;  // walk doubles: far above the root every probability underflows to 0
    int steps = 0;
    while (steps < prox_most_steps) {
        ++steps;
        const auto both = lanes.sum2([&](std::int32_t i, double& sum, double& slope) {
            const double w = omega(i, lambda);
            sum += w;
            slope += w / (1 + w);
        });
        const double sum = nu * both.sum, slope = nu * both.slope;
        const double newton = lambda + std::log(sum) * sum / slope;
        if (!(std::fabs(sum - 1) > prox_tolerance)) {  // NaN leaves too: the figures report it
            lambda = newton;
            break;
        }
        (sum > 1 ? low : high) = lambda;
        const bool inside = newton > low && newton < high, bracketed = low > -HUGE_VAL && high < HUGE_VAL;
        const double next = inside ? newton : bracketed ? (low + high) / 2 : lambda + (sum > 1 ? walk : -walk);
        walk *= 2;
        if (next == lambda) break;
        lambda = next;
    }
    const double others = lanes.sum2([&](std::int32_t i, double& sum, double&) {
        if (i == y) return;
        const double w = omega(i, lambda);
        lanes.store(i, a(i) - w);
        sum += w;
    }).sum;
    lanes.each([&](std::int32_t i) {
        if (i == y) lanes.store(i, a(i) + others);
    });
    const double missing = nu * others;
    return {missing < 0.9 ? -std::log1p(-missing) : lambda - (a(y) + others), steps};  // 1 - missing cancels near 1
}

}  // namespace pdadmm
