// Scalars, matrix views and products' flags shared by every part of the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

// Functions of one formula for host and device.
#ifdef __CUDACC__
#define PDADMM_HD __host__ __device__
#else
#define PDADMM_HD
#endif

namespace pdadmm {

#ifdef PDADMM_DOUBLE
using real = double;
#else
using real = float;
#endif

using Index = std::int64_t;

/// A stack of `batch` column-major matrices (rows x cols) in backend memory: element (i, j) of matrix k is
/// data[k * stride + j * ld + i]. A view owns nothing.
///
/// Where columns are training nodes, `range` is the length of the ranges in which they are worked on (node_ranges.hpp),
/// the first of which begins with the view; 0: they are not, and are cut as their number says. Where ranges have
/// lengths of their own, `range` is the longest of all ranks, and `bounds` has the first column of each here, and the
/// end.
template <typename T>
struct MatView {
    T* data = nullptr;
    Index rows = 0, cols = 0;
    Index ld = 0;
    Index batch = 1, stride = 0;
    Index range = 0;
    const Index* bounds = nullptr;

    Index size() const { return rows * cols; }
    bool contiguous() const { return ld == rows; }
    /// Columns that one call of a product on them has at most.
    Index columns_of_call() const { return range > 0 ? range : cols; }
    MatView layer(Index k) const { return {data + k * stride, rows, cols, ld, 1, stride, range, bounds}; }
    MatView layers(Index first, Index count) const {
        return {data + first * stride, rows, cols, ld, count, stride, range, bounds};
    }
    MatView columns(Index first, Index count) const { return {data + first * ld, rows, count, ld, batch, stride}; }
    template <typename U>
    requires(std::is_same_v<U, const T> && !std::is_const_v<T>) operator MatView<U>() const {
        return {data, rows, cols, ld, batch, stride, range, bounds};
    }
};
using Mat = MatView<real>;
using CMat = MatView<const real>;

/// A sparse matrix in compressed rows (rows x cols), in backend memory.
struct CsrView {
    Index rows = 0, cols = 0, nnz = 0;
    const Index* offsets = nullptr;         // (rows + 1)
    const std::int32_t* columns = nullptr;  // (nnz)
    const real* values = nullptr;           // (nnz)
    void* plan = nullptr;  // what a backend keeps with an operator that it made; null: it keeps nothing
};

enum class Trans { no, yes };

}  // namespace pdadmm
