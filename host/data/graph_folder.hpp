// A graph in a folder: .npy arrays, .npz archives, Matrix Market matrices and tables of numbers, named by what they
// hold; an OGB data set as it is downloaded (raw/ and split/*/); or GraphSAINT's (graphsaint.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "host/data/graph_members.hpp"

namespace pdadmm {

/// The members of a folder. A file is called by its name without endings (features.npy, edge.csv.gz, adj.mtx.gz), a
/// .npz adds its own members; files whose names mean nothing are passed over. Each may be of `max_bytes` bytes at most.
/// Throws DataError: not a folder, nothing in it that is known, or the folder of another known form, which is named
/// with its converter.
std::vector<GraphMember> members_of_folder(const std::filesystem::path& folder, std::uint64_t max_bytes);

}  // namespace pdadmm
