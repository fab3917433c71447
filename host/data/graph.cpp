// Symmetrising and normalising a graph (host/data/graph.hpp).
#include "host/data/graph.hpp"

#include <algorithm>

#include "pdadmm/sparse_matrix.hpp"

namespace pdadmm {
namespace {

/// max(A, A') with rows sorted and repeated entries merged; A alone where `mirror` is null.
Csr merged(const Csr& sorted, const Csr* mirror) {
    Csr both{sorted.rows, sorted.cols, {0}, {}, {}};
    both.offsets.reserve(static_cast<std::size_t>(sorted.rows) + 1);
    both.columns.reserve(sorted.columns.size());
    for (Index i = 0; i < sorted.rows; ++i) {
        const auto row = static_cast<std::size_t>(i);
        Index a = sorted.offsets[row], b = mirror ? mirror->offsets[row] : 0;
        const Index a_end = sorted.offsets[row + 1], b_end = mirror ? mirror->offsets[row + 1] : 0;
        while (a < a_end || b < b_end) {
            const auto at = [](const Csr& m, Index e, Index end) {
                return e < end ? m.columns[static_cast<std::size_t>(e)] : INT32_MAX;
            };
            const std::int32_t column = std::min(at(sorted, a, a_end), mirror ? at(*mirror, b, b_end) : INT32_MAX);
            float value = 0;
            const auto take = [&](const Csr& m, Index& e, Index end) {
                for (; e < end && m.columns[static_cast<std::size_t>(e)] == column; ++e)
                    value = larger_weight(value, m.values[static_cast<std::size_t>(e)]);
            };
            take(sorted, a, a_end);
            if (mirror) take(*mirror, b, b_end);
            both.columns.push_back(column);
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
            out.values.push_back(loop_weight);
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
        for (Index e = a.offsets[i]; e < a.offsets[i + 1]; ++e)
            degree += static_cast<double>(a.values[static_cast<std::size_t>(e)]);
        scale[i] = degree_scale(norm, degree);
    }
    for (std::size_t i = 0; i < scale.size(); ++i)
        for (Index e = a.offsets[i]; e < a.offsets[i + 1]; ++e) {
            const auto k = static_cast<std::size_t>(e);
            const double other = norm == Norm::sym ? scale[static_cast<std::size_t>(a.columns[k])] : 1;
            a.values[k] = scaled_weight(a.values[k], scale[i], other);
        }
}

}  // namespace

Csr transpose(const Csr& a) { return transposed(a); }

Csr propagation_operator(const Csr& adjacency, const GraphOptions& options) {
    const Csr mirror = transpose(adjacency), sorted = transpose(mirror);  // a transpose sorts rows
    Csr a = with_loops(merged(sorted, options.directed ? nullptr : &mirror), options.self_loops);
    normalise(a, options.norm);
    return a;
}

PropagationOperator stored_operator(Backend& backend, const Csr& entries) {
    return {entries.rows, Buffer<Index>(backend, entries.offsets), Buffer<std::int32_t>(backend, entries.columns),
            Buffer<real>(backend, std::vector<real>(entries.values.begin(), entries.values.end())), nullptr};
}

}  // namespace pdadmm
