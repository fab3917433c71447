// The named arrays and sparse matrices of a graph, in whichever files they lie. Each is read when it is asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/data/graph_arrays.hpp"
#include "host/format/array_stream.hpp"
#include "host/format/npz.hpp"

namespace pdadmm {

/// Compressed rows, piece by piece.
struct RowStreams {
    Index rows = 0, cols = 0;
    std::unique_ptr<ArrayStream> indptr, indices, data;  // no data: all ones
};

struct GraphMember {
    std::string name;   // what graph_roles.hpp looks up
    std::string shown;  // what messages call it, beside the file or folder
    std::function<NpyArray()> array{};
    std::function<RawCsr()> matrix{};  // of a sparse matrix, which has no array
    // The same piece by piece, for what is larger than memory; nothing where the form does not allow it. Of a table:
    // its numbers as whole ones.
    std::function<std::unique_ptr<ArrayStream>()> stream{};
    std::function<RowStreams()> row_stream{};
};

/// The members of an archive. Compressed rows under a prefix (adj_indptr, adj_indices, ...) are one matrix of that name
/// (adj), and so is what scipy.sparse.save_npz writes, which is called `matrix_name`. The archive is kept open as long
/// as a member is.
std::vector<GraphMember> members_of(const std::shared_ptr<const NpzFile>& npz, const std::string& file,
                                    const std::string& matrix_name);

/// An array of this rank, or DataError.
NpyArray ranked(NpyArray array, std::size_t rank);

/// An array of rank 1; rank 2 with one column is taken for it.
NpyArray column(NpyArray array);

}  // namespace pdadmm
