// Placement of layers on ranks (host/ranks/placement.hpp).
#include "host/ranks/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr double flops_of_a_byte = 4;  // that a processor or a GPU does in fp32 while it moves one, roughly

}  // namespace

double layer_cost(const NetworkShape& s, int layer) {
    const auto n = static_cast<double>(s.rows(layer)), m = static_cast<double>(s.cols(layer)), N = static_cast<double>(s.nodes);
    const double passes = flops_of_a_byte * sizeof(real) * N;
    if (layer == 1) return (prefers_node_space(s) ? 2 * n * N * N : 4 * n * m * N) + passes * 12 * n;
    return 8 * n * m * N + passes * (8 * m + (layer == s.layers ? 60 : 12) * n);  // four products; the last layer's problem takes tens of readings
}

Placement Placement::uniform(const NetworkShape& shape, int ranks) {
    std::vector<double> costs;
    for (int l = 1; l <= shape.layers; ++l) costs.push_back(layer_cost(shape, l));
    return balanced(costs, ranks);
}

Placement Placement::balanced(std::span<const double> costs, int ranks) {
    const int L = static_cast<int>(costs.size()), active = std::min(ranks, L);
    std::vector<double> until(static_cast<std::size_t>(L) + 1);
    for (int l = 1; l <= L; ++l) until[static_cast<std::size_t>(l)] = until[static_cast<std::size_t>(l - 1)] + costs[static_cast<std::size_t>(l - 1)];
    // worst[k][l]: the costliest block where layers 1..l lie on k ranks; begin: the layers before the last of them.
    const std::size_t width = static_cast<std::size_t>(L) + 1;
    std::vector<double> worst((static_cast<std::size_t>(active) + 1) * width, std::numeric_limits<double>::infinity());
    std::vector<int> before(worst.size());
    const auto at = [&](int k, int l) { return static_cast<std::size_t>(k) * width + static_cast<std::size_t>(l); };
    worst[at(0, 0)] = 0;
    for (int k = 1; k <= active; ++k)
        for (int l = k; l <= L; ++l) {
            // With the cut, what lies before it grows and the block behind it shrinks: the best cut is where they cross.
            const auto behind = [&](int cut) { return until[static_cast<std::size_t>(l)] - until[static_cast<std::size_t>(cut)]; };
            int low = k - 1, high = l - 1;
            while (low < high) {
                const int middle = (low + high) / 2;
                if (worst[at(k - 1, middle)] >= behind(middle))
                    high = middle;
                else
                    low = middle + 1;
            }
            for (const int cut : {std::max(k - 1, low - 1), low}) {
                const double cost = std::max(worst[at(k - 1, cut)], behind(cut));
                if (cost < worst[at(k, l)]) {
                    worst[at(k, l)] = cost;
                    before[at(k, l)] = cut;
                }
            }
        }
    Placement placement;
    placement.ranges_.assign(static_cast<std::size_t>(ranks), {L + 1, L});
    for (int k = active, last = L; k >= 1; last = before[at(k, last)], --k) placement.ranges_[static_cast<std::size_t>(k - 1)] = {before[at(k, last)] + 1, last};
    return placement;
}

int Placement::owner(int layer) const {
    for (int rank = 0; rank < ranks(); ++rank)
        if (of(rank).has(layer)) return rank;
    throw Error(ExitCode::internal, fmt::format("layer {}: on no rank, expected one", layer));
}

int Placement::active() const {
    return static_cast<int>(std::count_if(ranges_.begin(), ranges_.end(), [](const LayerRange& r) { return r.count() > 0; }));
}

}  // namespace pdadmm
