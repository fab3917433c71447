// Search by a tree-structured Parzen estimator: Optuna's, asked anew in every round with all that is known, so that a
// search which goes on needs nothing but its table.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/tune/search.hpp"

namespace pdadmm {

/// Answers a request (JSON: seed, count, space, trials) by a list of so many settings.
using Oracle = std::function<std::string(const std::string& request)>;

std::unique_ptr<Search> make_tpe_search(SearchSettings settings, Oracle oracle);

}  // namespace pdadmm
