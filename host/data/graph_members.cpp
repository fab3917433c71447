// Members of archives (host/data/graph_members.hpp).
#include "host/data/graph_members.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "host/console/printable.hpp"
#include "host/data/edge_list.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// Rows and columns.
std::vector<Index> read_extents(const NpzFile& npz, const std::string& member) {
    const NpyArray shape = ranked(npz.read(member), 1);
    std::vector<Index> extents = shape.as_index();
    if (extents.size() != 2)
        throw DataError(fmt::format("{}: {} values, expected two (rows, columns)", shape.name, extents.size()));
    return extents;
}

RawCsr read_compressed(const NpzFile& npz, const std::string& prefix) {
    RawCsr raw;
    raw.name = prefix.substr(0, prefix.find('_'));
    const std::vector<Index> extents = read_extents(npz, prefix + "shape");
    raw.rows = extents[0];
    raw.cols = extents[1];
    raw.indptr = ranked(npz.read(prefix + "indptr"), 1).as_index();
    raw.indices = ranked(npz.read(prefix + "indices"), 1).as_int32();
    raw.has_data = npz.has(prefix + "data");
    if (raw.has_data) raw.data = ranked(npz.read(prefix + "data"), 1).as_float();
    return raw;
}

RowStreams stream_compressed(const NpzFile& npz, const std::string& prefix) {
    const std::vector<Index> extents = read_extents(npz, prefix + "shape");
    return {extents[0], extents[1], npz.stream(prefix + "indptr"), npz.stream(prefix + "indices"),
            npz.has(prefix + "data") ? npz.stream(prefix + "data") : nullptr};
}

RawCsr read_coordinates(const NpzFile& npz, const std::string& file) {
    const std::vector<Index> extents = read_extents(npz, "shape");
    RawEdges edges{.name = "row and col",
                   .data_name = npz.has("data") ? "data" : "",
                   .counted_by = "shape",
                   .rows = extents[0],
                   .cols = extents[1],
                   .ids = ranked(npz.read("row"), 1).as_int32(),
                   .pairs = false,
                   .data = {},
                   .max_bytes = npz.max_bytes()};
    const std::vector<std::int32_t> columns = ranked(npz.read("col"), 1).as_int32();
    if (columns.size() != edges.ids.size())
        throw DataError(fmt::format("{}: col: {} entries, expected {} (the length of row)", file, columns.size(),
                                    edges.ids.size()));
    edges.ids.insert(edges.ids.end(), columns.begin(), columns.end());
    if (!edges.data_name.empty()) edges.data = ranked(npz.read("data"), 1).as_float();
    return compressed_rows(edges, file);
}

/// What scipy.sparse.save_npz wrote, or the same without its word of the format.
RawCsr read_scipy(const NpzFile& npz, const std::string& file) {
    const std::string format = npz.has("format") ? npz.read("format").as_text() : npz.has("row") ? "coo" : "csr";
    if (format == "coo") return read_coordinates(npz, file);
    if (format != "csr" && format != "csc")
        throw DataError(
            fmt::format("{}: format: '{}', expected csr, csc or coo; save it with .tocsr()", file, printable(format)));
    RawCsr raw = read_compressed(npz, "");
    if (format == "csr") return raw;
    std::swap(raw.rows, raw.cols);
    return rows_of_columns(raw, file, npz.max_bytes());
}

}  // namespace

NpyArray ranked(NpyArray array, std::size_t rank) {
    if (array.shape.size() != rank)
        throw DataError(fmt::format("{}: rank {}, expected {}", array.name, array.shape.size(), rank));
    return array;
}

NpyArray column(NpyArray array) {
    if (array.shape.size() == 2 && array.shape[1] == 1) array.shape.pop_back();
    return ranked(std::move(array), 1);
}

std::vector<GraphMember> members_of(const std::shared_ptr<const NpzFile>& npz, const std::string& file,
                                    const std::string& matrix_name) {
    std::vector<GraphMember> members;
    std::vector<std::string> taken;
    for (const std::string prefix : {"adj_", "attr_"}) {
        if (!npz->has(prefix + "indptr")) continue;
        const std::string name = prefix.substr(0, prefix.size() - 1);
        members.push_back({name, name, {}, [npz, prefix] { return read_compressed(*npz, prefix); }});
        members.back().row_stream = [npz, prefix] { return stream_compressed(*npz, prefix); };
        for (const char* part : {"indptr", "indices", "data", "shape"}) taken.push_back(prefix + part);
    }
    if (npz->has("shape") && (npz->has("indptr") || npz->has("row") || npz->has("format"))) {
        members.push_back({matrix_name, matrix_name, {}, [npz, file] { return read_scipy(*npz, file); }});
        for (const char* part : {"indptr", "indices", "data", "shape", "row", "col", "format"})
            taken.emplace_back(part);
    }
    for (const std::string& name : npz->names())
        if (std::find(taken.begin(), taken.end(), name) == taken.end())
            members.push_back(
                {name, name, [npz, name] { return npz->read(name); }, {}, [npz, name] { return npz->stream(name); }});
    return members;
}

}  // namespace pdadmm
