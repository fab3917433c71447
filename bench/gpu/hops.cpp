// One hop of the augmentation on synthetic graphs of the size of known ones, beside the best of the library's
// algorithms alone.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "bench/gpu/session.hpp"
#include "pdadmm/dataset.hpp"
#include "pdadmm/graph.hpp"

namespace pdadmm::bench {
namespace {

struct GraphSize {
    const char* name;
    Index nodes, entries, features;
};

// Degrees fall off as d^-3, so that of the node of rank x is ~ x^(-1/2), and a neighbour drawn in proportion to degree
// is node N u^2. The largest degree is about sqrt(N) / 2 times the mean.
constexpr double rank_exponent = 0.5, neighbour_power = 2;

/// Offsets of rows with power-law degrees in random order, about `entries` in all.
std::vector<Index> power_law_offsets(const GraphSize& g) {
    std::mt19937_64 bits(g.nodes);
    std::vector<double> degrees(static_cast<std::size_t>(g.nodes));
    double sum = 0;
    for (double& degree : degrees) {
        const double u = (static_cast<double>(bits() >> 11) + 1) * 0x1p-53;
        degree = std::pow(u, -rank_exponent);
        sum += degree;
    }
    const double scale = static_cast<double>(g.entries) / sum;
    std::vector<Index> offsets{0};
    for (const double degree : degrees)
        offsets.push_back(offsets.back() + std::max<Index>(1, std::llround(degree * scale)));
    return offsets;
}

/// As the backend prepares it: taken as stored, without scaling.
PropagationOperator made_up_operator(Backend& backend, const GraphSize& g) {
    Csr adjacency{g.nodes, g.nodes, power_law_offsets(g), {}, {}};
    const Buffer<Index> offsets(backend, adjacency.offsets);
    const Buffer<std::int32_t> columns(backend, adjacency.offsets.back());
    wait();  // for the backend's own clearing of new memory
    draw_columns(offsets.data(), g.nodes, g.nodes, neighbour_power, columns.data());
    adjacency.columns = columns.download();
    adjacency.values.assign(adjacency.columns.size(), 1);
    return backend.propagation_operator(adjacency, {Norm::none, SelfLoops::none, true});
}

void measure_hop(Session& s, const GraphSize& g, const std::string& name, const Target& target) {
    const auto backend = open_backend(Math::fp32);
    const PropagationOperator operator_ = made_up_operator(*backend, g);
    const Stack X(*backend, g.features, g.nodes, 1, 2), Y(*backend, g.features, g.nodes, 1, 3);
    const CsrView a = operator_.view();
    const Index entries = a.nnz;

    std::vector<Call> calls{[&] { backend->spmm(a, X.view, Y.view); }};
    for (const int algorithm : {1, 2, 3}) calls.push_back(hop_call(algorithm, a, X.view, Y.view));
    const auto times = s.side_by_side(calls);
    const auto best = std::min_element(times.begin() + 1, times.end());
    const double once = static_cast<double>(sizeof(real)) * (2 * static_cast<double>(g.features * g.nodes)) +
                        8.0 * static_cast<double>(entries + g.nodes);
    s.report.add(
        {"hop", name, 1e3 * times[0], "ms", 1e3 * *best,
         fmt::format("the library's algorithm {} alone", best - times.begin()), target,
         fmt::format(
             "{} entries; algorithms 1, 2, 3: {:.4g}, {:.4g}, {:.4g} ms; everything once at copy speed: {:.4g} ms",
             entries, 1e3 * times[1], 1e3 * times[2], 1e3 * times[3], 1e3 * once / s.copy_bytes_per_second)});
}

}  // namespace

void measure_hops(Session& s) {
    constexpr GraphSize sizes[] = {
        {"Flickr", 89250, 990000, 500}, {"arxiv", 169343, 2500000, 128}, {"products", 2450000, 126000000, 100}};
    const Target target = ratio_at_most(1.1);
    for (GraphSize g : sizes) {
        if (s.quick) g = {g.name, g.nodes / 100, g.entries / 100, g.features / 10};
        const std::string name = fmt::format("{} size, {} nodes, {} features", g.name, g.nodes, g.features);
        s.attempt("hop", name, target, [&] { measure_hop(s, g, name, target); });
    }
}

}  // namespace pdadmm::bench
