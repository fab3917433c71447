// The split that a file holds, as lists of nodes or as masks, one or several.
#pragma once

#include <span>
#include <string>

#include "host/data/graph_members.hpp"

namespace pdadmm {

/// Reads the split with number `index` into `raw.parts`, `raw.splits` and `raw.split_reason`. Masks are boolean or 0
/// and 1, of length `nodes`, and several stand in rows or in columns; lists hold node ids, and a boolean list is a
/// mask. Throws DataError naming file and member: a mask of another length or with other values, or one that covers no
/// node. Returns why what the file says of a split cannot be used (two members for one part, a name that speaks of a
/// split but is not known, no split with that number), or "".
std::string read_split(std::span<const GraphMember> members, Index nodes, Index index, RawGraph& raw);

}  // namespace pdadmm
