// BLAS by the type of real, column-major, and how products are cut into tasks.
#pragma once

#include <cblas.h>

#include "pdadmm/types.hpp"

namespace pdadmm {

constexpr Index gemm_block =
    512;  // rows or columns of one task of a product: enough to hide the packing of the shared operand

inline void blas_gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha, const float* a, int lda,
                      const float* b, int ldb, float beta, float* c, int ldc) {
    cblas_sgemm(CblasColMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
inline void blas_gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, double alpha, const double* a,
                      int lda, const double* b, int ldb, double beta, double* c, int ldc) {
    cblas_dgemm(CblasColMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/// The lower triangle of C = A A', A (m, k).
inline void blas_gram(int m, int k, const float* a, int lda, float* c, int ldc) {
    cblas_ssyrk(CblasColMajor, CblasLower, CblasNoTrans, m, k, 1, a, lda, 0, c, ldc);
}
inline void blas_gram(int m, int k, const double* a, int lda, double* c, int ldc) {
    cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, m, k, 1, a, lda, 0, c, ldc);
}

}  // namespace pdadmm
