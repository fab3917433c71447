// What a work folder holds that is whole: the list that is replaced atomically after every step, and by which an
// interrupted command goes on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/large/disk_graph.hpp"
#include "host/large/features_on_disk.hpp"

namespace pdadmm {

/// A slab of features first .. first + width, at a power of the operator of a chain (block_chains.hpp).
struct SlabPower {
    Index first = 0, width = 0, chain = 0, power = 0;
    Part part;
};

/// Features first .. first + width.
struct SlabRange {
    Index first = 0, width = 0;
    bool operator==(const SlabRange&) const = default;
};

struct SlabManifest {
    std::string identity;  // of the graph, the options and the nodes that are kept
    std::optional<DiskGraph> graph;
    std::optional<DiskFeatures> features;
    std::vector<SlabPower> states;  // of all nodes, where slabs that are being worked on go on: one a slab
    std::vector<SlabPower> kept;    // of the kept nodes alone
    std::vector<SlabRange> done;    // slabs that are whole
    bool multiplied = false;        // all slabs are: graph, features and states are gone

    Index features_done() const;

    /// The part files that it lists.
    std::vector<Part> parts() const;
};

/// The manifest of a work folder; an empty one where there is none. Throws DataError where it is broken.
SlabManifest read_manifest(const Folder& folder);
/// Durably, in place of the one before; then removes the part files that it does not list, but for those that are
/// still being written.
void write_manifest(const Folder& folder, const SlabManifest& manifest);

}  // namespace pdadmm
