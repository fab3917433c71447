// One hop of one slab of features: Y = X A' with X in memory, A streamed from disk and Y streamed to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "host/large/disk_graph.hpp"

namespace pdadmm {

/// A propagation operator over a graph on disk: the factors of its nodes.
struct DiskOperator {
    GraphOptions options;
    std::vector<double> scale;  // a node; empty where norm is none
};

/// Reads the graph once where its weights or stored self loops make it necessary.
DiskOperator disk_operator(const GraphReader& graph, const GraphOptions& options, ThreadPool& pool);

/// Of every node, how many hops it is away from the nearest of `wanted` along entries of rows; 255 where that is
/// `hops` or more.
std::vector<std::uint8_t> reach_of(const GraphReader& graph, std::span<const std::int32_t> wanted, int hops,
                                   ThreadPool& pool);

/// The nodes that are kept, ascending, and what is asked of a hop.
struct HopRows {
    std::span<const std::int32_t> kept;
    std::span<const std::uint8_t> reach;  // empty: every node is computed
    int most = 0;                         // reach of the nodes that are computed
    bool computes(Index node) const { return reach.empty() || reach[static_cast<std::size_t>(node)] <= most; }
};

/// Where a hop's result goes; null: nowhere.
struct HopOutput {
    PartWriter* state = nullptr;  // (width, nodes): zeros for nodes that are not computed
    PartWriter* kept = nullptr;   // (width, kept nodes)
};

/// Of all threads together, and whether to stop.
struct HopWatch {
    std::atomic<std::uint64_t> bytes_read{0}, entries{0};  // of the graph; entries that were multiplied
    std::atomic<Index> rows_done{0};
    std::function<bool()> stopped;  // called from any thread, once a block of rows
};

/// Bytes of a record of a state.
std::uint64_t state_record(Index width);
/// x (width, last - first) = nodes first .. last - 1 of a state. Throws DataError as PartReader::read.
void read_state(const PartReader& state, Index first, Index last, Index width, real* x, ThreadPool& pool);
/// What each thread takes in a product.
std::uint64_t product_bytes_a_thread(Index width, bool weighted);

/// Y(:, i) = sum over j of a_ij X(:, j), in order of j: the bits of Backend::spmm on the processor. X is (width,
/// nodes).
void slab_product(const GraphReader& graph, const DiskOperator& a, const real* X, Index width, const HopRows& rows,
                  HopOutput out, HopWatch& watch, ThreadPool& pool);

/// The nodes of `kept` within first .. last - 1: their places, from and to.
std::pair<Index, Index> kept_within(std::span<const std::int32_t> kept, Index first, Index last);
/// Writes those columns of a block of Y or X, which begins at node `first`, that are kept.
void write_kept(const real* block, Index first, Index last, Index width, std::span<const std::int32_t> kept,
                PartWriter& out);

}  // namespace pdadmm
