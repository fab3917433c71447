// The propagation operator of a graph by sorting its entries, for any execution policy of Thrust: on a device in
// graph_preparation.cu, on the host in tests. Same entries, order and bits as host/data/graph.cpp.
//
// Memory: two copies of the entries at 12 bytes each while they are sorted; everything else is smaller.
#pragma once

#include <thrust/binary_search.h>
#include <thrust/execution_policy.h>
#include <thrust/for_each.h>
#include <thrust/functional.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <thrust/reduce.h>
#include <thrust/sort.h>
#include <thrust/transform.h>
#include <thrust/unique.h>

#include <cstdint>
#include <limits>

#include "pdadmm/backend.hpp"
#include "pdadmm/dataset.hpp"
#include "pdadmm/graph.hpp"

namespace pdadmm::graph_preparation {

/// An entry's row and column as one number: in its order, entries are sorted by row and then by column.
using Place = std::uint64_t;
inline constexpr Place nowhere = std::numeric_limits<Place>::max();  // behind every entry
PDADMM_HD inline Place place(Index row, Index column) {
    return static_cast<Place>(row) << 32 | static_cast<Place>(column);
}
PDADMM_HD inline Index row_of(Place p) { return static_cast<Index>(p >> 32); }
PDADMM_HD inline std::int32_t column_of(Place p) { return static_cast<std::int32_t>(p & 0xFFFFFFFFu); }

/// Entries before merging: as stored, mirrored where edges have no direction, and a loop a node where loops are added.
inline Index entries_to_sort(Index nodes, Index stored, const GraphOptions& options) {
    return (options.directed ? 1 : 2) * stored + (options.self_loops == SelfLoops::add ? nodes : 0);
}
/// Backend memory in use at the worst moment.
inline std::uint64_t bytes_needed(Index nodes, Index stored, const GraphOptions& options) {
    constexpr std::uint64_t entry = sizeof(Place) + sizeof(float), sorting = std::uint64_t{16} << 20;
    return 2 * entry * static_cast<std::uint64_t>(entries_to_sort(nodes, stored, options)) +
           sizeof(Index) * static_cast<std::uint64_t>(nodes + 1) + sorting;
}

/// Stored entry e to its place, and to the mirrored one. Loops: of weight 1 where they are added (one is added as well,
/// and they merge), nowhere where they are removed.
struct Spread {
    const Index* offsets;
    const std::int32_t* columns;
    const float* weights;
    Index nodes, stored;
    GraphOptions options;
    Place* places;
    float* values;

