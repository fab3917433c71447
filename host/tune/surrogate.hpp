// A Gaussian process over a search space, fitted to what trials showed.
#pragma once

#include <span>
#include <vector>

#include "host/tune/space.hpp"

namespace pdadmm {

/// Mean and standard deviation of the value at a point, in standard units of the values that were seen.
struct Belief {
    double mean = 0, sd = 1;
};

/// k(a, b) = w mean_i k_i + (1 - w) prod_i k_i over dimensions i: exp(-(a_i - b_i)^2 / (2 l^2)) of numbers; of choices
/// 1 where they are the same, else 0 in the mean and exp(-c) in the product. The sum learns what each setting does by
/// itself, the product what they do together. w, l, c and the noise are those of a few with the highest marginal
/// likelihood (Rasmussen and Williams, algorithm 2.1).
class Surrogate {
public:
    /// Values are told apart by their ranks alone, so that a training that failed pulls no harder than one that was
    /// bad; NaN counts as the worst.
    Surrogate(const Space& space, std::vector<Point> points, std::span<const double> values);

    Belief at(const Point& point) const;
    /// How much better than the best value so far a point is expected to be: E max(0, y - best).
    double expected_gain(const Point& point) const;
    /// Takes `point` for seen, at its mean: a further proposal of the same round looks elsewhere.
    void believe(const Point& point);

private:
    struct Kernel {
        double length, mismatch, noise, additive;
    };

    double kernel(const Point& a, const Point& b) const;
    /// Factors K + noise I and solves for the weights; the log marginal likelihood.
    double fit(const Kernel& kernel);

    const Space& space_;
    std::vector<Point> points_;
    std::vector<double> values_;  // standard units
    Kernel kernel_{};
    std::vector<std::vector<double>> factor_;  // lower triangle
    std::vector<double> weights_;
};

}  // namespace pdadmm
