// A graph from named arrays: our bundle (data/README.md), Shchur's layout, PyTorch Geometric's arrays, those of the
// heterophilous graphs, scipy's matrices beside features and labels, or OGB's tables. They differ in names alone.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/data/graph_members.hpp"
#include "host/format/npz.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// What the user says of a file beside what is in it.
struct ReadOptions {
    bool binary_features = false;       // every feature above 0 becomes 1
    Index split_index = 0;              // of several stored splits
    std::optional<Index> unlabelled{};  // a label that means none, beside -1 and NaN
};

/// Whether edges of this shape stand as pairs; where it is 2 x 2, by the member's name. Throws DataError where it is no
/// shape of edges, naming the array.
bool are_pairs(const std::vector<Index>& shape, const std::string& array, const std::string& member);

/// Whether the archive has our mark.
bool is_bundle(const NpzFile& npz);

/// Reads and checks the graph that `members` make. `file` goes into messages, `name` into the result. Throws DataError
/// (npz.hpp, npy.hpp, graph_arrays.hpp), also where a role is missing or two members have it.
Dataset assemble_graph(std::span<const GraphMember> members, const std::string& file, const std::string& name,
                       const ReadOptions& options);

/// The graph in an archive.
Dataset read_graph(const NpzFile& npz, const std::string& file, const std::string& name, const ReadOptions& options);

}  // namespace pdadmm
