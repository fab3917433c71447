// Trials compared (host/tune/trial.hpp).
#include "host/tune/trial.hpp"

#include <algorithm>
#include <cmath>

namespace pdadmm {

const TrialRow* winner_of(const std::vector<TrialRow>& rows) {
    const TrialRow* best = nullptr;
    for (const TrialRow& row : rows)
        if (row.can_win() &&
            (!best || row.figure > best->figure || (row.figure == best->figure && row.trial < best->trial)))
            best = &row;
    return best;
}

std::vector<const TrialRow*> front_of(const std::vector<TrialRow>& rows, std::size_t cost) {
    std::vector<const TrialRow*> all, front;
    for (const TrialRow& row : rows)
        if (row.can_win() && std::isfinite(row.costs[cost])) all.push_back(&row);
    std::stable_sort(all.begin(), all.end(), [&](const TrialRow* a, const TrialRow* b) {
        return a->costs[cost] != b->costs[cost] ? a->costs[cost] < b->costs[cost] : a->figure > b->figure;
    });
    for (const TrialRow* row : all)
        if (front.empty() || row->figure > front.back()->figure) front.push_back(row);
    return front;
}

}  // namespace pdadmm
