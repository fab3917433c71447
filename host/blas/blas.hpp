// Products and factorisations by a BLAS library that is loaded when it is first needed (blas_library.hpp),
// column-major, by the type of real.
#pragma once

#include <algorithm>

#include "host/blas/blas_library.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

constexpr Index gemm_block =
    512;  // rows or columns of one task of a product: enough to hide the packing of the shared operand
/// Into how many tiles a side of a product is cut, and how long each is but the last.
inline Index tile_count(Index length) { return std::max<Index>(1, (length + gemm_block - 1) / gemm_block); }
inline Index tile_length(Index length) {
    const Index count = tile_count(length);
    return ((length + count - 1) / count + 15) / 16 * 16;
}

/// C = alpha op(A) op(B) + beta C, C (m, n), k the inner dimension.
inline void blas_gemm(BlasTrans ta, BlasTrans tb, int m, int n, int k, float alpha, const float* a, int lda,
                      const float* b, int ldb, float beta, float* c, int ldc) {
    blas().sgemm(blas_column_major, static_cast<int>(ta), static_cast<int>(tb), m, n, k, alpha, a, lda, b, ldb, beta, c,
                 ldc);
}
inline void blas_gemm(BlasTrans ta, BlasTrans tb, int m, int n, int k, double alpha, const double* a, int lda,
                      const double* b, int ldb, double beta, double* c, int ldc) {
    blas().dgemm(blas_column_major, static_cast<int>(ta), static_cast<int>(tb), m, n, k, alpha, a, lda, b, ldb, beta, c,
                 ldc);
}

/// The lower triangle of C = A A', A (m, k).
inline void blas_gram(int m, int k, const float* a, int lda, float* c, int ldc) {
    blas().ssyrk(blas_column_major, blas_lower, static_cast<int>(BlasTrans::no), m, k, 1, a, lda, 0, c, ldc);
}
inline void blas_gram(int m, int k, const double* a, int lda, double* c, int ldc) {
    blas().dsyrk(blas_column_major, blas_lower, static_cast<int>(BlasTrans::no), m, k, 1, a, lda, 0, c, ldc);
}

/// B = alpha op(T)^-1 B (left) or alpha B op(T)^-1, T lower triangular, B (m, n).
inline void blas_solve_triangle(BlasSide side, BlasTrans trans, int m, int n, double alpha, const double* t, int ldt,
                                double* b, int ldb) {
    blas().dtrsm(blas_column_major, static_cast<int>(side), blas_lower, static_cast<int>(trans), blas_non_unit, m, n,
                 alpha, t, ldt, b, ldb);
}

}  // namespace pdadmm
