// Brackets (host/tune/brackets.hpp).
#include "host/tune/brackets.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pdadmm {
namespace {

constexpr double rounding = 1e-9;  // of sums of shares

/// Of `trials` trainings that begin, with so many halvings.
Bracket bracket_of(int trials, int factor, int halvings) {
    Bracket bracket;
    for (int i = 0; i <= halvings; ++i, trials /= factor)
        bracket.push_back({trials, std::pow(static_cast<double>(factor), i - halvings)});
    return bracket;
}

/// The largest bracket of at most `trials` trainings that `left` pays for and one of which is trained wholly; an empty
/// one where there is none.
Bracket affordable(int trials, int factor, int halvings, double left) {
    const int least = static_cast<int>(std::lround(std::pow(factor, halvings)));
    for (; trials >= least; --trials)
        if (Bracket bracket = bracket_of(trials, factor, halvings); cost_of(bracket) <= left + rounding) return bracket;
    return {};
}

}  // namespace

double cost_of(const Bracket& bracket) {
    double cost = 0, before = 0;
    for (const Rung& rung : bracket) {
        cost += rung.trials * (rung.share - before);
        before = rung.share;
    }
    return cost;
}

std::vector<Bracket> plan_brackets(double trainings, int factor, int halvings) {
    std::vector<Bracket> plan;
    for (int s = halvings; trainings + rounding >= 1; s = s > 0 ? s - 1 : halvings) {
        const int trials =
            static_cast<int>(std::ceil((halvings + 1.0) / (s + 1.0) * std::pow(static_cast<double>(factor), s)));
        const Bracket bracket = affordable(trials, factor, s, trainings);
        if (bracket.empty()) continue;
        trainings -= cost_of(bracket);
        plan.push_back(bracket);
    }
    return plan;
}

std::vector<std::size_t> best_of(std::span<const double> figures, std::size_t count) {
    std::vector<std::size_t> places(figures.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
    const auto rank = [&](std::size_t i) { return std::isnan(figures[i]) ? -INFINITY : figures[i]; };
    std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) { return rank(a) > rank(b); });
    places.resize(std::min(count, places.size()));
    std::sort(places.begin(), places.end());
    return places;
}

}  // namespace pdadmm
