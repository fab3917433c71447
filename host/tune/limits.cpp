// Limits of trials (host/tune/limits.hpp).
#include "host/tune/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pdadmm {

double excess(const Costs& costs, const Limits& limits) {
    double most = -1;
    for (std::size_t i = 0; i < costs.size(); ++i)
        if (std::isinf(costs[i]))
            return INFINITY;
        else if (std::isfinite(limits[i]) && !std::isnan(costs[i]))
            most = std::max(most, costs[i] / limits[i] - 1);
    return most;
}

std::string excess_text(const Costs& costs, const Limits& limits) {
    const double most = excess(costs, limits);
    for (std::size_t i = 0; i < costs.size(); ++i)
        if (costs[i] / limits[i] - 1 == most)
            return fmt::format("{}: {:.4g}, expected at most {:.4g}", cost_names[i], costs[i], limits[i]);
    return "";
}

}  // namespace pdadmm
