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

struct SlabManifest {
    std::string identity;  // of the graph, the options and the nodes that are kept
    std::optional<DiskGraph> graph;
    std::optional<DiskFeatures> features;
    std::optional<SlabPower> state;  // of all nodes, where the slab that is being worked on goes on
    std::vector<SlabPower> kept;     // of the kept nodes alone
    Index features_done = 0;         // slabs up to here are whole
    bool multiplied = false;         // all slabs are: graph, features and state are gone

    /// The part files that it lists.
    std::vector<Part> parts() const;
};

/// The manifest of a work folder; an empty one where there is none. Throws DataError where it is broken.
SlabManifest read_manifest(const Folder& folder);
/// Durably, in place of the one before; then removes the part files that it does not list.
void write_manifest(const Folder& folder, const SlabManifest& manifest);

}  // namespace pdadmm
