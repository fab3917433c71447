// What the tests compare with: dense float64 matrices in plain loops, and each of the paper's subproblems solved or
// measured in its own way (candidates, bisection, damped Newton). No formula is shared with include/pdadmm.
#pragma once

#include <vector>

#include "pdadmm/backend.hpp"

namespace pdadmm::reference {

/// A column-major matrix in float64.
struct Array {
    Index rows = 0, cols = 0;
    std::vector<double> values;

    Array() = default;
    Array(Index r, Index c) : rows(r), cols(c), values(static_cast<std::size_t>(r * c)) {}
    Array(Index r, Index c, const std::vector<real>& from) : rows(r), cols(c), values(from.begin(), from.end()) {}
    double& operator()(Index i, Index j) { return values[static_cast<std::size_t>(j * rows + i)]; }
    double operator()(Index i, Index j) const { return values[static_cast<std::size_t>(j * rows + i)]; }
    std::size_t size() const { return values.size(); }
};

/// op(A) op(B) by the definition.
Array multiply(const Array& A, bool transpose_A, const Array& B, bool transpose_B);
Array absolute(Array A);
double dot(const Array& A, const Array& B);
/// max |a_ij|; NaN where one is.
double largest(const Array& A);

/// X with A X = B, by Gaussian elimination with row exchanges.
Array solve(Array A, Array B);

double ramp(double x);  // f, the activation

/// (v - a)^2 + (q - f(v))^2 + (v - z)^2.
double hidden_objective(double v, double a, double q, double z);
/// Its minimiser by comparing 0 and the two stationary points where they are on their side; the smaller on a tie.
double hidden_minimiser(double a, double q, double z);

/// Cross entropy of softmax(v) at class y.
double cross_entropy(const std::vector<double>& v, std::int32_t y);
/// max |softmax(v) - e_y + nu (v - a)|, the KKT residual of the last layer's prox.
double prox_residual(const std::vector<double>& v, const std::vector<double>& a, std::int32_t y, double nu);
double prox_objective(const std::vector<double>& v, const std::vector<double>& a, std::int32_t y, double nu);
/// The prox by Newton with a line search on its objective.
std::vector<double> prox(const std::vector<double>& a, std::int32_t y, double nu);

/// log(1 + e^v) - v where the label is true, log(1 + e^v) where it is not; and its derivative.
double label_cost(double v, bool is_true);
double label_slope(double v, bool is_true);
/// The minimiser over v of that plus nu/2 (v - a)^2, by bisection.
double label_prox(double a, bool is_true, double nu);

/// w with w + log w = x, by bisection on log w.
double omega(double x);

/// The position of the level nearest to x, by looking at all of them; the lower one on a tie.
std::size_t nearest(const std::vector<double>& levels, double x);
/// x rounded to an integer, halves to the even one.
double half_even(double x);

/// The symmetric grid on which codec difference rounds the changes of one layer (design 4): codes -top .. top, `width`
/// each; top 0 is one bit, whose codes are -1 and 1.
struct ChangeGrid {
    double width = 0, top = 0;
    double rounded(double change) const;
    /// How far a decoded change is from one that a code stands for.
    double off_code(double decoded) const;
    /// How much further than half a code it is from the wanted change, or from the end of the grid beyond which that
    /// lies; of one bit, the wanted change where the sign is wrong.
    double off_change(double decoded, double wanted) const;
};
ChangeGrid change_grid(const Array& changes, int bits, ChangeScale scale);

/// 1/tau by the rules of design 2: the exact curvature or the first accepted trial; 0 where the variable is kept.
double inverse_step(StepSpec spec, double curvature);

/// n equally spaced values between lo and hi.
std::vector<double> spread(double lo, double hi, int n);

}  // namespace pdadmm::reference
