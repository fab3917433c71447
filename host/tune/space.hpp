// What a search chooses among: settings by name, each a range of numbers or a list of choices.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace pdadmm {

/// Draws that are the same on every platform.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    /// In [0, 1).
    double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
    std::size_t below(std::size_t count) { return static_cast<std::size_t>(uniform() * static_cast<double>(count)); }
    /// N(0, 1) by Box and Muller.
    double normal();

private:
    std::mt19937_64 engine_;
};

/// One setting.
struct Dimension {
    enum class Kind { number, whole, choice };
    std::string name;
    Kind kind = Kind::number;
    double low = 0, high = 1;  // both ends count
    bool logarithmic = false;
    std::vector<std::string> choices;
};

/// A coordinate a dimension: of a number its place in [0, 1] within the range, of a choice its place in the list.
using Point = std::vector<double>;
/// Names and values, as options have them.
using Settings = std::vector<std::pair<std::string, std::string>>;

class Space {
public:
    /// Throws UsageError that begins with "--search:" where a range is empty, a list has no choice or a name is there
    /// twice.
    explicit Space(std::vector<Dimension> dimensions);

    const std::vector<Dimension>& dimensions() const { return dimensions_; }
    std::size_t size() const { return dimensions_.size(); }
    Point draw(Random& random) const;
    /// Real numbers in three digits.
    Settings settings(const Point& point) const;
    /// The coordinate nearest to `coordinate` that is one of a setting: whole numbers lie on a grid.
    double projected(std::size_t dimension, double coordinate) const;
    /// The number at a coordinate.
    double value(std::size_t dimension, double coordinate) const;

private:
    std::vector<Dimension> dimensions_;
};

}  // namespace pdadmm
