// Methods of searching: which trainings come next, from what those before showed. Nothing here trains, reads a clock or
// writes; the same seed and the same outcomes give the same proposals.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/tune/limits.hpp"
#include "host/tune/space.hpp"

namespace pdadmm {

/// Training `trial` up to `share` of its epochs, from where it stopped before.
struct Task {
    int trial = 0;
    Point point;
    double share = 1;
    int bracket = 0;  // of halving, from 1
};

/// What a task showed.
struct Outcome {
    double figure = 0;  // best of the validation nodes so far; NaN of a training that failed
    Costs costs{};
};

class Search {
public:
    virtual ~Search() = default;
    /// The next tasks, which do not depend on each other; none: the search is over.
    virtual std::vector<Task> ask() = 0;
    /// Outcomes of the tasks that ask() returned last, in their order.
    virtual void tell(const std::vector<Outcome>& outcomes) = 0;
};

/// What every method is given.
struct SearchSettings {
    Space space;
    std::uint64_t seed = 0;
    int first_trial = 0;   // number of the first proposal
    double trainings = 0;  // whole trainings that the tasks together may cost
    int round = 5;         // proposals between two looks at outcomes, where a method has a choice
    Limits limits{};
    std::function<Costs(const Point&)> costs;  // of a point, as far as they are known before it is trained
};

/// "random", "halving".
std::unique_ptr<Search> make_search(const std::string& method, SearchSettings settings);

/// A random point whose known costs are within the limits. Throws UsageError where none of many is.
Point admissible_point(const SearchSettings& settings, Random& random);

/// Figures to choose by: those of outcomes beyond a limit are worse than all others, the worse the further beyond.
std::vector<double> merits(const std::vector<Outcome>& outcomes, const Limits& limits);

}  // namespace pdadmm