    PDADMM_HD void operator()(Index e) const {
        const Index row = thrust::upper_bound(thrust::seq, offsets, offsets + nodes + 1, e) - offsets - 1,
                    column = columns[e];
        const bool loop = row == column, gone = loop && options.self_loops == SelfLoops::none;
        const float weight = loop && options.self_loops == SelfLoops::add ? loop_weight : weights[e];
        places[e] = gone ? nowhere : place(row, column);
        values[e] = weight;
        if (options.directed) return;
        places[stored + e] = gone ? nowhere : place(column, row);
        values[stored + e] = weight;
    }
};

/// A loop at node i.
struct AddLoop {
    Place* places;
    float* values;
    PDADMM_HD void operator()(Index i) const {
        places[i] = place(i, i);
        values[i] = loop_weight;
    }
};

struct LargerWeight {
    PDADMM_HD float operator()(float a, float b) const { return larger_weight(a, b); }
};
struct RowStart {
    PDADMM_HD Place operator()(Index row) const { return place(row, 0); }
};
struct ColumnOf {
    PDADMM_HD std::int32_t operator()(Place p) const { return column_of(p); }
};

/// Scale of a node: one thread adds a row, so that the order of the sum is the CPU's.
struct ScaleOf {
    const Index* offsets;
    const float* values;
    Norm norm;
    PDADMM_HD double operator()(Index row) const {
        double degree = 0;
        for (Index e = offsets[row]; e < offsets[row + 1]; ++e) degree += static_cast<double>(values[e]);
        return degree_scale(norm, degree);
    }
};

/// Value of entry e of the operator.
struct ValueOf {
    const Place* places;
    const float* values;
    const double* scale;
    Norm norm;
    PDADMM_HD real operator()(Index e) const {
        if (norm == Norm::none) return static_cast<real>(values[e]);
        return static_cast<real>(
            scaled_weight(values[e], scale[row_of(places[e])], norm == Norm::sym ? scale[column_of(places[e])] : 1));
    }
};

/// Entries in backend memory: place and value.
struct Entries {
    Buffer<Place> places;
    Buffer<float> values;
    Index count = 0;
    Entries(Backend& backend, Index entries) : places(backend, entries), values(backend, entries), count(entries) {}
};

/// All entries, sorted; repeated ones beside each other.
template <typename Policy>
Entries sorted_entries(const Policy& policy, Backend& backend, const Csr& adjacency, const GraphOptions& options) {
    const Index nodes = adjacency.rows, stored = adjacency.nnz();
    const thrust::counting_iterator<Index> numbers(0);
    Entries entries(backend, entries_to_sort(nodes, stored, options));
    {
        const Buffer<Index> offsets(backend, adjacency.offsets);
        const Buffer<std::int32_t> columns(backend, adjacency.columns);
        const Buffer<float> weights(backend, adjacency.values);
        const Spread spread{offsets.data(), columns.data(), weights.data(),        nodes,
                            stored,         options,        entries.places.data(), entries.values.data()};
        thrust::for_each(policy, numbers, numbers + stored, spread);
    }
    if (options.self_loops == SelfLoops::add) {
        const Index first = entries.count - nodes;
        thrust::for_each(policy, numbers, numbers + nodes,
                         AddLoop{entries.places.data() + first, entries.values.data() + first});
    }
    Place* places = entries.places.data();
    thrust::sort_by_key(policy, places, places + entries.count, entries.values.data());
    if (options.self_loops == SelfLoops::none)
        entries.count = thrust::lower_bound(policy, places, places + entries.count, nowhere) - places;
    return entries;
}

/// Each place once, with the largest of its weights.
template <typename Policy>
Entries merged_entries(const Policy& policy, Backend& backend, const Entries& sorted) {
    const Place *first = sorted.places.data(), *last = first + sorted.count;
    Entries merged(backend, thrust::unique_count(policy, first, last));
    thrust::reduce_by_key(policy, first, last, sorted.values.data(), merged.places.data(), merged.values.data(),
                          thrust::equal_to<Place>(), LargerWeight{});
    return merged;
}

/// The operator, in memory of `backend` that `policy` can work on.
template <typename Policy>
PropagationOperator propagation_operator(const Policy& policy, Backend& backend, const Csr& adjacency,
                                         const GraphOptions& options) {
    const Index nodes = adjacency.rows;
    const Entries entries = merged_entries(policy, backend, sorted_entries(policy, backend, adjacency, options));
    const Place* places = entries.places.data();
    const float* weights = entries.values.data();
    const thrust::counting_iterator<Index> numbers(0);

    PropagationOperator a{nodes, {backend, nodes + 1}, {backend, entries.count}, {backend, entries.count}, nullptr};
    const auto starts = thrust::make_transform_iterator(numbers, RowStart{});
    thrust::lower_bound(policy, places, places + entries.count, starts, starts + nodes + 1, a.offsets.data());
    thrust::transform(policy, places, places + entries.count, a.columns.data(), ColumnOf{});
    const bool scaled = options.norm != Norm::none;
    const Buffer<double> scale(backend, scaled ? nodes : 0);
    if (scaled)
        thrust::transform(policy, numbers, numbers + nodes, scale.data(),
                          ScaleOf{a.offsets.data(), weights, options.norm});
    thrust::transform(policy, numbers, numbers + entries.count, a.values.data(),
                      ValueOf{places, weights, scale.data(), options.norm});
    return a;
}

}  // namespace pdadmm::graph_preparation
