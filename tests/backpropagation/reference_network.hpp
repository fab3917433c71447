// Backpropagation in float64, plainly: loss, gradient and the steps of optimizers, to compare training with.
#pragma once

#include <cmath>

#include "tests/backpropagation/backpropagation_case.hpp"
#include "tests/support/reference.hpp"

namespace pdadmm {

using reference::Array;

/// All weights and biases in float64: W of layer l at 2 (l - 1), b beside it.
using Variables = std::vector<Array>;

inline Variables values_of(Backend& be, const Parameters& p) {
    Variables all;
    for (std::size_t i = 0; i < p.W.size(); ++i)
        for (const Mat& m : {p.W[i], p.b[i]}) all.emplace_back(m.rows, m.cols, download(be, m));
    return all;
}

/// What optimizers remember before the first step.
inline Variables zeros_like(const Variables& v) {
    Variables all;
    for (const Array& a : v) all.emplace_back(a.rows, a.cols);
    return all;
}

/// What hidden activations are multiplied by, a matrix a layer; none without dropout.
using Masks = std::vector<Array>;

/// Mean cross entropy of the network, and its layers' outputs.
inline double loss(const Variables& v, const Array& X, const std::vector<std::int32_t>& labels, const Masks& masks,
                   std::vector<Array>* outputs = nullptr) {
    Array a = X;
    for (std::size_t l = 0; l < v.size() / 2; ++l) {
        Array next = reference::multiply(v[2 * l], false, a, false);
        const bool last = 2 * l + 2 == v.size();
        for (Index j = 0; j < next.cols; ++j)
            for (Index i = 0; i < next.rows; ++i) {
                const double sum = next(i, j) + v[2 * l + 1](i, 0);
                next(i, j) = last ? sum : reference::ramp(sum) * (masks.empty() ? 1 : masks[l](i, j));
            }
        if (outputs) outputs->push_back(a);
        a = next;
    }
    double sum = 0;
    for (Index j = 0; j < a.cols; ++j) {
        std::vector<double> z;
        for (Index i = 0; i < a.rows; ++i) z.push_back(a(i, j));
        sum += reference::cross_entropy(z, labels[static_cast<std::size_t>(j)]);
    }
    if (outputs) outputs->push_back(a);
    return sum / static_cast<double>(a.cols);
}

/// Its gradient by the chain rule, for trajectories.
inline Variables gradient_of(const Variables& v, const Array& X, const std::vector<std::int32_t>& labels) {
    std::vector<Array> outputs;
    loss(v, X, labels, {}, &outputs);
    Array g = outputs.back();
    for (Index j = 0; j < g.cols; ++j) {
        double sum = 0;
        for (Index i = 0; i < g.rows; ++i) sum += std::exp(outputs.back()(i, j));
        for (Index i = 0; i < g.rows; ++i)
            g(i, j) = (std::exp(outputs.back()(i, j)) / sum - (i == labels[static_cast<std::size_t>(j)] ? 1 : 0)) /
                      static_cast<double>(g.cols);
    }
    Variables all = v;
    for (std::size_t l = v.size() / 2; l-- > 0;) {
        all[2 * l] = reference::multiply(g, false, outputs[l], true);
        for (Index i = 0; i < g.rows; ++i) {
            all[2 * l + 1](i, 0) = 0;
            for (Index j = 0; j < g.cols; ++j) all[2 * l + 1](i, 0) += g(i, j);
        }
        if (l == 0) break;
        g = reference::multiply(v[2 * l], true, g, false);
        for (std::size_t i = 0; i < g.size(); ++i) g.values[i] = outputs[l].values[i] > 0 ? g.values[i] : 0;
    }
    return all;
}

inline constexpr double kept_of_step = 0.8;  // momentum

/// One step of torch.optim.SGD, Adadelta, Adagrad, Adam or AdamW.
inline void torch_step(Optimizer optimizer, double lr, double decay, int t, const Variables& gradient, Variables& w,
                       Variables& first, Variables& second) {
    for (std::size_t k = 0; k < w.size(); ++k)
        for (std::size_t i = 0; i < w[k].size(); ++i) {
            double &x = w[k].values[i], &m = first[k].values[i], &v = second[k].values[i];
            const bool adamw = optimizer == Optimizer::adamw;
            const double g = gradient[k].values[i] + (adamw ? 0 : decay * x);
            if (adamw) x *= 1 - lr * decay;
            if (optimizer == Optimizer::gd) x -= lr * g;
            if (optimizer == Optimizer::momentum || optimizer == Optimizer::nesterov) {
                m = t == 1 ? g : kept_of_step * m + g;
                x -= lr * (optimizer == Optimizer::nesterov ? g + kept_of_step * m : m);
            }
            if (optimizer == Optimizer::adagrad) {
                m += g * g;
                x -= lr * g / (std::sqrt(m) + 1e-10);
            }
            if (optimizer == Optimizer::adadelta) {
                m = 0.9 * m + 0.1 * g * g;
                const double delta = std::sqrt(v + 1e-6) / std::sqrt(m + 1e-6) * g;
                v = 0.9 * v + 0.1 * delta * delta;
                x -= lr * delta;
            }
            if (optimizer == Optimizer::adam || adamw) {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                x -= lr / (1 - std::pow(0.9, t)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.999, t)) + 1e-8);
            }
        }
}

inline Array training_nodes(const AugmentedNodes& nodes) {
    return {nodes.inputs, nodes.counts[0], {nodes.X.begin(), nodes.X.begin() + nodes.inputs * nodes.counts[0]}};
}

}  // namespace pdadmm
