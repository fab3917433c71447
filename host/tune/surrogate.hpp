// What trials showed of a search space, as two densities: of the good ones and of the others.
#pragma once

#include <span>
#include <vector>

#include "host/tune/space.hpp"

namespace pdadmm {

/// Parzen estimators (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011, section 4), in which
/// settings are independent: of numbers normal laws around those that were seen, cut off at the ends of their range,
/// and one that is the same everywhere; of choices how often they were seen, and one more of each.
class Surrogate {
public:
    /// The good ones are a seventh of the points, at least two; NaN counts as the worst.
    Surrogate(const Space& space, std::vector<Point> points, std::span<const double> values);

    /// log of how much likelier a point is among the good ones than among the others; the expected improvement grows
    /// with it.
    double gain(const Point& point) const;
    /// A coordinate by the density of the good ones.
    double draw(std::size_t dimension, Random& random) const;
    /// Counts a point that is going to be trained among the others: a further one of the same round is elsewhere.
    void believe(const Point& point) { others_.push_back(point); }

    const std::vector<Point>& good() const { return good_; }
    const std::vector<Point>& others() const { return others_; }

private:
    double density(const std::vector<Point>& points, std::size_t dimension, double coordinate) const;

    const Space& space_;
    std::vector<Point> good_, others_;
};

}  // namespace pdadmm
