// Cholesky inverses in tiles (host/cpu/inverse.hpp). A = L L'; Y = L^-1 column by column of tiles; A^-1 = Y' Y tile by
// tile.
#include "host/cpu/inverse.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "host/blas/blas.hpp"
#include "pdadmm/closed_forms.hpp"

namespace pdadmm {
namespace {

/// A = nu F + ridge I in double, the lower triangle; returns the ridge.
double regularise(CMat F, double nu, double kappa, double* A) {
    const Index m = F.rows;
    double trace = 0;
    for (Index i = 0; i < m; ++i) trace += nu * static_cast<double>(F.data[i * F.ld + i]);
    const double ridge = ridge_of(kappa, trace / static_cast<double>(std::max<Index>(1, m)));
    for (Index j = 0; j < m; ++j) {
        for (Index i = j; i < m; ++i) A[j * m + i] = nu * static_cast<double>(F.data[j * F.ld + i]);
        A[j * m + j] += ridge;
    }
    return ridge;
}

void fill_nan(Mat F) {
    for (Index j = 0; j < F.cols; ++j) std::fill_n(F.data + j * F.ld, F.rows, static_cast<real>(NAN));
}

/// L over the lower triangle of A (n, n). OpenBLAS does not take a NaN for a failure; it is in the last diagonal
/// element whichever was one.
bool factorise_tile(double* A, int n, int ld) {
    int info = 0;
    blas().dpotrf("L", &n, A, &ld, &info);
    return info == 0 && (n == 0 || A[static_cast<Index>(n - 1) * (ld + 1)] > 0);
}

/// A lower triangle of tiles of one matrix.
struct Tiles {
    double* A;
    Index m, count;
    Tiles(double* data, Index rows) : A(data), m(rows), count((rows + inverse_tile - 1) / inverse_tile) {}
    double* at(Index i, Index j) const { return A + j * inverse_tile * m + i * inverse_tile; }
    int size(Index i) const { return static_cast<int>(std::min(inverse_tile, m - i * inverse_tile)); }
    int ld() const { return static_cast<int>(m); }
};

/// L over A, tile column by tile column.
bool factorise(ThreadPool& pool, const Tiles& t) {
    for (Index k = 0; k < t.count; ++k) {
        const int n = t.size(k), ld = t.ld();
        if (!factorise_tile(t.at(k, k), n, ld)) return false;
        pool.run(t.count - k - 1, [&](Index task) {
            const Index i = k + 1 + task;
            blas_solve_triangle(BlasSide::right, BlasTrans::yes, t.size(i), n, 1, t.at(k, k), ld, t.at(i, k), ld);
        });
        const Index left = t.count - k - 1;
        pool.run(left * (left + 1) / 2, [&](Index task) {  // the trailing tiles (i, j), i >= j
            Index j = 0;
            while (task >= left - j) task -= left - j++;
            const Index i = k + 1 + j + task;
            j += k + 1;
            blas_gemm(BlasTrans::no, BlasTrans::yes, t.size(i), t.size(j), n, -1.0, t.at(i, k), ld, t.at(j, k), ld, 1.0,
                      t.at(i, j), ld);
        });
    }
    return true;
}

/// Y = L^-1 over L: a block row of Y needs those above it in its own columns only, and L's tiles of its own row.
void invert_factor(ThreadPool& pool, const Tiles& t) {
    const int ld = t.ld();
    for (Index i = 0; i < t.count; ++i) {
        const int n = t.size(i);
        // Row i: Y_ij = -L_ii^-1 sum over k = j..i-1 of L_ik Y_kj. L's row is used up by all columns first, from a
        // copy.
        std::vector<double> row(static_cast<std::size_t>(n) * static_cast<std::size_t>(i * inverse_tile));
        for (Index c = 0; c < i * inverse_tile; ++c)
            std::copy_n(t.A + c * t.m + i * inverse_tile, n, row.data() + c * n);
        int info = 0;
        pool.run(i, [&](Index j) {
            for (Index k = j; k < i; ++k)
                blas_gemm(BlasTrans::no, BlasTrans::no, n, t.size(j), t.size(k), 1.0, row.data() + k * inverse_tile * n,
                          n, t.at(k, j), ld, k > j ? 1.0 : 0.0, t.at(i, j), ld);
            blas_solve_triangle(BlasSide::left, BlasTrans::no, n, t.size(j), -1, t.at(i, i), ld, t.at(i, j), ld);
        });
        blas().dtrtri("L", "N", &n, t.at(i, i), &ld, &info);
        for (Index c = 1; c < n; ++c) std::fill_n(t.at(i, i) + c * t.m, c, 0.0);  // products read whole tiles
    }
}

/// F = Y' Y, symmetric.
void multiply_factors(ThreadPool& pool, const Tiles& t, Mat F) {
    pool.run(t.count * (t.count + 1) / 2, [&](Index task) {
        Index j = 0;
        while (task >= t.count - j) task -= t.count - j++;
        const Index i = j + task;
        const int rows = t.size(i), cols = t.size(j), ld = t.ld();
        std::vector<double> sum(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
        for (Index k = i; k < t.count; ++k)
            blas_gemm(BlasTrans::yes, BlasTrans::no, rows, cols, t.size(k), 1.0, t.at(k, i), ld, t.at(k, j), ld,
                      k > i ? 1.0 : 0.0, sum.data(), rows);
        for (Index c = 0; c < cols; ++c)
            for (Index r = 0; r < rows; ++r) {
                const Index row = i * inverse_tile + r, column = j * inverse_tile + c;
                if (row < column) continue;
                F.data[column * F.ld + row] = F.data[row * F.ld + column] =
                    static_cast<real>(sum[static_cast<std::size_t>(c * rows + r)]);
            }
    });
}

}  // namespace

bool invert_small(Mat F, double nu, double kappa, double* A) {
    regularise(F, nu, kappa, A);
    const int m = static_cast<int>(F.rows);
    int info = 0;
    const bool factorised = factorise_tile(A, m, m);
    if (factorised) blas().dpotri("L", &m, A, &m, &info);
    if (!factorised || info != 0) {
        fill_nan(F);
        return false;
    }
    for (Index j = 0; j < F.cols; ++j)
        for (Index i = j; i < F.rows; ++i)
            F.data[j * F.ld + i] = F.data[i * F.ld + j] = static_cast<real>(A[j * F.rows + i]);
    return true;
}

bool invert_regularised(ThreadPool& pool, Mat F, double nu, double kappa, double* scratch, double* ridge) {
    const double added = regularise(F, nu, kappa, scratch);
    if (ridge) *ridge = added;
    const Tiles tiles(scratch, F.rows);
    if (!factorise(pool, tiles)) {
        fill_nan(F);
        return false;
    }
    invert_factor(pool, tiles);
    multiply_factors(pool, tiles, F);
    return true;
}

}  // namespace pdadmm
