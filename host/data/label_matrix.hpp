// Several labels a node, as an array of 0 and 1.
#pragma once

#include <optional>

#include "host/data/graph_arrays.hpp"
#include "host/format/npy.hpp"

namespace pdadmm {

/// Reads an array (nodes, labels) of 0 and 1 into raw.labels, raw.targets and raw.classes. A node whose whole row is
/// -1, NaN or `unlabelled` has no known labels. Throws DataError naming the place: another value, a row that is known
/// in part, another number of labels than raw.classes, or rows that are all one-hot, which is one class a node.
void read_label_matrix(const NpyArray& array, std::optional<Index> unlabelled, RawGraph& raw);

}  // namespace pdadmm
