// Cholesky inverses in tiles (host/cpu/inverse.hpp). A = L L'; Y = L^-1 column by column of tiles; A^-1 = Y' Y tile by
// tile. Of a narrow matrix only A^-1 times it is formed, by solves.
#include "host/cpu/inverse.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "host/blas/blas.hpp"
#include "pdadmm/closed_forms.hpp"

namespace pdadmm {
namespace {

/// A += ridge I over A (m, m); returns the ridge.
double add_ridge(double kappa, double* A, Index m, double least = 0) {
    double trace = 0;
    for (Index i = 0; i < m; ++i) trace += A[i * (m + 1)];
    const double ridge = ridge_of(kappa, trace / static_cast<double>(std::max<Index>(1, m)), least);
    for (Index i = 0; i < m; ++i) A[i * (m + 1)] += ridge;
    return ridge;
}

/// A = nu F + ridge I in double, the lower triangle; returns the ridge.
double regularise(CMat F, double nu, double kappa, double* A) {
    const Index m = F.rows;
    for (Index j = 0; j < m; ++j)
        for (Index i = j; i < m; ++i) A[j * m + i] = nu * static_cast<double>(F.data[j * F.ld + i]);
    return add_ridge(kappa, A, m);
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

namespace {

constexpr Index gram_tile = 128, columns_at_once = 64;

/// One layer of a stack of narrow matrices: A (k, k) and the right-hand sides B (k, c).
struct NarrowSystem {
    Index k, c;
    double *A, *B;
    NarrowSystem(CMat X, bool by_columns, double* scratch, Index layer)
        : k(by_columns ? X.cols : X.rows),
          c(by_columns ? X.rows : X.cols),
          A(scratch + layer * k * (k + c)),
          B(A + k * k) {}
    Index parts() const { return (c + columns_at_once - 1) / columns_at_once; }

    /// A tile of the lower triangle of nu B B'.
    void form_tile(double nu, Index task) const {
        Index i = 0;
        while (task > i) task -= ++i;
        const Index row = i * gram_tile, column = task * gram_tile;
        blas_gemm(BlasTrans::no, BlasTrans::yes, static_cast<int>(std::min(gram_tile, k - row)),
                  static_cast<int>(std::min(gram_tile, k - column)), static_cast<int>(c), nu, B + row,
                  static_cast<int>(k), B + column, static_cast<int>(k), 0.0, A + column * k + row, static_cast<int>(k));
    }
    /// B = A^-1 B from the factor in A, some columns.
    void solve(Index first, Index count) const {
        for (const BlasTrans half : {BlasTrans::no, BlasTrans::yes})
            blas_solve_triangle(BlasSide::left, half, static_cast<int>(k), static_cast<int>(count), 1, A,
                                static_cast<int>(k), B + first * k, static_cast<int>(k));
    }
};

}  // namespace

Index push_through_scratch(CMat X, bool by_columns) {
    const Index k = by_columns ? X.cols : X.rows;
    return X.batch * (k * k + X.rows * X.cols);
}

void push_through(ThreadPool& pool, CMat X, bool by_columns, double nu, double kappa, double* scratch, Mat Y,
                  double* ridges) {
    const auto system = [&](Index layer) { return NarrowSystem(X, by_columns, scratch, layer); };
    const NarrowSystem any = system(0);
    const Index k = any.k, parts = any.parts(), side = (k + gram_tile - 1) / gram_tile, tiles = side * (side + 1) / 2;
    const auto each_part = [&](auto&& work) {
        pool.run(X.batch * parts, [&](Index task) {
            const Index layer = task / parts, first = task % parts * columns_at_once;
            work(layer, system(layer), first, std::min(columns_at_once, any.c - first));
        });
    };
    const auto element = [by_columns](auto m, Index i, Index j) {
        return m.data + (by_columns ? i * m.ld + j : j * m.ld + i);
    };
    each_part([&](Index layer, const NarrowSystem& s, Index first, Index count) {
        for (Index j = first; j < first + count; ++j)
            for (Index i = 0; i < k; ++i) s.B[j * k + i] = static_cast<double>(*element(X.layer(layer), i, j));
    });
    pool.run(X.batch * tiles, [&](Index task) { system(task / tiles).form_tile(nu, task % tiles); });
    const auto factorised = [&](Index layer, bool good) {
        if (!good) ridges[layer] = NAN;
    };
    for (Index l = 0; l < X.batch; ++l)
        ridges[l] = add_ridge(kappa, system(l).A, k, by_columns ? 0 : least_ridge_of_outputs);
    if (k <= inverse_tile)
        pool.run(X.batch, [&](Index l) {
            factorised(l, factorise_tile(system(l).A, static_cast<int>(k), static_cast<int>(k)));
        });
    else
        for (Index l = 0; l < X.batch; ++l) factorised(l, factorise(pool, Tiles(system(l).A, k)));
    each_part([&](Index layer, const NarrowSystem& s, Index first, Index count) {
        const double scale = by_columns || std::isnan(ridges[layer]) ? ridges[layer] : nu;
        s.solve(first, count);
        for (Index j = first; j < first + count; ++j)
            for (Index i = 0; i < k; ++i) *element(Y.layer(layer), i, j) = static_cast<real>(scale * s.B[j * k + i]);
    });
}

}  // namespace pdadmm
