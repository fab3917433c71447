// What a trial of a search showed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/tune/search.hpp"

namespace pdadmm {

/// One training of a trial; of halving a trial has several.
struct TrialRow {
    int trial = 0, bracket = 0;
    double share = 1;        // of its epochs, up to which it was trained
    std::string state, why;  // "done", "paused", "diverged", "failed", "refused" (beyond a limit); what went wrong
    Settings settings;       // none: the preset's
    double figure = 0;       // of the validation nodes, the best so far; NaN where there is none
    std::int64_t epochs = 0;
    Costs costs{};
    double beyond = 0;  // of the limits: excess()

    bool can_win() const { return state == "done" && beyond <= 0 && figure == figure; }
    Outcome outcome() const { return {figure, costs}; }
};

/// The row with the best figure among those that can win, the first trial of equal ones; null where there is none.
const TrialRow* winner_of(const std::vector<TrialRow>& rows);

/// Trials that can win and that no other one beats in figure and cost `cost` (of cost_names) together, by rising cost.
std::vector<const TrialRow*> front_of(const std::vector<TrialRow>& rows, std::size_t cost);

}  // namespace pdadmm
