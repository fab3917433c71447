// Parzen estimators (host/tune/surrogate.hpp).
#include "host/tune/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "host/tune/brackets.hpp"

namespace pdadmm {
namespace {

constexpr double share_of_good = 1.0 / 7;
constexpr std::size_t least_good = 2;

/// Standard deviation around each of so many points: Scott's rule for the unit interval.
double width_of(std::size_t points) { return 0.3 * std::pow(static_cast<double>(points), -0.2); }

double below(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

/// Of N(middle, width^2) cut off at 0 and 1.
double cut_normal(double x, double middle, double width) {
    const double z = (x - middle) / width;
    const double inside = below((1 - middle) / width) - below(-middle / width);
    return std::exp(-0.5 * z * z) / (std::sqrt(2 * std::numbers::pi) * width * inside);
}

}  // namespace

Surrogate::Surrogate(const Space& space, std::vector<Point> points, std::span<const double> values) : space_(space) {
    const auto wanted = static_cast<std::size_t>(std::ceil(share_of_good * static_cast<double>(points.size())));
    const std::vector<std::size_t> best = best_of(values, std::max(least_good, wanted));
    for (std::size_t i = 0; i < points.size(); ++i)
        (std::binary_search(best.begin(), best.end(), i) ? good_ : others_).push_back(std::move(points[i]));
}

double Surrogate::density(const std::vector<Point>& points, std::size_t dimension, double coordinate) const {
    const Dimension& d = space_.dimensions()[dimension];
    const bool choice = d.kind == Dimension::Kind::choice;
    const double width = width_of(std::max<std::size_t>(1, points.size()));
    double sum = 1;
    for (const Point& point : points)
        sum += choice ? (point[dimension] == coordinate ? 1 : 0) : cut_normal(coordinate, point[dimension], width);
    return sum / static_cast<double>(points.size() + (choice ? d.choices.size() : 1));
}

double Surrogate::gain(const Point& point) const {
    double sum = 0;
    for (std::size_t i = 0; i < point.size(); ++i)
        sum += std::log(density(good_, i, point[i]) / density(others_, i, point[i]));
    return sum;
}

double Surrogate::draw(std::size_t dimension, Random& random) const {
    const std::size_t which = random.below(good_.size() + 1);
    if (which == good_.size()) return random.uniform();
    double found = -1;
    while (!(found >= 0 && found <= 1)) found = good_[which][dimension] + width_of(good_.size()) * random.normal();
    return found;
}

}  // namespace pdadmm
