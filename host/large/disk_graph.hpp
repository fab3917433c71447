// A graph as compressed rows on disk: 8-byte offsets, 4-byte columns, and weights only where one is not 1. Rows are
// sorted, repeated edges merged, both directions present unless the graph is kept directed; self loops as stored (what
// --self-loops makes of them is decided where the operator is applied, so all operators share one file).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/cpu/thread_pool.hpp"
#include "host/large/graph_source.hpp"
#include "host/large/part.hpp"
#include "host/large/row_blocks.hpp"
#include "pdadmm/graph.hpp"

namespace pdadmm {

/// What the manifest keeps of it.
struct DiskGraph {
    Index nodes = 0, entries = 0, self_loops = 0;
    Part offsets, columns;
    std::optional<Part> weights;
};

/// Called now and then with the entries of `total` that are done.
using BuildProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Bytes that counting takes, whatever the rest: a counter a node.
std::uint64_t counting_bytes(Index nodes);
/// Passes over the source that build_graph makes with `memory` bytes: one that counts, and one for each range of rows
/// whose entries fit.
Index build_passes(Index nodes, std::uint64_t entries, bool weighted, std::uint64_t memory);

/// A counting sort by rows in ranges that fit into `memory` bytes: the source is read once to count, and once for each
/// range. The same bytes whatever the memory and threads. Throws DeviceError where `memory` holds no counters and no
/// largest row, OutputError, DataError.
DiskGraph build_graph(const GraphSource& source, const Folder& folder, bool directed, std::uint64_t memory,
                      ThreadPool& pool, const BuildProgress& progress);

/// Rows read in order by one thread, through a window.
class RowWindow {
public:
    static constexpr std::uint64_t window_entries = std::uint64_t{1} << 19;
    /// Entries read by `bytes_read`, if that is given.
    RowWindow(const PartReader& columns, const PartReader* weights, std::atomic<std::uint64_t>* bytes_read)
        : columns_part_(columns), weights_part_(weights), bytes_read_(bytes_read) {}

    struct Entries {
        std::span<const std::int32_t> columns;  // from the entry asked for on, as many as are at hand, at least one
        std::span<const float> weights;         // as many, or none
        std::size_t ahead = 0;                  // columns at hand behind these
    };
    /// Entries from `first` on, none at or beyond `end`; what is read ahead ends at `last`.
    Entries from(Index first, Index end, Index last);

private:
    const PartReader& columns_part_;
    const PartReader* weights_part_;
    std::atomic<std::uint64_t>* bytes_read_;
    Index begin_ = 0;
    std::vector<std::int32_t> columns_;
    std::vector<float> weights_;
};

/// A graph on disk, opened.
class GraphReader {
public:
    GraphReader(const Folder& folder, const DiskGraph& graph);

    const DiskGraph& graph() const { return graph_; }
    /// Offsets first .. last inclusive.
    std::vector<Index> offsets(Index first, Index last) const;
    /// Columns of as many entries from `first` on, and where the graph has weights those too.
    void entries(Index first, std::span<std::int32_t> columns, std::span<float> weights) const;
    RowWindow window(std::atomic<std::uint64_t>* bytes_read = nullptr) const {
        return {columns_, weights_ ? &*weights_ : nullptr, bytes_read};
    }

private:
    DiskGraph graph_;
    PartReader offsets_, columns_;
    std::optional<PartReader> weights_;
};

}  // namespace pdadmm
