// The propagation operator of a graph on the host: symmetrised, with self loops, normalised (pdadmm/graph.hpp). The
// oracle of what other backends make.
#pragma once

#include "pdadmm/backend.hpp"
#include "pdadmm/dataset.hpp"
#include "pdadmm/graph.hpp"

namespace pdadmm {

/// The operator's entries, rows sorted by column, each column once (of repeated entries the largest). A node without
/// neighbours has an empty row where it has no self loop. O(nnz).
Csr propagation_operator(const Csr& adjacency, const GraphOptions& options);

/// Those entries in backend memory.
PropagationOperator stored_operator(Backend& backend, const Csr& entries);

/// The transpose, rows sorted by column.
Csr transpose(const Csr& a);

}  // namespace pdadmm
