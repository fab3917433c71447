// The two .npz layouts that hold a graph: our bundle (data/README.md, "Bundle, version 1") and the one in which Shchur
// et al. published the Amazon and Coauthor graphs. Told apart by their keys: only a bundle has `pdadmm_bundle`.
#pragma once

#include <string>

#include "host/format/npz.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

enum class GraphLayout { bundle, shchur };

/// Throws DataError, naming the keys that are there, where the file has neither layout.
GraphLayout graph_layout(const NpzFile& npz, const std::string& file);

/// Reads and checks the graph in `npz`. `file` goes into messages, `name` into the result. With `binary_features` every
/// feature above 0 becomes 1. Throws DataError (npz.hpp, npy.hpp, graph_arrays.hpp).
Dataset read_graph(const NpzFile& npz, const std::string& file, const std::string& name, bool binary_features);

}  // namespace pdadmm
