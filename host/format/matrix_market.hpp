// Sparse matrices in the Matrix Market exchange format (Boisvert, Pozo, Remington 1996), coordinate form.
#pragma once

#include <cstdint>
#include <vector>

#include "host/format/text_file.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// Entries in the order of the file, counted from 0; of a symmetric matrix each off the diagonal twice.
struct MatrixMarket {
    Index rows = 0, cols = 0;
    std::vector<std::int32_t> row, col;
    std::vector<float> values;  // empty: a pattern
    bool pattern = false;
};

/// Reads real, integer and pattern matrices, general or symmetric. Throws DataError with the line: another heading,
/// complex, hermitian, skew-symmetric or dense matrices, an entry out of range or with too few fields, another number
/// of entries than promised, or more than `max_bytes` bytes of them.
MatrixMarket read_matrix_market(TextFile& file, std::uint64_t max_bytes);

}  // namespace pdadmm
