// What a bundle's user calls its nodes and classes: node_ids and class_names.
#pragma once

#include <string>

#include "host/format/npz.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// Names in member `member`: integers of rank 1, or UTF-8 texts padded with zeros as rows of uint8. None where the file
/// has no such member. Throws DataError: another form, or a text that a terminal cannot show.
Names read_names(const NpzFile& npz, const std::string& member);

/// Sets node_ids and class_names of a graph. A labelled graph then has as many classes as names. Throws DataError where
/// there is not one of them for each node or class.
void read_all_names(const NpzFile& npz, const std::string& file, Dataset& dataset);

}  // namespace pdadmm
