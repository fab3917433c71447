// The self-test of a BLAS library: every product that the program uses, odd sizes included, against plain loops.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <vector>

#include "host/blas/blas_library.hpp"

namespace pdadmm {
namespace {

// Numbers of about 1 that no size or position repeats.
template <typename T>
std::vector<T> numbers(int count, unsigned seed) {
    std::vector<T> x(static_cast<std::size_t>(count));
    unsigned state = seed * 2654435761u + 1;
    for (T& value : x) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<T>(static_cast<double>(state >> 8) / (1 << 23) - 1);
    }
    return x;
}

template <typename T>
T at(const std::vector<T>& m, int ld, int i, int j) {
    return m[static_cast<std::size_t>(j) * static_cast<std::size_t>(ld) + static_cast<std::size_t>(i)];
}

/// What rounding may do to a sum of k products of numbers of about 1; a wrong kernel is off by more than that.
template <typename T>
double bound(int k) {
    return (k + 8) * (4 + k / 8.0) * static_cast<double>(std::numeric_limits<T>::epsilon());
}

/// NaN counts as the largest error.
void grow(double& worst, double error) {
    if (!(error <= worst)) worst = error;
}

template <typename T, typename Gemm>
std::string gemm_fault(const char* name, Gemm gemm, BlasTrans ta, BlasTrans tb, int m, int n, int k) {
    const bool a_turned = ta == BlasTrans::yes, b_turned = tb == BlasTrans::yes;
    const int lda = (a_turned ? k : m) + 1, ldb = (b_turned ? n : k) + 2, ldc = m + 3;
    const std::vector<T> a = numbers<T>(lda * (a_turned ? m : k), 1), b = numbers<T>(ldb * (b_turned ? k : n), 2),
                         before = numbers<T>(ldc * n, 3);
    for (const T beta : {T(0), T(1)}) {
        std::vector<T> c = before;
        gemm(blas_column_major, static_cast<int>(ta), static_cast<int>(tb), m, n, k, T(-1), a.data(), lda, b.data(),
             ldb, beta, c.data(), ldc);
        double worst = 0;
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < ldc; ++i) {
                double sum = static_cast<double>(at(before, ldc, i, j));
                if (i < m) {
                    sum *= static_cast<double>(beta);
                    for (int l = 0; l < k; ++l)
                        sum -= static_cast<double>(a_turned ? at(a, lda, l, i) : at(a, lda, i, l)) *
                               static_cast<double>(b_turned ? at(b, ldb, j, l) : at(b, ldb, l, j));
                }
                grow(worst, std::fabs(static_cast<double>(at(c, ldc, i, j)) - sum));
            }
        if (!(worst <= bound<T>(k)))
            return fmt::format("{} {} x {} x {}{}{}: off by {:.2g}", name, m, n, k, a_turned ? ", A transposed" : "",
                               b_turned ? ", B transposed" : "", worst);
    }
    return {};
}

template <typename T, typename Syrk>
std::string syrk_fault(const char* name, Syrk syrk, int m, int k) {
    const int lda = m + 1, ldc = m + 2;
    const std::vector<T> a = numbers<T>(lda * k, 4), before = numbers<T>(ldc * m, 5);
    std::vector<T> c = before;
    syrk(blas_column_major, blas_lower, static_cast<int>(BlasTrans::no), m, k, T(1), a.data(), lda, T(0), c.data(),
         ldc);
    double worst = 0;
    for (int j = 0; j < m; ++j)
        for (int i = 0; i < ldc; ++i) {
            double sum = static_cast<double>(at(before, ldc, i, j));
            if (i >= j && i < m) {
                sum = 0;
                for (int l = 0; l < k; ++l)
                    sum += static_cast<double>(at(a, lda, i, l)) * static_cast<double>(at(a, lda, j, l));
            }
            grow(worst, std::fabs(static_cast<double>(at(c, ldc, i, j)) - sum));
        }
    return worst <= bound<T>(k) ? "" : fmt::format("{} {} x {}: off by {:.2g}", name, m, k, worst);
}

std::string trsm_fault(const BlasFunctions& f, BlasSide side, BlasTrans trans, int m, int n) {
    const bool left = side == BlasSide::left, turned = trans == BlasTrans::yes;
    const int size = left ? m : n, ldt = size + 1, ldb = m + 1;
    std::vector<double> t = numbers<double>(ldt * size, 6), b = numbers<double>(ldb * n, 7);
    for (int j = 0; j < size; ++j) t[static_cast<std::size_t>(j) * static_cast<std::size_t>(ldt + 1)] += size;
    const std::vector<double> before = b;
    f.dtrsm(blas_column_major, static_cast<int>(side), blas_lower, static_cast<int>(trans), blas_non_unit, m, n, -1,
            t.data(), ldt, b.data(), ldb);
    const auto factor = [&](int i, int j) {
        return (turned ? j >= i : i >= j) ? (turned ? at(t, ldt, j, i) : at(t, ldt, i, j)) : 0.0;
    };
    double worst = 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            double sum = at(before, ldb, i, j);
            for (int l = 0; l < size; ++l)
                sum += left ? factor(i, l) * at(b, ldb, l, j) : at(b, ldb, i, l) * factor(l, j);
            grow(worst, std::fabs(sum) / size);
        }
    return worst <= bound<double>(size) ? ""
                                        : fmt::format("dtrsm {} x {}{}{}: off by {:.2g}", m, n,
                                                      left ? ", left" : ", right", turned ? ", transposed" : "", worst);
}

}  // namespace

std::string blas_fault(const BlasFunctions& f) {
    struct Size {
        int m, n, k;
    };
    constexpr BlasTrans no = BlasTrans::no, yes = BlasTrans::yes;
    // Small ones have kernels of their own; the last fill a kernel's blocks in every direction.
    for (const Size s : {Size{1, 1, 1},
                         {2, 3, 5},
                         {7, 16, 3},
                         {17, 9, 31},
                         {16, 32, 64},
                         {33, 65, 17},
                         {100, 41, 50},
                         {129, 70, 33},
                         {7, 300, 40},
                         {20, 24, 400},
                         {260, 33, 40}})
        for (const auto& [ta, tb] : {std::pair{no, no}, {yes, no}, {no, yes}}) {
            if (std::string fault = gemm_fault<float>("sgemm", f.sgemm, ta, tb, s.m, s.n, s.k); !fault.empty())
                return fault;
            if (std::string fault = gemm_fault<double>("dgemm", f.dgemm, ta, tb, s.m, s.n, s.k); !fault.empty())
                return fault;
        }
    for (const auto& [m, k] : {std::pair{1, 3}, {5, 2}, {33, 100}, {130, 65}, {40, 300}}) {
        if (std::string fault = syrk_fault<float>("ssyrk", f.ssyrk, m, k); !fault.empty()) return fault;
        if (std::string fault = syrk_fault<double>("dsyrk", f.dsyrk, m, k); !fault.empty()) return fault;
    }
    for (const auto& [m, n] : {std::pair{1, 1}, {7, 5}, {33, 65}, {130, 100}, {200, 31}}) {
        if (std::string fault = trsm_fault(f, BlasSide::left, no, m, n); !fault.empty()) return fault;
        if (std::string fault = trsm_fault(f, BlasSide::left, yes, m, n); !fault.empty()) return fault;
        if (std::string fault = trsm_fault(f, BlasSide::right, yes, m, n); !fault.empty()) return fault;
    }
    return {};
}

}  // namespace pdadmm
