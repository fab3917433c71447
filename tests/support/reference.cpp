// Plain float64 loops (tests/support/reference.hpp).
#include "tests/support/reference.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace pdadmm::reference {
namespace {

std::vector<double> softmax(const std::vector<double>& v) {
    double most = v[0], sum = 0;
    for (const double x : v) most = x > most ? x : most;
    std::vector<double> s;
    for (const double x : v) s.push_back(std::exp(x - most));
    for (const double x : s) sum += x;
    for (double& x : s) x /= sum;
    return s;
}

}  // namespace

Array multiply(const Array& A, bool transpose_A, const Array& B, bool transpose_B) {
    const auto a = [&](Index i, Index k) { return transpose_A ? A(k, i) : A(i, k); };
    const auto b = [&](Index k, Index j) { return transpose_B ? B(j, k) : B(k, j); };
    const Index inner = transpose_A ? A.rows : A.cols;
    if (inner != (transpose_B ? B.cols : B.rows)) throw std::logic_error("reference::multiply: shapes differ");
    Array C(transpose_A ? A.cols : A.rows, transpose_B ? B.rows : B.cols);
    for (Index j = 0; j < C.cols; ++j)
        for (Index i = 0; i < C.rows; ++i) {
            double sum = 0;
            for (Index k = 0; k < inner; ++k) sum += a(i, k) * b(k, j);
            C(i, j) = sum;
        }
    return C;
}

Array absolute(Array A) {
    for (double& x : A.values) x = std::fabs(x);
    return A;
}

double dot(const Array& A, const Array& B) {
    if (A.size() != B.size()) throw std::logic_error("reference::dot: shapes differ");
    double sum = 0;
    for (std::size_t i = 0; i < A.size(); ++i) sum += A.values[i] * B.values[i];
    return sum;
}

double largest(const Array& A) {
    double most = 0;
    for (const double x : A.values)
        if (!(std::fabs(x) <= most)) most = std::fabs(x);
    return most;
}

Array solve(Array A, Array B) {
    const Index n = A.rows;
    for (Index k = 0; k < n; ++k) {
        Index pivot = k;
        for (Index i = k + 1; i < n; ++i)
            if (std::fabs(A(i, k)) > std::fabs(A(pivot, k))) pivot = i;
        for (Index j = 0; j < n; ++j) std::swap(A(k, j), A(pivot, j));
        for (Index j = 0; j < B.cols; ++j) std::swap(B(k, j), B(pivot, j));
        for (Index i = 0; i < n; ++i) {
            if (i == k) continue;
            const double factor = A(i, k) / A(k, k);
            for (Index j = k; j < n; ++j) A(i, j) -= factor * A(k, j);
            for (Index j = 0; j < B.cols; ++j) B(i, j) -= factor * B(k, j);
        }
    }
    for (Index k = 0; k < n; ++k)
        for (Index j = 0; j < B.cols; ++j) B(k, j) /= A(k, k);
    return B;
}

double ramp(double x) { return std::fmax(x, 0.0); }

double hidden_objective(double v, double a, double q, double z) {
    return std::pow(v - a, 2) + std::pow(q - ramp(v), 2) + std::pow(v - z, 2);
}

double hidden_minimiser(double a, double q, double z) {
    std::vector<double> candidates{0};
    if (const double below = 0.5 * a + 0.5 * z; below < 0) candidates.push_back(below);
    if (const double above = (a + q + z) * (1.0 / 3); above > 0) candidates.push_back(above);
    std::sort(candidates.begin(), candidates.end());
    double best = candidates[0];
    for (const double v : candidates)
        if (hidden_objective(v, a, q, z) < hidden_objective(best, a, q, z)) best = v;
    return best;
}

double cross_entropy(const std::vector<double>& v, std::int32_t y) {
    double sum = 0;  // of exp(v_i - v_y) over the other classes, scaled by the largest
    double most = 0;
    for (const double x : v) most = std::fmax(most, x - v[static_cast<std::size_t>(y)]);
    for (const double x : v) sum += std::exp(x - v[static_cast<std::size_t>(y)] - most);
    return most + std::log(sum);
}

double prox_residual(const std::vector<double>& v, const std::vector<double>& a, std::int32_t y, double nu) {
    const std::vector<double> s = softmax(v);
    double worst = 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
        const double gradient = s[i] - (static_cast<std::int32_t>(i) == y ? 1 : 0) + nu * (v[i] - a[i]);
        if (!(std::fabs(gradient) <= worst)) worst = std::fabs(gradient);
    }
    return worst;
}

double prox_objective(const std::vector<double>& v, const std::vector<double>& a, std::int32_t y, double nu) {
    double distance = 0;
    for (std::size_t i = 0; i < v.size(); ++i) distance += (v[i] - a[i]) * (v[i] - a[i]);
    return cross_entropy(v, y) + nu / 2 * distance;
}

