// Search spaces (host/tune/space.hpp).
#include "host/tune/space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "pdadmm/error.hpp"

namespace pdadmm {

double Random::normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
}

Space::Space(std::vector<Dimension> dimensions) : dimensions_(std::move(dimensions)) {
    for (std::size_t i = 0; i < dimensions_.size(); ++i) {
        const Dimension& d = dimensions_[i];
        const auto refuse = [&](const std::string& found, const char* expected) {
            throw UsageError(fmt::format("--search: {}: {}, expected {}", d.name, found, expected));
        };
        if (std::any_of(dimensions_.begin(), dimensions_.begin() + static_cast<std::ptrdiff_t>(i),
                        [&](const Dimension& before) { return before.name == d.name; }))
            refuse("twice", "every setting once");
        if (d.kind == Dimension::Kind::choice) {
            if (d.choices.empty()) refuse("no choice", "some, like gcn|row");
        } else if (!(d.low <= d.high) || !std::isfinite(d.low) || !std::isfinite(d.high)) {
            refuse(fmt::format("{}:{}", d.low, d.high), "a range like 0.01:1");
        } else if (d.logarithmic && d.low <= 0) {
            refuse(fmt::format("{} on a logarithmic scale", d.low), "a number above 0");
        }
    }
}

Point Space::draw(Random& random) const {
    Point point;
    for (std::size_t i = 0; i < size(); ++i)
        point.push_back(dimensions_[i].kind == Dimension::Kind::choice
                            ? static_cast<double>(random.below(dimensions_[i].choices.size()))
                            : projected(i, random.uniform()));
    return point;
}

double Space::value(std::size_t dimension, double coordinate) const {
    const Dimension& d = dimensions_[dimension];
    double found = d.logarithmic ? d.low * std::pow(d.high / d.low, coordinate) : d.low + coordinate * (d.high - d.low);
    if (d.kind == Dimension::Kind::whole) found = std::round(found);
    return std::clamp(found, d.low, d.high);
}

double Space::projected(std::size_t dimension, double coordinate) const {
    const Dimension& d = dimensions_[dimension];
    if (d.kind == Dimension::Kind::choice) return coordinate;
    if (d.kind == Dimension::Kind::number || d.low == d.high) return std::clamp(coordinate, 0.0, 1.0);
    const double whole = value(dimension, std::clamp(coordinate, 0.0, 1.0));
    return d.logarithmic ? std::log(whole / d.low) / std::log(d.high / d.low) : (whole - d.low) / (d.high - d.low);
}

Settings Space::settings(const Point& point) const {
    Settings settings;
    for (std::size_t i = 0; i < point.size(); ++i) {
        const Dimension& d = dimensions_[i];
        settings.emplace_back(d.name,
                              d.kind == Dimension::Kind::choice
                                  ? d.choices[static_cast<std::size_t>(point[i])]
                                  : fmt::format(fmt::runtime(d.kind == Dimension::Kind::whole ? "{:.0f}" : "{:.3g}"),
                                                value(i, point[i])));
    }
    return settings;
}

}  // namespace pdadmm
