// Which members make a graph, and of which dtype and rank; their values are checked in graph_arrays.cpp.
#include "host/data/bundle.hpp"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "host/console/printable.hpp"
#include "host/data/graph_arrays.hpp"
#include "host/data/names.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr const char* kMarker = "pdadmm_bundle";
constexpr Index kVersion = 1;

NpyArray read_ranked(const NpzFile& npz, const std::string& member, std::size_t rank) {
    NpyArray a = npz.read(member);
    if (a.shape.size() != rank) throw DataError(fmt::format("{}: rank {}, expected {}", a.name, a.shape.size(), rank));
    return a;
}

/// One integer, as a 0-d array or as an array of one value.
Index read_scalar(const NpzFile& npz, const std::string& member) {
    const NpyArray a = npz.read(member);
    if (a.size() != 1) throw DataError(fmt::format("{}: {} values, expected one integer", a.name, a.size()));
    return a.as_index().front();
}

RawCsr read_csr(const NpzFile& npz, const std::string& name) {
    RawCsr raw;
    raw.name = name;
    const NpyArray shape = read_ranked(npz, name + "_shape", 1);
    const std::vector<Index> extents = shape.as_index();
    if (extents.size() != 2)
        throw DataError(fmt::format("{}: {} values, expected two (rows, columns)", shape.name, extents.size()));
    raw.rows = extents[0];
    raw.cols = extents[1];
    raw.indptr = read_ranked(npz, name + "_indptr", 1).as_index();
    raw.indices = read_ranked(npz, name + "_indices", 1).as_int32();
    raw.has_data = npz.has(name + "_data");
    if (raw.has_data) raw.data = read_ranked(npz, name + "_data", 1).as_float();
    return raw;
}

std::optional<std::vector<Index>> read_ids(const NpzFile& npz, const std::string& member) {
    if (!npz.has(member)) return std::nullopt;
    return read_ranked(npz, member, 1).as_index();
}

void read_features(const NpzFile& npz, RawGraph& raw, const std::string& dense_name) {
    if (npz.has("attr_indptr")) {
        raw.sparse = read_csr(npz, "attr");
        return;
    }
    if (!npz.has(dense_name))
        throw DataError(
            fmt::format("{}: no features, expected attr_indptr (and its fellows) or {}", raw.file, dense_name));
    const NpyArray a = read_ranked(npz, dense_name, 2);
    raw.dense_name = dense_name;
    raw.dense_rows = a.shape[0];
    raw.dense_cols = a.shape[1];
    raw.dense = a.as_float();
}

void check_version(const NpzFile& npz, const std::string& file) {
    const Index version = read_scalar(npz, kMarker);
    if (version != kVersion)
        throw DataError(
            fmt::format("{}: bundle version {}, expected {}; make it anew with this version's data/prepare.py", file,
                        version, kVersion));
}

}  // namespace

GraphLayout graph_layout(const NpzFile& npz, const std::string& file) {
    if (npz.has(kMarker)) return GraphLayout::bundle;
    if (npz.has("adj_indptr") && npz.has("labels")) return GraphLayout::shchur;
    std::string found;
    for (const std::string& name : npz.names()) found += (found.empty() ? "" : ", ") + printable(name, 40);
    throw DataError(
        fmt::format("{}: holds {}, expected a graph bundle (pdadmm_bundle, adj_*, attr_* or features, labels); make "
                    "one with data/prepare.py",
                    file, found.empty() ? "no array" : printable(found, 200)));
}

Dataset read_graph(const NpzFile& npz, const std::string& file, const std::string& name, bool binary_features) {
    RawGraph raw;
    raw.file = file;
    raw.name = name;
    const bool bundle = graph_layout(npz, file) == GraphLayout::bundle;
    if (bundle) check_version(npz, file);
    raw.adjacency = read_csr(npz, "adj");
    raw.labelled = !bundle || npz.has("labels");
    if (raw.labelled) raw.labels = read_ranked(npz, "labels", 1).as_index();
    read_features(npz, raw, bundle ? "features" : "attr_matrix");
    if (bundle) {
        raw.train = read_ids(npz, "train_idx");
        raw.val = read_ids(npz, "val_idx");
        raw.test = read_ids(npz, "test_idx");
        if (npz.has("classes")) raw.classes = read_scalar(npz, "classes");
    }
    Dataset dataset = build_dataset(std::move(raw), binary_features);
    if (bundle) read_all_names(npz, file, dataset);
    return dataset;
}

}  // namespace pdadmm