std::vector<double> prox(const std::vector<double>& a, std::int32_t y, double nu) {
    std::vector<double> v = a;
    for (int step = 0; step < 500 && prox_residual(v, a, y, nu) > 1e-15 * (1 + nu); ++step) {
        // Newton's direction for diag(s) + nu - s s': Sherman and Morrison, with 1 - s' D^-1 s = nu sum s / (s + nu).
        const std::vector<double> s = softmax(v);
        std::vector<double> g(v.size()), x(v.size());
        double sg = 0, rest = 0;
        for (std::size_t i = 0; i < v.size(); ++i) {
            g[i] = s[i] - (static_cast<std::int32_t>(i) == y ? 1 : 0) + nu * (v[i] - a[i]);
            sg += s[i] * g[i] / (s[i] + nu);
            rest += nu * s[i] / (s[i] + nu);
        }
        double descent = 0;
        for (std::size_t i = 0; i < v.size(); ++i) {
            x[i] = -(g[i] + s[i] * sg / rest) / (s[i] + nu);
            descent += g[i] * x[i];
        }
        const double before = prox_objective(v, a, y, nu), slack = 1e-14 * std::fabs(before);
        std::vector<double> trial = v;
        for (double t = 1; t > 1e-12; t /= 2) {
            for (std::size_t i = 0; i < v.size(); ++i) trial[i] = v[i] + t * x[i];
            if (prox_objective(trial, a, y, nu) <= before + 1e-4 * t * descent + slack) break;
        }
        if (trial == v) break;
        v = trial;
    }
    return v;
}

double label_cost(double v, bool is_true) {
    const double against = is_true ? -v : v;
    return against > 0 ? against + std::log1p(std::exp(-against)) : std::log1p(std::exp(against));
}

double label_slope(double v, bool is_true) {
    const long double away = is_true ? v : -v;  // long: rounding twice in double takes all of a bound of two units
    return static_cast<double>((is_true ? -1 : 1) / (1 + std::exp(away)));
}

double label_prox(double a, bool is_true, double nu) {
    double low = is_true ? a : a - 1 / nu, high = is_true ? a + 1 / nu : a;
    for (double middle = low; (middle = low + (high - low) / 2) > low && middle < high;)
        (label_slope(middle, is_true) + nu * (middle - a) < 0 ? low : high) = middle;
    return low + (high - low) / 2;
}

double omega(double x) {
    long double low = x < 1 ? static_cast<long double>(x) - 3 : 0,
                high = x < 1 ? 1 : std::log(static_cast<long double>(x)) + 1;
    for (int k = 0; k < 200; ++k) {
        const long double middle = (low + high) / 2;
        (middle + std::exp(middle) > static_cast<long double>(x) ? high : low) = middle;
    }
    return static_cast<double>(std::exp((low + high) / 2));
}

std::size_t nearest(const std::vector<double>& levels, double x) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < levels.size(); ++i)
        if (std::fabs(levels[i] - x) < std::fabs(levels[best] - x)) best = i;
    return best;
}

double half_even(double x) {
    const double below = std::floor(x), rest = x - below;
    if (rest < 0.5) return below;
    if (rest > 0.5) return below + 1;
    return std::fmod(below, 2) == 0 ? below : below + 1;
}

ChangeGrid change_grid(const Array& changes, int bits, ChangeScale scale) {
    const double count = static_cast<double>(changes.size()), top = std::pow(2, bits - 1) - 1;
    if (bits == 1) {
        double sum = 0;
        for (const double x : changes.values) sum += std::fabs(x);
        return {sum / count, 0};
    }
    if (scale == ChangeScale::max || bits == 16) return {largest(changes) / top, top};
    const double c = bits == 2 ? 1 : bits == 4 ? 3 : 6;
    return {c * std::sqrt(dot(changes, changes) / count) / top, top};
}

double ChangeGrid::rounded(double change) const {
    if (width == 0) return 0;
    if (top == 0) return change < 0 ? -width : width;
    return width * std::fmax(-top, std::fmin(top, half_even(change / width)));
}

double ChangeGrid::off_code(double decoded) const {
    if (!std::isfinite(decoded)) return INFINITY;
    if (width == 0) return std::fabs(decoded);
    if (top == 0) return std::fabs(std::fabs(decoded) - width);
    return std::fabs(decoded - width * std::fmax(-top, std::fmin(top, std::round(decoded / width))));
}

double ChangeGrid::off_change(double decoded, double wanted) const {
    if (!std::isfinite(decoded)) return INFINITY;
    if (top == 0) return decoded * wanted < 0 ? std::fabs(wanted) : 0;
    const double reachable = std::fmax(-top * width, std::fmin(top * width, wanted));
    return std::fmax(0, std::fabs(decoded - reachable) - width / 2);
}

double inverse_step(StepSpec spec, double curvature) {
    if (spec.rule == StepRule::exact) return 1 / std::fmax(curvature, spec.least);
    for (const double trial : {20., 40., 80., 160., 320., 640., 1280., 2560., 5120., 10240., 20480.})
        if (trial >= curvature) return 1 / trial;
    return 0;
}

std::vector<double> spread(double lo, double hi, int n) {
    std::vector<double> values;
    for (int i = 0; i < n; ++i) values.push_back((lo * (n - 1 - i) + hi * i) / (n - 1));
    return values;
}

}  // namespace pdadmm::reference
