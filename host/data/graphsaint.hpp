// GraphSAINT's folder as it is published: adj_full.npz, feats.npy, class_map.json and role.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "host/data/graph_members.hpp"

namespace pdadmm {

/// The file by which such a folder is known.
inline constexpr const char* graphsaint_mark = "class_map.json";

/// Its members, as a bundle would hold them: adjacency, features, labels (N), or (N, C) where class_map.json has a list
/// of 0 and 1 for each node, and the lists of role.json, where that is there. Nodes that class_map.json leaves out have
/// no label. Throws DataError: a file of the other three is missing; reading a member, where its content is not of
/// that form.
std::vector<GraphMember> members_of_graphsaint(const std::filesystem::path& folder, std::uint64_t max_bytes);

}  // namespace pdadmm
