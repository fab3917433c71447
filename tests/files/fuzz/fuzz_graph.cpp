// Graph arrays as a file could state them, a sound graph with some bytes of it changed: DataError with one line, or a
// data set that keeps every promise of graph_arrays.hpp.
#include <algorithm>
#include <cstring>

#include "host/data/graph_arrays.hpp"
#include "host/data/split.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;

namespace {

/// The fuzzer's bytes one after the other; zeros when they are used up.
struct Bytes {
    const std::uint8_t* data;
    std::size_t left;
    int next() { return left > 0 ? (--left, *data++) : 0; }
};

/// Small values as they are, the two highest as what breaks arithmetic.
Index any_index(int byte) {
    if (byte == 255) return INT64_MAX;
    if (byte == 254) return Index{1} << 31;
    return byte >= 128 ? byte - 192 : byte;
}

RawCsr any_csr(Bytes& in, const char* name, Index rows, Index cols) {
    RawCsr raw;
    raw.name = name;
    raw.rows = rows;
    raw.cols = cols;
    raw.indptr.push_back(0);
    for (Index i = 0; i < rows; ++i) {
        const int entries = in.next() % 5;
        for (int k = 0; k < entries; ++k) raw.indices.push_back(static_cast<std::int32_t>(in.next() % cols));
        raw.indptr.push_back(static_cast<Index>(raw.indices.size()));
    }
    raw.has_data = in.next() % 2 == 1;
    if (raw.has_data)
        for (std::size_t k = 0; k < raw.indices.size(); ++k) raw.data.push_back(static_cast<float>(in.next()));
    return raw;
}

template <typename T>
void change(Bytes& in, std::vector<T>& v) {
    const std::size_t at = static_cast<std::size_t>(in.next());
    const int value = in.next();
    if (value == 253)
        v.push_back(T{});
    else if (value == 252 && !v.empty())
        v.pop_back();
    else if (!v.empty() && std::is_floating_point_v<T>)
        v[at % v.size()] = static_cast<T>(value == 255 ? 1e30 : value == 254 ? -1 : 0) / T(value == 251 ? 0 : 1);
    else if (!v.empty())
        v[at % v.size()] = static_cast<T>(any_index(value));
}

void change_something(Bytes& in, RawGraph& raw) {
    RawCsr& m = in.next() % 2 == 0 || !raw.sparse ? raw.adjacency : *raw.sparse;
    switch (in.next() % 9) {
        case 0:
            change(in, m.indptr);
            break;
        case 1:
            change(in, m.indices);
            break;
        case 2:
            change(in, m.data);
            break;
        case 3:
            m.rows = any_index(in.next());
            break;
        case 4:
            m.cols = any_index(in.next());
            break;
        case 5:
            change(in, *raw.labels);
            break;
        case 6:
            change(in, raw.dense);
            break;
        case 7:
            raw.classes = any_index(in.next());
            break;
        default: {
            const bool train = in.next() % 2 == 0;
            auto& part = raw.parts[train ? 0 : 2];
            if (!part) part = RawPart{train ? "train_idx" : "test_idx", {}};
            change(in, part->ids);
        }
    }
}

void check_csr(const Csr& m, Index rows, Index cols) {
    PDADMM_FUZZ_REQUIRE(m.rows == rows && m.cols == cols && static_cast<Index>(m.offsets.size()) == rows + 1);
    PDADMM_FUZZ_REQUIRE(m.offsets.front() == 0 && m.offsets.back() == m.nnz() && m.values.size() == m.columns.size());
    for (Index i = 0; i < rows; ++i) {
        PDADMM_FUZZ_REQUIRE(m.offsets[i] <= m.offsets[i + 1]);
        for (Index k = m.offsets[i]; k < m.offsets[i + 1]; ++k) {
            PDADMM_FUZZ_REQUIRE(m.columns[k] >= 0 && m.columns[k] < cols);
            PDADMM_FUZZ_REQUIRE(k == m.offsets[i] || m.columns[k - 1] < m.columns[k]);
        }
    }
}

void check(const Dataset& d) {
    PDADMM_FUZZ_REQUIRE(d.nodes >= 1 && d.classes >= 0 && d.features.count >= 1);
    check_csr(d.adjacency, d.nodes, d.nodes);
    PDADMM_FUZZ_REQUIRE(d.facts.duplicates == d.facts.stored_entries - d.adjacency.nnz());
    PDADMM_FUZZ_REQUIRE(
        std::all_of(d.adjacency.values.begin(), d.adjacency.values.end(), [](float v) { return v > 0 && v <= 1e15f; }));
    if (d.features.is_sparse())
        check_csr(d.features.sparse, d.nodes, d.features.count);
    else
        PDADMM_FUZZ_REQUIRE(static_cast<Index>(d.features.dense.size()) == d.nodes * d.features.count);
    PDADMM_FUZZ_REQUIRE(static_cast<Index>(d.labels.size()) == d.nodes);
    for (const std::int32_t label : d.labels) PDADMM_FUZZ_REQUIRE(label >= -1 && label < d.classes);
    PDADMM_FUZZ_REQUIRE(d.class_ids.empty() || static_cast<Index>(d.class_ids.size()) == d.classes);
    PDADMM_FUZZ_REQUIRE(std::is_sorted(d.class_ids.begin(), d.class_ids.end()));
    std::vector<bool> seen(d.nodes, false);
    for (const auto* part : {&d.stored_split.train, &d.stored_split.val, &d.stored_split.test})
        for (const std::int32_t node : *part) {
            PDADMM_FUZZ_REQUIRE(node >= 0 && node < d.nodes && !seen[node] && d.labels[node] >= 0);
            seen[node] = true;
        }
    for (const char* spec : {"random:1/1/rest", "random:60%/20%/20%"}) {
        try {
            const Split split = make_split(d, spec, 1);
            split_warnings(d, split);
        } catch (const UsageError&) {
        } catch (const DataError&) {
            PDADMM_FUZZ_REQUIRE(d.classes < 2);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes in{data, size};
    const Index nodes = 2 + in.next() % 8, features = 1 + in.next() % 4;
    RawGraph raw;
    raw.file = raw.name = "fuzz.npz";
    raw.adjacency = any_csr(in, "adj", nodes, nodes);
    if (in.next() % 2 == 0) raw.sparse = any_csr(in, "attr", nodes, features);
    raw.dense_rows = nodes;
    raw.dense_cols = features;
    raw.dense.assign(nodes * features, 1.0f);
    raw.labels.emplace();
    for (Index i = 0; i < nodes; ++i) raw.labels->push_back(i < 2 ? i : in.next() % 4 - 1);
    if (in.next() % 2 == 0) {
        raw.parts[0] = RawPart{"train_idx", {0}};
        raw.parts[2] = RawPart{"test_idx", {1}};
    }
    for (int changes = in.next() % 4; changes > 0; --changes) change_something(in, raw);
    try {
        check(build_dataset(std::move(raw), in.next() % 2 == 1));
    } catch (const DataError& error) {
        PDADMM_FUZZ_REQUIRE(std::strncmp(error.what(), "fuzz.npz: ", 10) == 0 &&
                            std::strchr(error.what(), '\n') == nullptr);
    }
    return 0;
}
