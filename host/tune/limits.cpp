// Limits of trials (host/tune/limits.hpp).
#include "host/tune/limits.hpp"

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

}  // namespace pdadmm
