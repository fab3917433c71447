// The proximal step of cross entropy: the subproblem of z in the last layer (design 2), for one node, or for a pack of
// nodes in the lanes of a vector.
#pragma once

#include <cmath>

#include "pdadmm/elementary.hpp"

namespace pdadmm {

/// Wright's omega, the w > 0 with w + log w = x, to within a tenth; and e = exp(min(x, 1)).
template <typename V>
struct OmegaStart {
    V w, e;
};
template <typename V>
PDADMM_HD inline OmegaStart<V> omega_start(V x) {
    const auto low = x < 1.0;
    const V y = choose(low, V(1.0), x), l = log_of(y), e = exp_of(choose(low, x, V(1.0)));
    return {choose(low, e / (1.0 + e * (1.0 - e / (2.0 + 2.0 * e))), y - l + l / y), e};
}

/// Two fourth-order steps from there (Fritsch, Shafer and Crowley, 1973), full double precision.
template <typename V>
PDADMM_HD inline V wright_omega(V x) {
    auto [w, e] = omega_start(x);
    for (int k = 0; k < 2; ++k) {
        const V r = x - w - log_of(w), s = 1.0 + w, t = 2.0 * s * (s + 2.0 * r * (1.0 / 3));
        w *= 1.0 + r * (t - r) / (s * (t - 2.0 * r));
    }
    return choose(x < -40.0, e, w);
}

template <typename V>
struct PairOfSums {
    V sum = 0.0, slope = 0.0;
};

/// Classes one after the other: `Lanes` of prox_cross_entropy for one thread, with z of one node or of a pack.
template <typename V>
struct SerialLanes {
    using Number = V;
    std::int32_t classes;
    V* z;
    template <typename F>
    PDADMM_HD PairOfSums<V> sum2(F&& f) const {
        PairOfSums<V> pair;
        for (std::int32_t i = 0; i < classes; ++i) f(i, pair.sum, pair.slope);
        return pair;
    }
    template <typename F>
    PDADMM_HD void each(F&& f) const {
        for (std::int32_t i = 0; i < classes; ++i) f(i);
    }
    PDADMM_HD void store(std::int32_t i, V value) const { z[i] = value; }
    template <typename Mask>
    PDADMM_HD void store_where(Mask mask, std::int32_t i, V value) const {
        z[i] = choose(mask, value, z[i]);
    }
};

/// Result of the last layer's proximal step at one node.
template <typename V>
struct ProxResult {
    V risk;     // weight times the cross entropy of the node at the new z
    int steps;  // evaluations of the sum of probabilities; of a pack: of its slowest node
};

/// How far lambda may be off before the last Newton step, which squares it; and what rounding leaves of the sum of
/// probabilities.
inline constexpr double prox_tolerance = 1e-6, prox_rounding = 1e-14;
inline constexpr int prox_most_steps = 100;

/// argmin over v of w crossentropy(softmax(v); y) + nu/2 |v - a|^2, one node of weight w (paper, z_L-subproblem, where
/// w is 1). Divided by w it is the subproblem of weight 1 whose penalty is nu/w, which is solved here as nu; the risk
/// has w as a factor.
///
/// Stationarity, s - e_y + nu (v - a) = 0 with s = softmax(v) and lambda = logsumexp(v), decouples for a given lambda:
/// s_i / nu = omega(c_i - lambda - log nu), c = a + e_y / nu. The sum of all s_i falls monotonically in lambda; its
/// root is found by Newton steps on the logarithm of the sum inside a shrinking bracket, so no line search is needed.
/// v_y is formed from the other classes' probabilities, which keeps it accurate when nu is tiny.
/// `Lanes` holds the classes: `lanes.sum2(f)` adds up f(i, first, second) over all classes i (a device backend spreads
/// them over the lanes of a warp); `lanes.each(f)` calls f(i) for every class; `store(i, v)` sets v_i, and
/// `store_where(mask, i, v)` does so where the mask holds. V = Lanes::Number is double, or a pack of nodes of which
/// each goes its own way; y is the label as a number, lambda any start (logsumexp of the old z is a good one).
template <typename Lanes, typename Logits, typename V = typename Lanes::Number>
PDADMM_HD ProxResult<V> prox_cross_entropy(Lanes& lanes, Logits a, V y, double penalty, V lambda, V weight = 1.0) {
    const V nu = penalty / weight, log_nu = std::log(penalty) - log_of(weight);
    const auto omega = [&](std::int32_t i, V at) {
        return wright_omega(a(i) + choose(y == V(i), 1.0 / nu, V(0.0)) - at - log_nu);
    };
    V low = -HUGE_VAL, high = HUGE_VAL,
      walk = 1.0;  // walk doubles: far above the root every probability underflows to 0
    auto done = walk == V(0.0);
    int steps = 0;
    while (steps < prox_most_steps && !all(done)) {
        ++steps;
        const auto both = lanes.sum2([&](std::int32_t i, V& sum, V& slope) {
            const V w = omega(i, lambda);
            sum += w;
            slope += w / (1.0 + w);
        });
        const V sum = nu * both.sum, slope = nu * both.slope, off = choose(sum < 1.0, 1.0 - sum, sum - 1.0);
        const V newton = lambda + log_of(sum) * sum / slope;
        const auto found = !(off > prox_rounding + prox_tolerance * slope),
                   above = sum > 1.0;  // NaN leaves too: the figures report it
        lambda = choose(found && !done, newton, lambda);
        done = done || found;
        low = choose(above && !done, lambda, low);
        high = choose(above || done, high, lambda);
        const auto inside = newton > low && newton<high, bracketed = low> - HUGE_VAL && high < HUGE_VAL;
        const V step = choose(above, walk, -walk);
        const V next = choose(inside, newton, choose(bracketed, (low + high) * 0.5, lambda + step));
        walk *= 2.0;
        done = done || next == lambda;
        lambda = choose(done, lambda, next);
    }
    const auto last = lanes.sum2([&](std::int32_t i, V& others, V& at_label) {
        const V w = omega(i, lambda), at = a(i);
        const auto label = y == V(i);
        lanes.store(i, at - w);
        others += choose(label, V(0.0), w);
        at_label += choose(label, at, V(0.0));
    });
    const V others = last.sum, missing = nu * others;
    lanes.each([&](std::int32_t i) { lanes.store_where(y == V(i), i, a(i) + others); });
    const V direct = lambda - (last.slope + others);  // 1 - missing cancels near 1
    return {weight * choose(missing < 0.9, -log1p_of(-missing), direct), steps};
}

}  // namespace pdadmm
