// A counting sort to disk (host/large/disk_graph.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "host/large/disk_graph.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::int32_t merged_away = -1;  // in place of an entry that another one stands for

/// place(row, column, weight) of every entry: of an edge both directions where they are wanted and not both stored.
template <typename Place>
void each_entry(const GraphSource& source, bool one_way, const Place& place, const BuildProgress& progress,
                std::uint64_t& done, std::uint64_t total) {
    source.edges([&](std::span<const StoredEdge> edges) {
        for (const StoredEdge& e : edges) {
            place(e.from, e.to, e.weight);
            if (!one_way && e.from != e.to) place(e.to, e.from, e.weight);
        }
        done += edges.size();
        progress(done, total);
    });
}

/// Entries of the rows first .. last - 1, in rows; sorted and merged in place.
class RowRange {
public:
    RowRange(Index entries, bool weighted)
        : columns_(static_cast<std::size_t>(entries)), weights_(weighted ? static_cast<std::size_t>(entries) : 0) {}

    bool has(std::size_t at) const { return at < columns_.size(); }
    void put(std::size_t at, std::int32_t column, float weight) {
        columns_[at] = column;
        if (!weights_.empty()) weights_[at] = weight;
    }

    /// Sorts a row; of repeated columns the largest weight stays, in the first of their places.
    void settle(std::size_t begin, std::size_t end) {
        if (weights_.empty()) {
            const auto from = columns_.begin() + static_cast<std::ptrdiff_t>(begin),
                       to = columns_.begin() + static_cast<std::ptrdiff_t>(end);
            std::sort(from, to);
            std::fill(std::unique(from, to), to, merged_away);
            return;
        }
        std::vector<std::pair<std::int32_t, float>> row;
        for (std::size_t k = begin; k < end; ++k) row.emplace_back(columns_[k], weights_[k]);
        std::sort(row.begin(), row.end());
        std::size_t out = begin;
        for (const auto& [column, weight] : row) {
            if (out > begin && columns_[out - 1] == column) {
                weights_[out - 1] = larger_weight(weights_[out - 1], weight);
                continue;
            }
            columns_[out] = column;
            weights_[out++] = weight;
        }
        std::fill(columns_.begin() + static_cast<std::ptrdiff_t>(out),
                  columns_.begin() + static_cast<std::ptrdiff_t>(end), merged_away);
    }

    std::span<const std::int32_t> columns(std::size_t begin, std::size_t end) const {
        const auto from = columns_.begin() + static_cast<std::ptrdiff_t>(begin),
                   to = columns_.begin() + static_cast<std::ptrdiff_t>(end);
        return std::span(columns_).subspan(begin, static_cast<std::size_t>(std::find(from, to, merged_away) - from));
    }
    std::span<const float> weights(std::size_t begin, std::size_t count) const {
        return std::span(weights_).subspan(begin, count);
    }

private:
    std::vector<std::int32_t> columns_;
    std::vector<float> weights_;
};

/// Ends of ranges of rows of at most `room` entries each.
std::vector<Index> range_ends(const std::vector<Index>& starts, Index room) {
    const auto nodes = static_cast<Index>(starts.size()) - 1;
    std::vector<Index> ends;
    for (Index first = 0; first < nodes;) {
        const Index most = starts[static_cast<std::size_t>(first)] + room;
        const auto beyond = std::upper_bound(starts.begin() + first, starts.end(), most);
        const Index last = static_cast<Index>(beyond - starts.begin()) - 1;
        if (last <= first) {
            const Index row = starts[static_cast<std::size_t>(first) + 1] - starts[static_cast<std::size_t>(first)];
            throw DeviceError(fmt::format("--memory: room for {} entries of a row, expected {} (node {}); give more",
                                          room, row, first));
        }
        ends.push_back(last);
        first = last;
    }
    return ends;
}

}  // namespace

