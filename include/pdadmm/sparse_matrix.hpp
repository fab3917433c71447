// Matrices in compressed rows, whatever their values are.
#pragma once

#include <numeric>
#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// The transpose of a Csr or SparseMatrix, rows sorted by column; entries of one place stay in their order. O(nnz).
template <typename Matrix>
Matrix transposed(const Matrix& a) {
    Matrix t{a.cols, a.rows, std::vector<Index>(static_cast<std::size_t>(a.cols) + 1), {}, {}};
    t.columns.resize(a.columns.size());
    t.values.resize(a.values.size());
    for (const std::int32_t column : a.columns) ++t.offsets[static_cast<std::size_t>(column) + 1];
    std::partial_sum(t.offsets.begin(), t.offsets.end(), t.offsets.begin());
    std::vector<Index> next(t.offsets.begin(), t.offsets.end() - 1);
    for (Index i = 0; i < a.rows; ++i)
        for (auto e = static_cast<std::size_t>(a.offsets[static_cast<std::size_t>(i)]);
             e < static_cast<std::size_t>(a.offsets[static_cast<std::size_t>(i) + 1]); ++e) {
            const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(a.columns[e])]++);
            t.columns[to] = static_cast<std::int32_t>(i);
            t.values[to] = a.values[e];
        }
    return t;
}

}  // namespace pdadmm
