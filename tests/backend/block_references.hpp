// What the cases of closed forms are compared with, in float64: centred matrices and inverses, each with the magnitudes
// that bound its rounding.
#pragma once

#include <cmath>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

inline Cells<Controls> controls_with(Workbench& bench, double decay) {
    return bench.cells("controls", std::vector<Controls>{{real(rho), real(nu), real(decay), 0, 0}});
}

/// X minus its mean over nodes, and the magnitudes.
struct Centred {
    reference::Array value, magnitude;
    explicit Centred(const reference::Array& X) : value(X), magnitude(reference::absolute(X)) {
        for (Index i = 0; i < X.rows; ++i) {
            double mean = 0, size = 0;
            for (Index j = 0; j < X.cols; ++j) mean += X(i, j) / static_cast<double>(X.cols);
            for (Index j = 0; j < X.cols; ++j) size += std::fabs(X(i, j)) / static_cast<double>(X.cols);
            const double noise = 1e-15 / unit * std::sqrt(static_cast<double>(X.cols)) * size;  // of sums in double
            for (Index j = 0; j < X.cols; ++j) {
                value(i, j) -= mean;
                magnitude(i, j) += std::fabs(mean) + noise;
            }
        }
    }
};

/// (nu F + ridge I)^-1 in float64, the bound of its elements in units, and the ridge.
struct Inverse {
    reference::Array value, magnitude;
    double ridge = 0, condition = 0;
    Inverse(reference::Array F, double kappa) : magnitude(F.rows, F.cols) {
        const Index m = F.rows;
        double trace = 0;
        for (double& x : F.values) x *= nu;
        for (Index i = 0; i < m; ++i) trace += F(i, i);
        ridge = kappa > 0 ? kappa : trace > 0 ? 1e-3 * trace / static_cast<double>(m) : 1;
        reference::Array identity(m, m);
        for (Index i = 0; i < m; ++i) {
            F(i, i) += ridge;
            identity(i, i) = 1;
        }
        value = reference::solve(F, identity);
        condition = (trace + ridge) / ridge;
        const double noise = 1e-14 * condition / unit * reference::largest(value);  // of factors in double
        for (std::size_t i = 0; i < value.size(); ++i) magnitude.values[i] = std::fabs(value.values[i]) + noise;
    }
};

}  // namespace pdadmm
