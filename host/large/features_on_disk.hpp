// Features on disk in panels of four, each contiguous for all nodes, so that a slab of any few columns is read without
// the others.
#pragma once

#include <functional>

#include "host/cpu/thread_pool.hpp"
#include "host/large/graph_source.hpp"
#include "host/large/part.hpp"

namespace pdadmm {

inline constexpr Index panel_features = 4;

struct DiskFeatures {
    Index nodes = 0, features = 0;
    Index chunk_rows = 0;  // rows of a record; a panel has a whole number of them, zeros behind the last node
    Part part;

    /// Features in whole panels.
    Index padded() const { return (features + panel_features - 1) / panel_features * panel_features; }
};

/// What write_features takes.
std::uint64_t feature_writing_bytes(Index nodes, Index features);
std::uint64_t disk_features_bytes(Index nodes, Index features);

/// `divide_by_sum`: a node's features are divided by their sum. Calls progress(nodes done).
DiskFeatures write_features(const GraphSource& source, const Folder& folder, bool divide_by_sum,
                            const std::function<void(Index)>& progress);

/// x (width, rows), column-major: of the nodes from .. to - 1 features first .. first + width, both multiples of four.
void load_features(const PartReader& part, const DiskFeatures& features, Index first, Index width, Index from, Index to,
                   real* x, ThreadPool& pool);

}  // namespace pdadmm
