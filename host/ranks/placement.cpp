// Placement of layers on ranks (host/ranks/placement.hpp).
#include "host/ranks/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "pdadmm/error.hpp"

namespace pdadmm {
void CostModel::fit(const ByKind& work, const ByKind& seconds) {
    double all_work = 0, all_seconds = 0;
    for (std::size_t k = 0; k < layer_kinds; ++k) {
        if (!(work[k] > 0 && seconds[k] > 0)) continue;
        all_work += work[k];
        all_seconds += seconds[k];
    }
    if (!(all_work > 0)) return;
    for (std::size_t k = 0; k < layer_kinds; ++k)
        factors_[k] = work[k] > 0 && seconds[k] > 0 ? seconds[k] / work[k] : all_seconds / all_work;
}

std::vector<double> CostModel::of(const NetworkShape& shape) const {
    std::vector<double> costs;
    for (int layer = 1; layer <= shape.layers; ++layer)
        costs.push_back(factors_[static_cast<std::size_t>(kind_of(shape, layer))] * counted_work(shape, layer));
    return costs;
}

Placement::Placement(std::span<const int> last, int ranks) {
    for (const int to : last) ranges_.push_back({ranges_.empty() ? 1 : ranges_.back().last + 1, to});
    ranges_.resize(static_cast<std::size_t>(ranks), {last.back() + 1, last.back()});
}

Placement Placement::uniform(int layers, int ranks) {
    const int active = std::min(ranks, layers);
    std::vector<int> last;
    for (int k = 1; k <= active; ++k) last.push_back(layers / active * k + std::min(k, layers % active));
    return {last, ranks};
}

Placement Placement::listed(int layers, std::span<const int> final_layers) {
    const int ranks = static_cast<int>(final_layers.size()), active = std::min(ranks, layers);
    const double depth = std::accumulate(final_layers.begin(), final_layers.end(), 0.0);
    std::vector<int> last;
    double until = 0;
    for (int k = 1; k <= active; ++k) {
        until += final_layers[static_cast<std::size_t>(k - 1)];
        const int cut = static_cast<int>(layers * until / depth + 0.5);
        last.push_back(k == active ? layers : std::clamp(cut, k == 1 ? 1 : last.back() + 1, layers - (active - k)));
    }
    return {last, ranks};
}

Placement Placement::balanced(std::span<const double> costs, int ranks) {
    const int L = static_cast<int>(costs.size()), active = std::min(ranks, L);
    std::vector<double> until(static_cast<std::size_t>(L) + 1);
    std::partial_sum(costs.begin(), costs.end(), until.begin() + 1);
    // worst[k][l]: the costliest block where layers 1..l lie on k ranks; before: the layers before the last of them.
    const std::size_t width = static_cast<std::size_t>(L) + 1;
    std::vector<double> worst((static_cast<std::size_t>(active) + 1) * width, std::numeric_limits<double>::infinity());
    std::vector<int> before(worst.size());
    const auto at = [&](int k, int l) { return static_cast<std::size_t>(k) * width + static_cast<std::size_t>(l); };
    worst[at(0, 0)] = 0;
    for (int k = 1; k <= active; ++k)
        for (int l = k; l <= L; ++l) {
            // With the cut, what lies before it grows and the block behind it shrinks: the best cut is where they
            // cross.
            const auto behind = [&](int cut) {
                return until[static_cast<std::size_t>(l)] - until[static_cast<std::size_t>(cut)];
            };
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
    std::vector<int> last(static_cast<std::size_t>(active));
    for (int k = active, l = L; k >= 1; l = before[at(k, l)], --k) last[static_cast<std::size_t>(k - 1)] = l;
    return {last, ranks};
}

int Placement::owner(int layer) const {
    for (int rank = 0; rank < ranks(); ++rank)
        if (of(rank).has(layer)) return rank;
    throw Error(ExitCode::internal, fmt::format("layer {}: on no rank, expected one", layer));
}

int Placement::active() const {
    return static_cast<int>(
        std::count_if(ranges_.begin(), ranges_.end(), [](const LayerRange& r) { return r.count() > 0; }));
}

Placement place_layers(const PlacementRule& rule, const NetworkShape& shape, int ranks, const CostModel& costs) {
    switch (rule.kind) {
        case PlacementRule::Kind::uniform:
            return Placement::uniform(shape.layers, ranks);
        case PlacementRule::Kind::listed:
            return Placement::listed(shape.layers, rule.layers);
        case PlacementRule::Kind::automatic:
            break;
    }
    return Placement::balanced(costs.of(shape), ranks);
}

double block_cost(const Placement& placement, int rank, std::span<const double> costs) {
    const LayerRange own = placement.of(rank);
    double cost = 0;
    for (int layer = own.first; layer <= own.last; ++layer) cost += costs[static_cast<std::size_t>(layer - 1)];
    return cost;
}

double costliest_block(const Placement& placement, std::span<const double> costs) {
    double most = 0;
    for (int rank = 0; rank < placement.ranks(); ++rank) most = std::max(most, block_cost(placement, rank, costs));
    return most;
}

std::string range_text(LayerRange range) {
    if (range.count() == 0) return "-";
    return range.count() == 1 ? fmt::format("{}", range.first) : fmt::format("{}-{}", range.first, range.last);
}

std::string placement_table(const Placement& placement, std::span<const double> costs,
                            std::span<const std::size_t> memory, int nodes, std::span<const RankPlace> places) {
    const double all = std::accumulate(costs.begin(), costs.end(), 0.0);
    std::size_t host = 4, device = 6;
    for (const RankPlace& place : places) {
        host = std::max(host, place.host.size());
        device = std::max(device, place.device.size());
    }
    const auto line = [&](const std::string& rank, const RankPlace& place, const std::string& layers,
                          const std::string& block, const std::string& share, const std::string& bytes) {
        return fmt::format(
            "{:>4}  {}{:<7}  {}{:>13}  {}", rank,
            places.empty() ? "" : fmt::format("{:<{}}  {:<{}}  ", place.host, host, place.device, device), layers,
            nodes > 1 ? fmt::format("{:<5}  ", block) : "", share, bytes);
    };
    std::string text = line("rank", {"host", "device"}, "layers", "nodes", "share of cost", "memory");
    for (int rank = 0; rank < placement.ranks() * nodes; ++rank) {
        const int block = rank / nodes;
        const auto at = static_cast<std::size_t>(rank);
        text += '\n';
        text += line(std::to_string(rank), places.empty() ? RankPlace{} : places[at], range_text(placement.of(block)),
                     fmt::format("{}/{}", rank % nodes + 1, nodes),
                     fmt::format("{:.1f} %", 100 * block_cost(placement, block, costs) / all / nodes),
                     fmt::format("{:.1f} MiB", static_cast<double>(memory[at]) / (1 << 20)));
    }
    return text;
}

}  // namespace pdadmm
