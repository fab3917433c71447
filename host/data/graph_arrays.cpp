// Checks of raw graph arrays. One function a rule; messages are "FILE: MEMBER: found, expected what".
#include "host/data/graph_arrays.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/data/class_ids.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index kMaxCount = std::numeric_limits<std::int32_t>::max();  // node, column and class ids are 32-bit
constexpr float kMaxValue = 1e15f;

template <typename... Args>
[[noreturn]] void fail(const std::string& file, const std::string& member, fmt::format_string<Args...> text,
                       Args&&... args) {
    throw DataError(file + ": " + member + ": " + fmt::format(text, std::forward<Args>(args)...));
}

void check_shape(const RawCsr& raw, const std::string& file) {
    for (const auto& [what, n] : {std::pair{"rows", raw.rows}, std::pair{"columns", raw.cols}})
        if (n < 1 || n > kMaxCount) fail(file, raw.member("shape"), "{} {}, expected 1 to {}", n, what, kMaxCount);
}

void check_offsets(const RawCsr& raw, const std::string& file) {
    const std::string member = raw.member("indptr");
    const Index entries = static_cast<Index>(raw.indices.size());
    if (static_cast<Index>(raw.indptr.size()) != raw.rows + 1)
        fail(file, member, "{} entries, expected {} (one more than the rows of {})", raw.indptr.size(), raw.rows + 1,
             raw.member("shape"));
    if (raw.indptr.front() != 0) fail(file, member, "starts with {}, expected 0", raw.indptr.front());
    for (Index i = 0; i < raw.rows; ++i)
        if (raw.indptr[i + 1] < raw.indptr[i])
            fail(file, member, "falls from {} to {} at row {}, expected no decrease", raw.indptr[i], raw.indptr[i + 1],
                 i);
    if (raw.indptr.back() != entries)
        fail(file, member, "ends with {}, expected {} (the length of {})", raw.indptr.back(), entries,
             raw.member("indices"));
}

void check_entries(const RawCsr& raw, const std::string& file, Duplicates rule) {
    if (raw.has_data && raw.data.size() != raw.indices.size())
        fail(file, raw.member("data"), "{} entries, expected {} (the length of {})", raw.data.size(),
             raw.indices.size(), raw.member("indices"));
    for (Index i = 0; i < raw.rows; ++i)
        for (Index k = raw.indptr[i]; k < raw.indptr[i + 1]; ++k) {
            const std::int32_t column = raw.indices[k];
            if (column < 0 || column >= raw.cols)
                fail(file, raw.member("indices"), "column {} in row {}, expected 0 to {}", column, i, raw.cols - 1);
            if (raw.has_data && !is_usable(raw.data[k]))
                fail(file, raw.member("data"), "value {} at row {}, column {}, expected finite and at most 1e15",
                     raw.data[k], i, column);
            // Of an edge: a degree could vanish or turn negative under the square root.
            if (raw.has_data && rule == Duplicates::largest && raw.data[k] <= 0)
                fail(file, raw.member("data"), "weight {} at row {}, column {}, expected weights above 0{}",
                     raw.data[k], i, column, raw.data[k] == 0 ? "; leave such an edge out" : "");
        }
}

bool rows_are_strictly_ascending(const Csr& m) {
    for (Index i = 0; i < m.rows; ++i)
        for (Index k = m.offsets[i] + 1; k < m.offsets[i + 1]; ++k)
            if (m.columns[k] <= m.columns[k - 1]) return false;
    return true;
}

/// Sorts every row by column and merges equal columns in place; returns how many entries went away.
Index sort_and_merge(Csr& m, Duplicates rule) {
    std::vector<std::pair<std::int32_t, float>> row;
    Index out = 0;
    for (Index i = 0; i < m.rows; ++i) {
        row.clear();
        for (Index k = m.offsets[i]; k < m.offsets[i + 1]; ++k) row.emplace_back(m.columns[k], m.values[k]);
        std::sort(row.begin(), row.end());  // by column, then value: sums do not depend on the order in the file
        m.offsets[i] = out;
        for (std::size_t k = 0; k < row.size(); ++k) {
            if (k > 0 && row[k].first == row[k - 1].first) {
                float& kept = m.values[out - 1];
                kept = rule == Duplicates::sum ? kept + row[k].second : std::max(kept, row[k].second);
            } else {
                m.columns[out] = row[k].first;
                m.values[out++] = row[k].second;
            }
        }
    }
    const Index merged = m.nnz() - out;
    m.offsets[m.rows] = out;
    m.columns.resize(out);
    m.values.resize(out);
    return merged;
}

