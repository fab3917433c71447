// A counting sort by row (host/data/edge_list.hpp).
#include "host/data/edge_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "pdadmm/error.hpp"

namespace pdadmm {

RawCsr compressed_rows(const RawEdges& edges, const std::string& file) {
    const std::size_t count = edges.ids.size() / 2, step = edges.pairs ? 2 : 1, second = edges.pairs ? 1 : count;
    const auto row = [&](std::size_t k) { return edges.ids[k * step]; };
    const auto column = [&](std::size_t k) { return edges.ids[k * step + second]; };
    const auto check = [&](std::size_t k, std::int32_t id, Index most) {
        if (id < 0 || id >= most)
            throw DataError(fmt::format("{}: {}: node {} at edge {}, expected 0 to {} (the nodes of {})", file,
                                        edges.name, id, k, most - 1, edges.counted_by));
    };
    if (!edges.data_name.empty() && edges.data.size() != count)
        throw DataError(fmt::format("{}: {}: {} entries, expected {} (the edges of {})", file, edges.data_name,
                                    edges.data.size(), count, edges.name));
    constexpr Index most = INT32_MAX;  // ids are of 32 bits
    if (std::min(edges.rows, edges.cols) < 1 || std::max(edges.rows, edges.cols) > most)
        throw DataError(fmt::format("{}: {}: {} x {}, expected 1 to {} rows and columns", file, edges.counted_by,
                                    edges.rows, edges.cols, most));
    if (static_cast<std::uint64_t>(edges.rows) > edges.max_bytes / sizeof(Index))
        throw DataError(fmt::format("{}: {}: {} rows, of which offsets take more than {} bytes, expected fewer", file,
                                    edges.counted_by, edges.rows, edges.max_bytes));
    RawCsr raw{.name = edges.name, .whole = true, .data_name = edges.data_name, .rows = edges.rows, .cols = edges.cols};
    raw.indptr.assign(static_cast<std::size_t>(edges.rows) + 1, 0);
    for (std::size_t k = 0; k < count; ++k) {
        check(k, row(k), edges.rows);
        check(k, column(k), edges.cols);
        ++raw.indptr[static_cast<std::size_t>(row(k)) + 1];
    }
    std::partial_sum(raw.indptr.begin(), raw.indptr.end(), raw.indptr.begin());
    raw.has_data = !edges.data_name.empty();
    raw.indices.resize(count);
    raw.data.resize(edges.data.size());
    std::vector<Index> next(raw.indptr.begin(), raw.indptr.end() - 1);
    for (std::size_t k = 0; k < count; ++k) {
        const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(row(k))]++);
        raw.indices[to] = column(k);
        if (raw.has_data) raw.data[to] = edges.data[k];
    }
    return raw;
}

RawCsr rows_of_columns(const RawCsr& columns, const std::string& file, std::uint64_t max_bytes) {
    check_rows(columns, file);
    RawEdges edges{.name = columns.member("indices"),
                   .data_name = columns.has_data ? columns.member("data") : "",
                   .counted_by = columns.member("shape"),
                   .rows = columns.cols,
                   .cols = columns.rows,
                   .ids = columns.indices,
                   .pairs = false,
                   .data = columns.data,
                   .max_bytes = max_bytes};
    edges.ids.reserve(2 * columns.indices.size());
    for (Index column = 0; column < columns.rows; ++column)
        edges.ids.insert(edges.ids.end(),
                         static_cast<std::size_t>(columns.indptr[static_cast<std::size_t>(column) + 1] -
                                                  columns.indptr[static_cast<std::size_t>(column)]),
                         static_cast<std::int32_t>(column));
    return compressed_rows(edges, file);
}

}  // namespace pdadmm
