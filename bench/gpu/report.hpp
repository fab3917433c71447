// Figures of a GPU benchmark: each with the ceiling or floor that was measured in the same run, the ratio of the two,
// and the target that this ratio (or the figure itself) is held to.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pdadmm::bench {

struct Target {
    enum class Of { ratio, value } of = Of::ratio;
    enum class Relation { at_least, at_most } relation = Relation::at_least;
    double bound = 0;
    bool met(double x) const { return relation == Relation::at_least ? x >= bound : x <= bound; }  // NaN never
};
inline Target ratio_at_least(double bound) { return {Target::Of::ratio, Target::Relation::at_least, bound}; }
inline Target ratio_at_most(double bound) { return {Target::Of::ratio, Target::Relation::at_most, bound}; }
inline Target value_at_most(double bound) { return {Target::Of::value, Target::Relation::at_most, bound}; }

struct Figure {
    std::string group, name;  // "gemm", "NN n 4000, N 44625, tf32"
    double value = NAN;
    std::string unit;
    double floor = NAN;         // in the same unit; also a ceiling, for rates
    std::string floor_is = {};  // what it is
    std::optional<Target> target = {};
    std::string note = {};
    std::string missing = {};  // why there is no value
    double ratio() const { return value / floor; }
    /// Nothing where there is no target; false where there is no value.
    std::optional<bool> met() const;
};

class Report {
public:
    explicit Report(std::string path) : path_(std::move(path)) {}
    void fact(const std::string& name, const std::string& value) { facts_.emplace_back(name, value); }
    /// Prints the figure's line.
    void add(Figure figure);
    /// A case that has no figure: too large for the memory, no time left, failed.
    void missing(const std::string& group, const std::string& name, const std::string& why,
                 std::optional<Target> target = {});
    /// The figure of that name, or null.
    const Figure* find(const std::string& group, const std::string& name) const;
    /// Writes the JSON object to the path given (none: nowhere). After every group, so that a run cut short leaves its
    /// figures.
    void write() const;
    const std::vector<Figure>& figures() const { return figures_; }

private:
    std::string path_;
    std::vector<std::pair<std::string, std::string>> facts_;
    std::vector<Figure> figures_;
};

}  // namespace pdadmm::bench
