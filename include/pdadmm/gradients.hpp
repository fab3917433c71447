// Scalar formulas of backpropagation: cross entropy, dropout, and the steps of its optimizers.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// Turns one node's logits z into `scale` times the gradient by them of `weight` times its cross entropy, softmax(z) -
/// e_y; returns the weighted cross entropy.
PDADMM_HD inline double cross_entropy_gradient(real* z, std::int32_t classes, std::int32_t y, double scale,
                                               double weight) {
    std::int32_t best = 0;
    for (std::int32_t i = 1; i < classes; ++i)
        if (z[i] > z[best]) best = i;
    const double most = static_cast<double>(z[best]), at_label = static_cast<double>(z[y]);
    double sum = 0;
    for (std::int32_t i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(z[i]) - most);
    for (std::int32_t i = 0; i < classes; ++i)
        z[i] =
            static_cast<real>(scale * weight * (std::exp(static_cast<double>(z[i]) - most) / sum - (i == y ? 1 : 0)));
    return weight * (most + std::log(sum) - at_label);
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
/// without momentum, Adadelta, Adagrad, Adam, SGD with momentum and with Nesterov's, AdamW), with the same constants.
enum class Optimizer : std::int32_t { admm, gd, adadelta, adagrad, adam, momentum, nesterov, adamw };
struct UpdateRule {
    Optimizer optimizer = Optimizer::gd;
    double learning_rate = 0;
    double weight_decay =
        0;                // L2 in the gradient, g + weight_decay w; of AdamW beside it: w loses rate * weight_decay w
    double momentum = 0;  // of momentum and nesterov
    Index cosine_steps = 0;  // in so many the learning rate falls to 0 along a cosine; 0: it stays
};
/// Arrays of the size of the parameters that an optimizer keeps.
constexpr int optimizer_memories(Optimizer optimizer) {
    switch (optimizer) {
        case Optimizer::admm:
        case Optimizer::gd:
            return 0;
        case Optimizer::adagrad:
        case Optimizer::momentum:
        case Optimizer::nesterov:
            return 1;
        default:
            return 2;
    }
}
/// Whether weight decay is a term of the loss, whose gradient the step takes.
constexpr bool decays_in_gradient(Optimizer optimizer) { return optimizer != Optimizer::adamw; }
inline constexpr double adadelta_keep = 0.9, adadelta_epsilon = 1e-6, adagrad_epsilon = 1e-10;
inline constexpr double adam_keep_mean = 0.9, adam_keep_square = 0.999, adam_epsilon = 1e-8;

/// That of step 1, 2, ...: torch's CosineAnnealingLR with eta_min 0, which stays at 0 once it is there.
PDADMM_HD inline double learning_rate_of(const UpdateRule& rule, Index step) {
    if (rule.cosine_steps == 0) return rule.learning_rate;
    if (step > rule.cosine_steps) return 0;
    constexpr double pi = 3.14159265358979323846;
    return rule.learning_rate *
           (1 + std::cos(pi * static_cast<double>(step - 1) / static_cast<double>(rule.cosine_steps))) / 2;
}

/// What a step multiplies by: the learning rate (of both Adams over 1 - beta1^t), 1 / sqrt(1 - beta2^t), the decay in
/// the gradient, what a decay beside it leaves of a weight, and momentum.
struct UpdateFactors {
    real rate, root, decay, kept, momentum;
};
PDADMM_HD inline UpdateFactors update_factors(const UpdateRule& rule, Index step) {
    const double rate = learning_rate_of(rule, step), t = static_cast<double>(step);
    const bool means = rule.optimizer == Optimizer::adam || rule.optimizer == Optimizer::adamw,
               beside = rule.optimizer == Optimizer::adamw;
    return {static_cast<real>(means ? rate / (1 - std::pow(adam_keep_mean, t)) : rate),
            static_cast<real>(means ? 1 / std::sqrt(1 - std::pow(adam_keep_square, t)) : 1),
            static_cast<real>(beside ? 0 : rule.weight_decay),
            static_cast<real>(beside ? 1 - rate * rule.weight_decay : 1), static_cast<real>(rule.momentum)};
}

/// One parameter's step. `first` and `second` are the optimizer's memory: Adagrad's sum of squares; Adadelta's means of
/// squared gradients and of squared steps; both Adams' means of gradients and of their squares; the sum of past
/// gradients that momentum keeps.
template <Optimizer optimizer>
PDADMM_HD inline void update_parameter(const UpdateFactors& f, real gradient, real& w, real& first, real& second) {
    const real g = decays_in_gradient(optimizer) ? gradient + f.decay * w : gradient;
    const auto mean = [](double keep, real old, real now) {
        return static_cast<real>(keep) * old + static_cast<real>(1 - keep) * now;
    };
    if constexpr (optimizer == Optimizer::gd) {
        w -= f.rate * g;
    } else if constexpr (optimizer == Optimizer::momentum || optimizer == Optimizer::nesterov) {
        first = f.momentum * first + g;
        w -= f.rate * (optimizer == Optimizer::nesterov ? g + f.momentum * first : first);
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
        if constexpr (optimizer == Optimizer::adamw) w *= f.kept;
        w -= f.rate * first / (std::sqrt(second) * f.root + static_cast<real>(adam_epsilon));
    }
}

/// A parameter x of a worker that is pulled towards another one's (LSGD, arXiv 1905.10395).
PDADMM_HD inline real pulled(real x, real to, real strength) { return x + strength * (to - x); }
/// Elastic averaging (EASGD, arXiv 1412.6651, equations 5 and 6): a worker and the centre of all pull at each other,
/// both by what they were; `sum` is that of all workers' x.
PDADMM_HD inline void elastic_pull_of(real strength, real workers, real sum, real& x, real& centre) {
    const real before = centre;
    centre = before + strength * (sum - workers * before);
    x = pulled(x, before, strength);
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
        case Optimizer::momentum:
            return body(std::integral_constant<Optimizer, Optimizer::momentum>{});
        case Optimizer::nesterov:
            return body(std::integral_constant<Optimizer, Optimizer::nesterov>{});
        case Optimizer::adamw:
            return body(std::integral_constant<Optimizer, Optimizer::adamw>{});
        default:
            return body(std::integral_constant<Optimizer, Optimizer::gd>{});
    }
}

}  // namespace pdadmm
