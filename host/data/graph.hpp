// The propagation operator of a graph: symmetrised, with self loops, normalised (design 1; every choice explicit because
// PyG, DGL and the paper's code differ).
#pragma once

#include "pdadmm/dataset.hpp"

namespace pdadmm {

enum class Norm { sym, row, none };               // D^-1/2 A D^-1/2, D^-1 A, A
enum class SelfLoops { add, keep, none };         // one of weight 1 at every node, as stored, or removed

struct GraphOptions {
    Norm norm = Norm::sym;
    SelfLoops self_loops = SelfLoops::add;
    bool directed = false;  // keep edges as stored; otherwise a_ij = a_ji = the larger of the two
};

/// The operator's entries, rows sorted by column. A node without neighbours gets a zero row where it has no self loop,
/// never a division by zero. O(nnz).
Csr propagation_operator(const Csr& adjacency, const GraphOptions& options);

/// The transpose, rows sorted by column.
Csr transpose(const Csr& a);

}  // namespace pdadmm
