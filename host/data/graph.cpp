// Symmetrising and normalising a graph (host/data/graph.hpp).
#include "host/data/graph.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pdadmm {
namespace {

/// Calls row(i, entries) with the sorted, merged entries of row i of max(A, A').
Csr symmetrised(const Csr& sorted, const Csr& mirror) {
    Csr both{sorted.rows, sorted.cols, {0}, {}, {}};
    both.offsets.reserve(static_cast<std::size_t>(sorted.rows) + 1);
    both.columns.reserve(sorted.columns.size());
    for (Index i = 0; i < sorted.rows; ++i) {
        const auto row = static_cast<std::size_t>(i);
        Index a = sorted.offsets[row], b = mirror.offsets[row];
        while (a < sorted.offsets[row + 1] || b < mirror.offsets[row + 1]) {
            const auto at = [](const Csr& m, Index e, Index end) { return e < end ? m.columns[static_cast<std::size_t>(e)] : INT32_MAX; };
            const std::int32_t ca = at(sorted, a, sorted.offsets[row + 1]), cb = at(mirror, b, mirror.offsets[row + 1]);
            float value = 0;
            if (ca <= cb) value = sorted.values[static_cast<std::size_t>(a++)];
            if (cb <= ca) value = std::max(value, mirror.values[static_cast<std::size_t>(b++)]);
            both.columns.push_back(std::min(ca, cb));
            both.values.push_back(value);
        }
        both.offsets.push_back(both.nnz());
    }
    return both;
}

/// Self loops as `rule` says; keeps rows sorted.
Csr with_loops(const Csr& a, SelfLoops rule) {
    if (rule == SelfLoops::keep) return a;
    Csr out{a.rows, a.cols, {0}, {}, {}};
    for (Index i = 0; i < a.rows; ++i) {
        const auto row = static_cast<std::size_t>(i);
        bool placed = rule == SelfLoops::none;
        const auto place = [&] {
            out.columns.push_back(static_cast<std::int32_t>(i));
            out.values.push_back(1);
            placed = true;
        };
        for (Index e = a.offsets[row]; e < a.offsets[row + 1]; ++e) {
            const std::int32_t column = a.columns[static_cast<std::size_t>(e)];
            if (column == i) continue;
            if (!placed && column > i) place();
            out.columns.push_back(column);
            out.values.push_back(a.values[static_cast<std::size_t>(e)]);
        }
        if (!placed) place();
        out.offsets.push_back(out.nnz());
    }
    return out;
}

void normalise(Csr& a, Norm norm) {
    if (norm == Norm::none) return;
    std::vector<double> scale(static_cast<std::size_t>(a.rows));
    for (std::size_t i = 0; i < scale.size(); ++i) {
        double degree = 0;
        for (Index e = a.offsets[i]; e < a.offsets[i + 1]; ++e) degree += static_cast<double>(a.values[static_cast<std::size_t>(e)]);
        scale[i] = degree > 0 ? (norm == Norm::sym ? 1 / std::sqrt(degree) : 1 / degree) : 0;
    }
    for (std::size_t i = 0; i < scale.size(); ++i)
        for (Index e = a.offsets[i]; e < a.offsets[i + 1]; ++e) {
            const auto k = static_cast<std::size_t>(e);
            const double other = norm == Norm::sym ? scale[static_cast<std::size_t>(a.columns[k])] : 1;
            a.values[k] = static_cast<float>(static_cast<double>(a.values[k]) * scale[i] * other);
        }
}

}  // namespace

Csr transpose(const Csr& a) {
    Csr t{a.cols, a.rows, std::vector<Index>(static_cast<std::size_t>(a.cols) + 1), {}, {}};
    t.columns.resize(a.columns.size());
    t.values.resize(a.values.size());
    for (const std::int32_t c : a.columns) ++t.offsets[static_cast<std::size_t>(c) + 1];
    for (std::size_t i = 1; i < t.offsets.size(); ++i) t.offsets[i] += t.offsets[i - 1];
    std::vector<Index> next(t.offsets.begin(), t.offsets.end() - 1);
    for (Index i = 0; i < a.rows; ++i)
        for (Index e = a.offsets[static_cast<std::size_t>(i)]; e < a.offsets[static_cast<std::size_t>(i) + 1]; ++e) {
            const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(a.columns[static_cast<std::size_t>(e)])]++);
            t.columns[to] = static_cast<std::int32_t>(i);
            t.values[to] = a.values[static_cast<std::size_t>(e)];
        }
    return t;
}

Csr propagation_operator(const Csr& adjacency, const GraphOptions& options) {
    const Csr mirror = transpose(adjacency), sorted = transpose(mirror);  // a transpose sorts rows
    Csr a = with_loops(options.directed ? sorted : symmetrised(sorted, mirror), options.self_loops);
    normalise(a, options.norm);
    return a;
}

}  // namespace pdadmm