Csr transpose(const Csr& m) {
    Csr t{m.cols, m.rows, std::vector<Index>(m.cols + 1, 0), std::vector<std::int32_t>(m.nnz()),
          std::vector<float>(m.nnz())};
    for (const std::int32_t column : m.columns) ++t.offsets[column + 1];
    std::partial_sum(t.offsets.begin(), t.offsets.end(), t.offsets.begin());
    std::vector<Index> next(t.offsets.begin(), t.offsets.end() - 1);
    for (Index i = 0; i < m.rows; ++i)
        for (Index k = m.offsets[i]; k < m.offsets[i + 1]; ++k) {
            const Index to = next[m.columns[k]]++;
            t.columns[to] = static_cast<std::int32_t>(i);
            t.values[to] = m.values[k];
        }
    return t;
}

void check_dense(const RawGraph& raw) {
    const std::string& member = raw.dense_name;
    if (raw.dense_cols < 1 || raw.dense_cols > kMaxCount)
        fail(raw.file, member, "{} columns, expected 1 to {}", raw.dense_cols, kMaxCount);
    if (static_cast<Index>(raw.dense.size()) != raw.dense_rows * raw.dense_cols)
        fail(raw.file, member, "{} values, expected {} x {}", raw.dense.size(), raw.dense_rows, raw.dense_cols);
    const auto bad = std::find_if_not(raw.dense.begin(), raw.dense.end(), is_usable);
    if (bad == raw.dense.end()) return;
    const Index at = bad - raw.dense.begin();
    const auto count = std::count_if(bad, raw.dense.end(), [](float v) { return !is_usable(v); });
    fail(raw.file, member, "value {} at row {}, column {} ({} such values), expected finite and at most 1e15", *bad,
         at / raw.dense_cols, at % raw.dense_cols, count);
}

Features build_features(RawGraph& raw, Index nodes, bool binary) {
    Features f;
    Index merged = 0;
    if (raw.sparse) {
        f.count = raw.sparse->cols;
        const Index rows = raw.sparse->rows;
        if (rows != nodes)
            fail(raw.file, raw.sparse->member("shape"), "{} rows, expected {} (the nodes of {})", rows, nodes,
                 raw.counted_by);
        f.sparse = checked_csr(std::move(*raw.sparse), raw.file, Duplicates::sum, merged);
    } else {
        if (raw.dense_rows != nodes)
            fail(raw.file, raw.dense_name, "{} rows, expected {} (the nodes of {})", raw.dense_rows, nodes,
                 raw.counted_by);
        check_dense(raw);
        f.count = raw.dense_cols;
        f.dense = std::move(raw.dense);
    }
    if (binary)
        for (float& v : raw.sparse ? f.sparse.values : f.dense)
            if (v > 0) v = 1;
    return f;
}

/// Labels of all nodes, -1 where the file has none; says which classes have gaps between their ids.
ClassLabels build_labels(RawGraph& raw, Index nodes) {
    if (!raw.labels) raw.labels.emplace(static_cast<std::size_t>(nodes), Index{-1});
    if (static_cast<Index>(raw.labels->size()) != nodes)
        fail(raw.file, raw.labels_name, "{} entries, expected {} (the nodes of {})", raw.labels->size(), nodes,
             raw.counted_by);
    ClassLabels numbered = number_classes(*raw.labels, raw.classes, raw.file, raw.labels_name);
    if (!numbered.ids.empty()) {
        constexpr std::size_t shown = 6;
        const std::span<const std::int64_t> ids = numbered.ids;
        raw.notes.push_back(fmt::format("{}: class ids {}{} in use, {} classes; predictions come back in these ids",
                                        raw.labels_name, fmt::join(ids.first(std::min(shown, ids.size())), ", "),
                                        ids.size() > shown ? fmt::format(" ... {}", ids.back()) : "",
                                        numbered.classes));
    }
    return numbered;
}

}  // namespace

bool is_usable(float value) { return std::fabs(value) <= kMaxValue; }  // false for NaN

std::string RawCsr::member(const char* part) const {
    if (!data_name.empty() && std::string_view(part) == "data") return data_name;
    return whole ? name : name.empty() ? part : fmt::format("{}_{}", name, part);
}

void check_rows(const RawCsr& raw, const std::string& file) {
    check_shape(raw, file);
    check_offsets(raw, file);
}

