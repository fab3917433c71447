// The last layer's proximal step (design 2): cross entropy and a square, one node, without line search.
#pragma once

#include <cmath>
#include <cstdint>

#include "pdadmm/types.hpp"

namespace pdadmm {

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
