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

/// The gradient g of an activation y = f(x) by x.
PDADMM_HD inline real relu_gradient(real y, real g) { return y > 0 ? g : real(0); }

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
PDADMM_HD inline real snapped(const real* levels, std::int32_t count, real x) {
    return x == x ? levels[nearest_level(levels, count, x)] : x;
}

/// Largest code of the symmetric uniform grid of `bits` bits: 2^(bits-1) - 1. One bit has 0 here: its codes are the
/// signs -1 and 1.
PDADMM_HD inline std::int32_t largest_code(int bits) { return (std::int32_t(1) << (bits - 1)) - 1; }

/// Code of a change under codec `difference`: x / width, half to even, clamped, or with one bit the sign (1 for a zero
/// among changes that are not); 0 where width is 0.
PDADMM_HD inline real difference_code(real x, real width, std::int32_t largest) {
    if (!(width > 0)) return width == 0 ? real(0) : width;
    if (largest == 0) return x < 0 ? real(-1) : real(1);
    const real code = std::rint(x / width), bound = real(largest);
    return code > bound ? bound : code < -bound ? -bound : code;
}

/// The change that a receiver decodes; never -0, which an integer code could not tell from 0.
PDADMM_HD inline real difference_round(real x, real width, std::int32_t largest) {
    return difference_code(x, width, largest) * width + real(0);
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

// Closed forms (design 2, `block`): with gradient g at p and P = (nu W'W + rho I)^-1 the minimiser is p - P g, and phi
// changes by <g,d> + (nu |W d|^2 + rho |d|^2) / 2 along a move d. Quantised moves are taken where they do not raise
// phi.

/// What is added to nu times a Gram matrix before it is inverted: the penalty kappa, or, where that is zero, a proximal
/// term around the old value that only keeps the matrix regular.
inline constexpr double proximal_ridge =
    1e-3;  // of the mean diagonal: fp32 products with the inverse must not drown in its null space
PDADMM_HD inline double ridge_of(double kappa, double mean_diagonal) {
    return kappa > 0 ? kappa : mean_diagonal > 0 ? proximal_ridge * mean_diagonal : 1;
}

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

/// Turns one node's logits z into `scale` times the gradient of its cross entropy by them, softmax(z) - e_y; returns
/// the cross entropy.
PDADMM_HD inline double cross_entropy_gradient(real* z, std::int32_t classes, std::int32_t y, double scale) {
    std::int32_t best = 0;
    for (std::int32_t i = 1; i < classes; ++i)
        if (z[i] > z[best]) best = i;
    const double most = static_cast<double>(z[best]), at_label = static_cast<double>(z[y]);
    double sum = 0;
    for (std::int32_t i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(z[i]) - most);
    for (std::int32_t i = 0; i < classes; ++i)
        z[i] = static_cast<real>(scale * (std::exp(static_cast<double>(z[i]) - most) / sum - (i == y ? 1 : 0)));
    return most + std::log(sum) - at_label;
}

/// Inverted dropout of hidden activations: each is kept with probability 1 - rate and divided by it. `key` belongs to a
/// seed and a growth stage; the step is read where the random numbers are made.
struct Dropout {
    double rate = 0;
    std::uint64_t key = 0;
    std::int32_t layer = 0;  // of the first matrix of a stack
    Index node = 0;          // of the first column
};
inline constexpr std::uint64_t golden_step = 0x9E3779B97F4A7C15u;

/// The output function of the generator splitmix64: 64 well mixed bits of a counter.
PDADMM_HD inline std::uint64_t mixed_bits(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}
/// Start of the random numbers of one layer in one step.
PDADMM_HD inline std::uint64_t dropout_stream(const Dropout& d, Index step, Index layer) {
    return mixed_bits(mixed_bits(d.key + golden_step * static_cast<std::uint64_t>(step + 1)) +
                      golden_step * static_cast<std::uint64_t>(d.layer + layer + 1));
}
/// What element number `element` of a layer is multiplied by: 0 or `kept_scale`.
PDADMM_HD inline real dropout_factor(std::uint64_t stream, Index element, double rate, real kept_scale) {
    const std::uint64_t bits = mixed_bits(stream + golden_step * static_cast<std::uint64_t>(element + 1));
    return static_cast<double>(bits >> 11) * 0x1p-53 >= rate ? kept_scale : real(0);
}
PDADMM_HD inline real dropout_scale(double rate) { return static_cast<real>(1 / (1 - rate)); }
/// beta old + sum, where beta = 0 leaves nothing of old, be it finite or not.
PDADMM_HD inline real blended(real beta, real old, double sum) {
    return static_cast<real>(beta == 0 ? sum : static_cast<double>(beta) * static_cast<double>(old) + sum);
}

/// How parameters are learnt: pdADMM-G, or full-batch gradient descent and its relatives as PyTorch defines them (SGD
/// without momentum, Adadelta, Adagrad, Adam), with the same constants.
enum class Optimizer : std::int32_t { admm, gd, adadelta, adagrad, adam };
struct UpdateRule {
    Optimizer optimizer = Optimizer::gd;
    double learning_rate = 0, weight_decay = 0;  // decay is L2 in the gradient: g + weight_decay w
};
inline constexpr double adadelta_keep = 0.9, adadelta_epsilon = 1e-6, adagrad_epsilon = 1e-10;
inline constexpr double adam_keep_mean = 0.9, adam_keep_square = 0.999, adam_epsilon = 1e-8;

/// What a step multiplies by: the learning rate (Adam: over 1 - beta1^t) and 1 / sqrt(1 - beta2^t).
struct UpdateFactors {
    real rate, root;
};
PDADMM_HD inline UpdateFactors update_factors(const UpdateRule& rule, Index step) {
    if (rule.optimizer != Optimizer::adam) return {static_cast<real>(rule.learning_rate), 1};
    const double t = static_cast<double>(step);
    return {static_cast<real>(rule.learning_rate / (1 - std::pow(adam_keep_mean, t))),
            static_cast<real>(1 / std::sqrt(1 - std::pow(adam_keep_square, t)))};
}

/// One parameter's step. `first` and `second` are the optimizer's memory: Adagrad's sum of squares; Adadelta's means of
/// squared gradients and of squared steps; Adam's means of gradients and of their squares.
template <Optimizer optimizer>
PDADMM_HD inline void update_parameter(const UpdateFactors& f, real decay, real gradient, real& w, real& first,
                                       real& second) {
    const real g = gradient + decay * w;
    const auto mean = [](double keep, real old, real now) {
        return static_cast<real>(keep) * old + static_cast<real>(1 - keep) * now;
    };
    if constexpr (optimizer == Optimizer::gd) {
        w -= f.rate * g;
    } else if constexpr (optimizer == Optimizer::adagrad) {
        first += g * g;
        w -= f.rate * g / (std::sqrt(first) + static_cast<real>(adagrad_epsilon));
    } else if constexpr (optimizer == Optimizer::adadelta) {
        first = mean(adadelta_keep, first, g * g);
        const real step = std::sqrt(second + static_cast<real>(adadelta_epsilon)) /
                          std::sqrt(first + static_cast<real>(adadelta_epsilon)) * g;
        second = mean(adadelta_keep, second, step * step);
        w -= f.rate * step;
    } else {
        first = mean(adam_keep_mean, first, g);
        second = mean(adam_keep_square, second, g * g);
        w -= f.rate * first / (std::sqrt(second) * f.root + static_cast<real>(adam_epsilon));
    }
}

/// body(std::integral_constant<Optimizer, o>) for a gradient method o that is known when the program runs.
template <typename F>
auto with_optimizer(Optimizer optimizer, F&& body) {
    switch (optimizer) {
        case Optimizer::adadelta:
            return body(std::integral_constant<Optimizer, Optimizer::adadelta>{});
        case Optimizer::adagrad:
            return body(std::integral_constant<Optimizer, Optimizer::adagrad>{});
        case Optimizer::adam:
            return body(std::integral_constant<Optimizer, Optimizer::adam>{});
        default:
            return body(std::integral_constant<Optimizer, Optimizer::gd>{});
    }
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
    const auto omega = [&](std::int32_t i, double at) {
        return wright_omega(a(i) + (i == y ? 1 / nu : 0.0) - at - log_nu);
    };
    double low = -HUGE_VAL, high = HUGE_VAL,
           walk = 1;  // walk doubles: far above the root every probability underflows to 0
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
        const bool inside = newton > low && newton<high, bracketed = low> - HUGE_VAL && high < HUGE_VAL;
        const double next = inside ? newton : bracketed ? (low + high) / 2 : lambda + (sum > 1 ? walk : -walk);
        walk *= 2;
        if (next == lambda) break;
        lambda = next;
    }
    const double others = lanes
                              .sum2([&](std::int32_t i, double& sum, double&) {
                                  if (i == y) return;
                                  const double w = omega(i, lambda);
                                  lanes.store(i, a(i) - w);
                                  sum += w;
                              })
                              .sum;
    lanes.each([&](std::int32_t i) {
        if (i == y) lanes.store(i, a(i) + others);
    });
    const double missing = nu * others;
    return {missing < 0.9 ? -std::log1p(-missing) : lambda - (a(y) + others), steps};  // 1 - missing cancels near 1
}

}  // namespace pdadmm