Csr checked_csr(RawCsr raw, const std::string& file, Duplicates rule, Index& merged) {
    check_rows(raw, file);
    check_entries(raw, file, rule);
    if (!raw.has_data) raw.data.assign(raw.indices.size(), 1.0f);
    Csr m{raw.rows, raw.cols, std::move(raw.indptr), std::move(raw.indices), std::move(raw.data)};
    merged = rows_are_strictly_ascending(m) ? 0 : sort_and_merge(m, rule);
    return m;
}

GraphFacts graph_facts(const Csr& adjacency) {
    GraphFacts facts;
    facts.stored_entries = adjacency.nnz();
    std::vector<bool> linked(adjacency.rows, false);
    for (Index i = 0; i < adjacency.rows; ++i)
        for (Index k = adjacency.offsets[i]; k < adjacency.offsets[i + 1]; ++k) {
            const std::int32_t j = adjacency.columns[k];
            if (j == i)
                ++facts.self_loops;
            else
                linked[i] = linked[j] = true;
        }
    facts.isolated = std::count(linked.begin(), linked.end(), false);
    const Csr t = transpose(adjacency);
    facts.symmetric = t.offsets == adjacency.offsets && t.columns == adjacency.columns && t.values == adjacency.values;
    return facts;
}

Split checked_split(const RawGraph& raw, const std::vector<std::int32_t>& labels, std::vector<std::string>& notes) {
    const auto& [train, val, test] = raw.parts;
    if (!train && !val && !test) return {};
    const Index nodes = static_cast<Index>(labels.size());
    if (!train) fail(raw.file, "train_idx", "missing beside {}, expected at least one node", (val ? val : test)->name);
    if (train->ids.empty()) fail(raw.file, train->name, "empty, expected at least one node");
    Split split;
    split.name = "stored";
    split.reason = raw.split_reason;
    std::vector<std::int32_t>* const out[] = {&split.train, &split.val, &split.test};
    std::vector<signed char> owner(static_cast<std::size_t>(nodes), -1);
    for (std::size_t part = 0; part < 3; ++part) {
        if (!raw.parts[part]) continue;
        const std::string& member = raw.parts[part]->name;
        for (const Index node : raw.parts[part]->ids) {
            if (node < 0 || node >= nodes) fail(raw.file, member, "node {}, expected 0 to {}", node, nodes - 1);
            if (owner[node] == static_cast<int>(part)) fail(raw.file, member, "node {} twice, expected once", node);
            if (owner[node] >= 0)
                fail(raw.file, member, "node {} is in {} too, expected disjoint parts", node,
                     raw.parts[static_cast<std::size_t>(owner[node])]->name);
            owner[node] = static_cast<signed char>(part);
            if (labels[node] >= 0)
                out[part]->push_back(static_cast<std::int32_t>(node));
            else if (part < 2)
                fail(raw.file, member, "node {} has no label, expected a labelled node", node);
        }
    }
    if (test && split.test.size() < test->ids.size()) {
        split.every_test.assign(test->ids.begin(), test->ids.end());
        notes.push_back(fmt::format("{}: {} of {} test nodes have no label: predicted, but not counted in accuracies",
                                    test->name, test->ids.size() - split.test.size(), test->ids.size()));
    }
    return split;
}

Dataset build_dataset(RawGraph raw, bool binary_features) {
    Dataset d;
    d.name = raw.name;
    d.nodes = raw.adjacency.rows;
    if (raw.adjacency.rows != raw.adjacency.cols)
        fail(raw.file, raw.adjacency.member("shape"), "{} x {}, expected a square matrix", raw.adjacency.rows,
             raw.adjacency.cols);
    const Index stored = static_cast<Index>(raw.adjacency.indices.size());
    Index duplicates = 0;
    d.adjacency = checked_csr(std::move(raw.adjacency), raw.file, Duplicates::largest, duplicates);
    ClassLabels numbered = build_labels(raw, d.nodes);
    d.classes = numbered.classes;
    d.labels = std::move(numbered.labels);
    d.class_ids = std::move(numbered.ids);
    d.targets = std::move(raw.targets);
    d.features = build_features(raw, d.nodes, binary_features);
    d.stored_split = checked_split(raw, d.labels, raw.notes);
    d.stored_splits = raw.splits;
    d.notes = std::move(raw.notes);
    d.facts = graph_facts(d.adjacency);
    d.facts.stored_entries = stored;
    d.facts.duplicates = duplicates;
    return d;
}

}  // namespace pdadmm
