// The self-test of the BLAS library finds planted faults in every function, and the library at hand has none.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "host/blas/blas.hpp"

namespace pdadmm {
namespace {

const BlasFunctions& good() { return blas_library().functions; }

TEST(Blas, TheLibraryAtHandIsRight) {
    EXPECT_EQ(blas_fault(good()), "");
    const char* asked = std::getenv("PDADMM_BLAS");
    if (asked && *asked == '/') {
        EXPECT_EQ(blas_library().file, asked);
    }
    EXPECT_NE(blas_library().version, "");
    EXPECT_NE(blas_library().kernel, "");
}

TEST(Blas, WrongProductsAreFound) {
    BlasFunctions f = good();
    f.sgemm = [](int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b,
                 int ldb, float, float* c,
                 int ldc) { good().sgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, 0, c, ldc); };
    EXPECT_EQ(blas_fault(f).substr(0, 6), "sgemm ") << "beta is left out";
    f = good();
    f.dgemm = [](int order, int ta, int tb, int m, int n, int k, double alpha, const double* a, int lda,
                 const double* b, int ldb, double beta, double* c, int ldc) {
        good().dgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        if (m == 129) c[ldc * (n - 1) + m - 1] += 1e-9;
    };
    EXPECT_EQ(blas_fault(f).substr(0, 10), "dgemm 129 ") << "one element of one size";
    f = good();
    f.sgemm = [](int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b,
                 int ldb, float beta, float* c, int ldc) {
        good().sgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        if (m == 33) c[m] = 0;
    };
    EXPECT_EQ(blas_fault(f).substr(0, 9), "sgemm 33 ") << "written below the last row";
    f = good();
    f.ssyrk = [](int order, int, int trans, int m, int k, float alpha, const float* a, int lda, float beta, float* c,
                 int ldc) { good().ssyrk(order, 121, trans, m, k, alpha, a, lda, beta, c, ldc); };
    EXPECT_EQ(blas_fault(f).substr(0, 6), "ssyrk ") << "the upper triangle";
    f = good();
    f.dtrsm = [](int order, int side, int uplo, int, int diagonal, int m, int n, double alpha, const double* t, int ldt,
                 double* b, int ldb) { good().dtrsm(order, side, uplo, 111, diagonal, m, n, alpha, t, ldt, b, ldb); };
    EXPECT_EQ(blas_fault(f).substr(0, 6), "dtrsm ") << "not transposed";
}

TEST(Blas, NewerKernelsAreHigher) {
    EXPECT_LT(kernel_level("Prescott"), kernel_level("Sandybridge"));
    EXPECT_LT(kernel_level("Sandybridge"), kernel_level("Haswell"));
    EXPECT_EQ(kernel_level("Zen"), kernel_level("Haswell"));
    EXPECT_LT(kernel_level("Haswell"), kernel_level("SkylakeX"));
    EXPECT_EQ(kernel_level("a name of tomorrow"), 0);
}

}  // namespace
}  // namespace pdadmm