std::uint64_t counting_bytes(Index nodes) { return static_cast<std::uint64_t>(nodes + 1) * sizeof(Index); }

Index build_passes(Index nodes, std::uint64_t entries, bool weighted, std::uint64_t memory) {
    const std::uint64_t counters = counting_bytes(nodes), room = memory > counters ? memory - counters : 1;
    return static_cast<Index>(1 + std::max<std::uint64_t>(1, (entries * (weighted ? 8 : 4) + room - 1) / room));
}

DiskGraph build_graph(const GraphSource& source, const Folder& folder, bool directed, std::uint64_t memory,
                      ThreadPool& pool, const BuildProgress& progress) {
    const bool weighted = source.weighted(), one_way = directed || source.symmetric();
    DiskGraph graph;
    graph.nodes = source.description().nodes;
    std::uint64_t done = 0, total = 0;
    std::vector<Index> cursor(static_cast<std::size_t>(graph.nodes) + 1);  // of each row: where its next entry goes
    each_entry(
        source, one_way, [&](std::int32_t row, std::int32_t, float) { ++cursor[static_cast<std::size_t>(row) + 1]; },
        progress, done, total);
    std::partial_sum(cursor.begin(), cursor.end(), cursor.begin());
    const std::uint64_t counters = counting_bytes(graph.nodes), entry = weighted ? 8 : 4;
    const std::vector<Index> ends =
        range_ends(cursor, static_cast<Index>((memory > counters ? memory - counters : 0) / entry));
    total = done * (1 + ends.size());
    PartAppender offsets(folder, "graph-offsets"), columns(folder, "graph-columns");
    std::optional<PartAppender> weights;
    if (weighted) weights.emplace(folder, "graph-weights");
    std::vector<Index> offset_block{0};
    Index first = 0;
    for (const Index last : ends) {
        const Index base = cursor[static_cast<std::size_t>(first)];
        RowRange range(cursor[static_cast<std::size_t>(last)] - base, weighted);
        each_entry(
            source, one_way,
            [&](std::int32_t row, std::int32_t column, float weight) {
                if (row < first || row >= last) return;
                const auto place = static_cast<std::size_t>(cursor[static_cast<std::size_t>(row)]++ - base);
                if (!range.has(place))
                    throw DataError(
                        fmt::format("{}: more edges of node {} than when they were counted, expected as "
                                    "many; give the command again",
                                    source.description().name, row));
                range.put(place, column, weight);
            },
            progress, done, total);
        // A row now begins where the one before it ends, and ends at its cursor.
        const auto bounds = [&](Index row) {
            return std::pair(
                static_cast<std::size_t>((row == first ? base : cursor[static_cast<std::size_t>(row) - 1]) - base),
                static_cast<std::size_t>(cursor[static_cast<std::size_t>(row)] - base));
        };
        each_row_block(pool, last - first, rows_of_task, {}, [&](Index from, Index to) {
            for (Index row = first + from; row < first + to; ++row) {
                const auto [begin, end] = bounds(row);
                range.settle(begin, end);
            }
        });
        for (Index row = first; row < last; ++row) {
            const auto [begin, end] = bounds(row);
            const std::span<const std::int32_t> kept = range.columns(begin, end);
            columns.append_values(kept);
            if (weights) weights->append_values(range.weights(begin, kept.size()));
            graph.entries += static_cast<Index>(kept.size());
            graph.self_loops += std::binary_search(kept.begin(), kept.end(), static_cast<std::int32_t>(row)) ? 1 : 0;
            offset_block.push_back(graph.entries);
            if (offset_block.size() >= std::size_t{1} << 16) {
                offsets.append_values(std::span<const Index>(offset_block));
                offset_block.clear();
            }
        }
        first = last;
    }
    offsets.append_values(std::span<const Index>(offset_block));
    graph.offsets = offsets.commit();
    graph.columns = columns.commit();
    if (weights) graph.weights = weights->commit();
    return graph;
}

}  // namespace pdadmm
