// A library that answers like OpenBLAS, by plain loops, and picks an old kernel unless OPENBLAS_CORETYPE says
// otherwise. PDADMM_FAKE_BLAS plants faults: "KERNEL crashes", "KERNEL is wrong", and "serial".
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string word(const char* name) {
    const char* text = std::getenv(name);
    return text ? text : "";
}

std::string kernel() {
    static const std::string name = word("OPENBLAS_CORETYPE").empty() ? "Prescott" : word("OPENBLAS_CORETYPE");
    return name;
}

template <typename T>
void gemm(int ta, int tb, int m, int n, int k, T alpha, const T* a, int lda, const T* b, int ldb, T beta, T* c,
          int ldc) {
    if (word("PDADMM_FAKE_BLAS") == kernel() + " crashes") std::raise(SIGILL);
    const T error = word("PDADMM_FAKE_BLAS") == kernel() + " is wrong" ? T(0.01) : T(0);
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            T sum = error;
            for (int l = 0; l < k; ++l)
                sum += (ta == 111 ? a[l * lda + i] : a[i * lda + l]) * (tb == 111 ? b[j * ldb + l] : b[l * ldb + j]);
            c[j * ldc + i] = alpha * sum + (beta == 0 ? T(0) : beta * c[j * ldc + i]);
        }
}

template <typename T>
void syrk(int m, int k, T alpha, const T* a, int lda, T beta, T* c, int ldc) {
    for (int j = 0; j < m; ++j)
        for (int i = j; i < m; ++i) {
            T sum = 0;
            for (int l = 0; l < k; ++l) sum += a[l * lda + i] * a[l * lda + j];
            c[j * ldc + i] = alpha * sum + (beta == 0 ? T(0) : beta * c[j * ldc + i]);
        }
}

}  // namespace

extern "C" {
const char* openblas_get_config() { return "OpenBLAS 0.0.1 FAKE"; }
const char* openblas_get_corename() {
    static const std::string name = kernel();
    return name.c_str();
}
int openblas_get_parallel() { return word("PDADMM_FAKE_BLAS") == "serial" ? 0 : 1; }
void openblas_set_num_threads(int) {}
void cblas_sgemm(int, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b,
                 int ldb, float beta, float* c, int ldc) {
    gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_dgemm(int, int ta, int tb, int m, int n, int k, double alpha, const double* a, int lda, const double* b,
                 int ldb, double beta, double* c, int ldc) {
    gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void cblas_ssyrk(int, int, int, int m, int k, float alpha, const float* a, int lda, float beta, float* c, int ldc) {
    syrk(m, k, alpha, a, lda, beta, c, ldc);
}
void cblas_dsyrk(int, int, int, int m, int k, double alpha, const double* a, int lda, double beta, double* c, int ldc) {
    syrk(m, k, alpha, a, lda, beta, c, ldc);
}
// Only what the program asks for: T lower, from the left as it is or transposed, from the right transposed.
void cblas_dtrsm(int, int side, int, int trans, int, int m, int n, double alpha, const double* t, int ldt, double* b,
                 int ldb) {
    const bool left = side == 141, backwards = left && trans == 112;
    const int size = left ? m : n, others = left ? n : m;
    const auto x = [&](int i, int o) -> double& { return left ? b[o * ldb + i] : b[i * ldb + o]; };
    for (int o = 0; o < others; ++o)
        for (int step = 0; step < size; ++step) {
            const int i = backwards ? size - 1 - step : step;
            x(i, o) *= alpha;
            for (int l = backwards ? i + 1 : 0; l < (backwards ? size : i); ++l)
                x(i, o) -= (backwards ? t[i * ldt + l] : t[l * ldt + i]) * x(l, o);
            x(i, o) /= t[i * ldt + i];
        }
}
void dpotrf_(const char*, const int*, double*, const int*, int* info) { *info = 1; }
void dpotri_(const char*, const int*, double*, const int*, int* info) { *info = 1; }
void dtrtri_(const char*, const char*, const int*, double*, const int*, int* info) { *info = 1; }
}
