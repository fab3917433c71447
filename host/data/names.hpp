// What a file calls its nodes and classes.
#pragma once

#include "host/format/npy.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// Names in an array: integers of rank 1, or UTF-8 texts padded with zeros as rows of uint8. Throws DataError: another
/// form, or a text that a terminal cannot show.
Names names_in(const NpyArray& array);

/// Sets node_ids, one a node. Throws DataError.
void name_nodes(const NpyArray& array, Dataset& dataset);
/// Sets class_names, one at least for each class; a labelled graph then has as many classes as names. Throws DataError.
void name_classes(const NpyArray& array, Dataset& dataset);

}  // namespace pdadmm
