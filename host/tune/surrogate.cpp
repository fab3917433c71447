// A Gaussian process (host/tune/surrogate.hpp).
#include "host/tune/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace pdadmm {
namespace {

/// Of each value the logit of its mean rank among all, which is near a normal quantile when divided by 1.7.
std::vector<double> by_rank(std::span<const double> values) {
    std::vector<double> found;
    const auto below = [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; };
    for (const double value : values) {
        double rank = 0.5;
        for (const double other : values) rank += below(other, value) ? 1 : below(value, other) ? 0 : 0.5;
        const double share = (rank - 0.5) / static_cast<double>(values.size());
        found.push_back(std::log(share / (1 - share)) / 1.7);
    }
    if (values.size() == 1) found[0] = 0;
    return found;
}

double density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }
double below(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

Surrogate::Surrogate(const Space& space, std::vector<Point> points, std::span<const double> values)
    : space_(space), points_(std::move(points)), values_(by_rank(values)) {
    double most = -INFINITY;
    Kernel best{};
    for (const double length : {0.2, 0.5, 1.2})
        for (const double mismatch : {0.2, 0.7})
            for (const double noise : {0.02, 0.1, 0.4})
                for (const double additive : {0.0, 0.5, 0.9}) {
                    const Kernel kernel{length, mismatch, noise, additive};
                    if (const double likelihood = fit(kernel); likelihood > most) {
                        most = likelihood;
                        best = kernel;
                    }
                }
    fit(best);
}

double Surrogate::kernel(const Point& a, const Point& b) const {
    double sum = 0, exponent = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const bool choice = space_.dimensions()[i].kind == Dimension::Kind::choice;
        const double apart = (a[i] - b[i]) / kernel_.length;
        const double one = choice ? (a[i] == b[i] ? 0 : kernel_.mismatch) : 0.5 * apart * apart;
        sum += choice ? (a[i] == b[i] ? 1 : 0) : std::exp(-one);
        exponent += one;
    }
    const double mean = a.empty() ? 0 : sum / static_cast<double>(a.size());
    return kernel_.additive * mean + (1 - kernel_.additive) * std::exp(-exponent);
}

double Surrogate::fit(const Kernel& chosen) {
    kernel_ = chosen;
    const std::size_t count = points_.size();
    factor_.assign(count, {});
    double log_determinant = 0;
    for (std::size_t i = 0; i < count; ++i) {
        factor_[i].resize(i + 1);
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = kernel(points_[i], points_[j]) + (i == j ? kernel_.noise : 0);
            for (std::size_t k = 0; k < j; ++k) sum -= factor_[i][k] * factor_[j][k];
            factor_[i][j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / factor_[j][j];
        }
        log_determinant += std::log(factor_[i][i]);
    }
    weights_ = values_;
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t k = 0; k < i; ++k) weights_[i] -= factor_[i][k] * weights_[k];
        weights_[i] /= factor_[i][i];
    }
    const double fitting = std::inner_product(weights_.begin(), weights_.end(), weights_.begin(), 0.0);
    for (std::size_t i = count; i-- > 0;) {
        for (std::size_t k = i + 1; k < count; ++k) weights_[i] -= factor_[k][i] * weights_[k];
        weights_[i] /= factor_[i][i];
    }
    return -0.5 * fitting - log_determinant;
}

Belief Surrogate::at(const Point& point) const {
    std::vector<double> across;
    for (const Point& seen : points_) across.push_back(kernel(point, seen));
    const double mean = std::inner_product(across.begin(), across.end(), weights_.begin(), 0.0);
    double variance = 1;
    for (std::size_t i = 0; i < across.size(); ++i) {
        for (std::size_t k = 0; k < i; ++k) across[i] -= factor_[i][k] * across[k];
        across[i] /= factor_[i][i];
        variance -= across[i] * across[i];
    }
    return {mean, std::sqrt(std::max(variance, 1e-12))};
}

double Surrogate::expected_gain(const Point& point) const {
    const double best = *std::max_element(values_.begin(), values_.end());
    const Belief belief = at(point);
    const double z = (belief.mean - best) / belief.sd;
    return (belief.mean - best) * below(z) + belief.sd * density(z);
}

void Surrogate::believe(const Point& point) {
    const double mean = at(point).mean;
    points_.push_back(point);
    values_.push_back(mean);
    fit(Kernel(kernel_));
}

}  // namespace pdadmm
