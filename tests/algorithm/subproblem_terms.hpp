// What the checks of subproblems share: residuals, the gradient by p, levels and codes, in float64
// (tests/algorithm/subproblem_check.hpp). Every bound is `slack` rounding units of the sum of the magnitudes that enter
// the checked value.
#pragma once

#include <functional>
#include <limits>
#include <string>

#include "tests/algorithm/subproblem_check.hpp"

namespace pdadmm::subproblem {

using reference::absolute;
using reference::Array;
using reference::dot;
using reference::largest;
using reference::multiply;

constexpr double unit = std::numeric_limits<real>::epsilon();
constexpr double slack = 64;

struct Checker {
    const State& before;
    const State& after;
    const RandomProblem& problem;
    std::vector<Finding> findings;

    void expect(const std::string& what, int layer, double size, double bound) {
        if (!(size <= bound)) findings.push_back({what, layer, size, bound});
    }
};

inline std::size_t at(int layer) { return static_cast<std::size_t>(layer); }
Array minus(Array a, const Array& b);

/// W p + b - z, and with every term's magnitude.
struct Residual {
    Array value, magnitude;
};
Residual residual(const Array& W, const Array& p, const Array& b, const Array& z, double carried = 0);

/// Element i of W_ref of a layer with `rows` rows: 1 on the diagonal of square hidden layers that decay to the
/// identity, else 0.
double decay_reference(const RandomProblem& problem, int layer, Index rows, std::size_t i);

struct PointOfP {
    Array g;
    double magnitude;
};
PointOfP gradient_of_p(const State& old, int layer);
double curvature_of_p(const State& old, int layer, const Array& d);

double off_grid(const std::vector<double>& levels, const Array& values);
/// How far the values lie from reference ones, not counting those that stand within `tie` of the middle of two levels.
double distance_but_ties(const std::vector<double>& levels, const Array& values, const Array& targets, double tie);
/// `moved` must be factor times the code nearest to `wanted`, on the grid that `wanted` scales.
void check_codes(Checker& c, const char* name, int layer, const Array& moved, const Array& wanted, double factor,
                 double noise);

/// How a quantised p is tried: p - direction / tau with tau, 2 tau, ..., accepted where d' Hessian d <= bound(d, tau).
struct Trials {
    Array direction;
    double magnitude;  // of the direction's terms
    double first_tau;
    std::function<double(const Array& d, double tau)> bound;
};
/// Codec grid or difference of p, by the problem.
void check_quantised_p(Checker& c, int layer, const Trials& trials);

}  // namespace pdadmm::subproblem
