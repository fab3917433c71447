// The report of a search: its winner, validation figures by setting, and what accuracy costs.
#pragma once

#include <string>
#include <vector>

#include "host/tune/space.hpp"
#include "host/tune/trial.hpp"

namespace pdadmm {

struct SearchRecord {
    std::string title, folder, metric, config_toml;  // of the winner
    Space space;
    std::vector<TrialRow> rows;
    TrialRow winner;
    double test = 0;       // of the winner; NaN where there are no test nodes
    double trainings = 0;  // whole ones that all trials together cost
};

/// `program` is what wrote the page: version and build.
std::string search_page(const SearchRecord& search, const std::string& program);

}  // namespace pdadmm
