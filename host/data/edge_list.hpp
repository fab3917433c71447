// Edges, or any entries of a sparse matrix, one after the other: brought into compressed rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/data/graph_arrays.hpp"

namespace pdadmm {

/// Entries as a file lists them, nothing checked.
struct RawEdges {
    std::string name;        // the member with the ids, for messages
    std::string data_name;   // the member with the values; empty: there are none
    std::string counted_by;  // the member that says how many rows and columns there are
    Index rows = 0, cols = 0;
    std::vector<std::int32_t> ids;  // all rows, then all columns; or where `pairs`, row and column of each entry
    bool pairs = false;
    std::vector<float> data;
    std::uint64_t max_bytes = UINT64_MAX;  // of the offsets of rows, for which a shape alone may ask
};

/// Compressed rows, in each the entries in their order. O(entries). Throws DataError naming the entry whose row or
/// column is out of range, the lengths that do not agree, or extents outside 1 to 2^31 - 1 or of more than max_bytes.
RawCsr compressed_rows(const RawEdges& edges, const std::string& file);

/// The transpose of compressed columns that are held as rows: rows and columns of `columns` are exchanged. Throws
/// DataError where its offsets or ids are broken.
RawCsr rows_of_columns(const RawCsr& columns, const std::string& file, std::uint64_t max_bytes);

}  // namespace pdadmm
