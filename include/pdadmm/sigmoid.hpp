// Several labels a node: the sigmoid cross entropy of one of them, its gradient, and its proximal step, for one number
// or for a pack of them in the lanes of a vector.
#pragma once

#include "pdadmm/prox.hpp"

namespace pdadmm {

/// e^-|z|, from which the others follow without overflow.
template <typename V>
PDADMM_HD inline V small_exp(V z) {
    return exp_of(choose(z < 0.0, z, -z));
}
/// log(1 + e^z) - t z, t being 0 or 1: the cross entropy of label t at logit z.
template <typename V>
PDADMM_HD inline V label_cost(V z, V t) {
    const V signed_z = z * (1.0 - t * 2.0);
    return choose(signed_z > 0.0, signed_z, V(0.0)) + log1p_of(small_exp(z));
}
/// Its derivative, sigmoid(z) - t, without cancellation where it is small.
template <typename V>
PDADMM_HD inline V label_gradient(V z, V t) {
    const V e = small_exp(z), small = e / (1.0 + e), large = 1.0 / (1.0 + e);
    const auto towards = choose(t > 0.5, z, -z) > 0.0;  // z says what t says
    return choose(towards, small, large) * (1.0 - t * 2.0);
}

/// What the proximal step of one label finds: its logit and its cross entropy there.
template <typename V>
struct LabelProx {
    V z, cost;
};

/// Third-order steps; the error of the start, at most 0.8, falls below rounding.
inline constexpr int label_prox_steps = 3;

/// argmin over v of log(1 + e^v) - t v + nu/2 (v - a)^2, t being 0 or 1 (the z_L-subproblem of one label of one node).
///
/// Label 1 is label 0 of -v: with s = 1 - 2t, c = s a and v = s w, stationarity is sigmoid(w) = nu (c - w). Where nu c
/// > 1/2 its root is positive, and that of -w for 1/nu - c, since sigmoid(w) = 1 - sigmoid(-w). So only w <= 0 remains,
/// where e^w / 2 <= sigmoid(w) <= e^w: the root for e^w, c - omega(c - log nu), lies less than log 2 below the sought
/// one. From there Newton's steps with the second derivative (Halley), which are kept at 0 at most. The same number of
/// steps for all, so lanes do not wait for each other.
template <typename V>
PDADMM_HD inline LabelProx<V> prox_label(V a, V t, double nu, double log_nu) {
    const V s = 1.0 - t * 2.0, straight = s * a;
    const auto turned = straight * nu > 0.5;
    const V c = choose(turned, 1.0 / nu - straight, straight);
    V w = c - omega_start(V(c - log_nu)).w;
    w = choose(w > 0.0, V(0.0), w);
    for (int step = 0; step < label_prox_steps; ++step) {
        const V e = exp_of(w), p = e / (1.0 + e), slope = p * (1.0 - p), d = slope + nu;
        const V f = p + (w - c) * nu, bend = slope * (1.0 - p * 2.0) * 0.5;
        w = w - f * d / (d * d - f * bend);
        w = choose(w > 0.0, V(0.0), w);
    }
    return {s * choose(turned, -w, w), choose(turned, -w, V(0.0)) + log1p_of(exp_of(w))};
}

}  // namespace pdadmm
