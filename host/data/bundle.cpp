// Which member has which role, and of which shape it must be; their values are checked in graph_arrays.cpp.
#include "host/data/bundle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

#include "host/console/printable.hpp"
#include "host/data/edge_list.hpp"
#include "host/data/graph_roles.hpp"
#include "host/data/label_matrix.hpp"
#include "host/data/names.hpp"
#include "host/data/stored_split.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr const char* marker_name = "pdadmm_bundle";
constexpr Index version = 1;

/// The members by role.
class Roles {
public:
    Roles(std::span<const GraphMember> members, std::string file) : members_(members), file_(std::move(file)) {}

    /// The member that has the role, null where none has. An adjacency is also any other matrix.
    const GraphMember* find(Role role) const {
        const GraphMember* found = nullptr;
        for (const GraphMember& member : members_) {
            std::optional<Role> has = role_of(member.name);
            if (member.matrix && has != Role::features) has = Role::adjacency;
            if (has != role || (role == Role::adjacency && !member.matrix)) continue;
            if (found) fail_two(*found, member);
            found = &member;
        }
        return found;
    }

    [[noreturn]] void fail_two(const GraphMember& one, const GraphMember& other) const {
        throw DataError(
            fmt::format("{}: {} and {}, expected one of them; leave one out", file_, one.shown, other.shown));
    }

    [[noreturn]] void fail_missing(const std::string& what) const {
        std::string held;
        for (const GraphMember& member : members_)
            if (held.size() < 200) held += (held.empty() ? "" : ", ") + printable(member.shown, 40);
        throw DataError(
            fmt::format("{}: no {} (data/README.md); holds {}", file_, what, held.empty() ? "no array" : held));
    }

private:
    std::span<const GraphMember> members_;
    std::string file_;
};

/// One integer, as a 0-d array or as an array of one value.
Index read_scalar(const GraphMember& member) {
    const NpyArray a = member.array();
    if (a.size() != 1) throw DataError(fmt::format("{}: {} values, expected one integer", a.name, a.size()));
    return a.as_index().front();
}

void read_features(const GraphMember& member, RawGraph& raw) {
    if (member.matrix) {
        raw.sparse = member.matrix();
        return;
    }
    const NpyArray a = ranked(member.array(), 2);
    raw.dense_name = member.shown;
    raw.dense_rows = a.shape[0];
    raw.dense_cols = a.shape[1];
    raw.dense = a.as_float();
}

void read_labels(const GraphMember& member, const ReadOptions& options, RawGraph& raw) {
    NpyArray a = member.array();
    raw.labels_name = member.shown;
    if (a.shape.size() == 2 && a.shape[1] > 1) return read_label_matrix(a, options.unlabelled, raw);
    a = column(std::move(a));
    std::vector<Index> labels = a.as_index(-1);
    if (options.unlabelled) std::replace(labels.begin(), labels.end(), *options.unlabelled, Index{-1});
    // An unsigned byte has no -1, so 255 stands for it, unless it is needed as a class.
    constexpr Index no_byte = 255;
    if (a.dtype == "|u1" && raw.classes.value_or(0) <= no_byte) {
        const auto marked = std::count(labels.begin(), labels.end(), no_byte);
        const std::unordered_set<Index> others(labels.begin(), labels.end());
        if (marked > 0 && others.size() <= no_byte) {
            std::replace(labels.begin(), labels.end(), no_byte, Index{-1});
            raw.notes.push_back(
                fmt::format("{}: 255 in unsigned bytes is taken for unlabelled ({} nodes)", member.shown, marked));
        }
    }
    raw.labels = std::move(labels);
}

/// Nodes by the rows of the features, which every graph has.
RawCsr read_edges(const GraphMember& member, const GraphMember* weights, const GraphMember& features, RawGraph& raw) {
    const NpyArray a = member.array();
    if (raw.sparse) check_rows(*raw.sparse, raw.file);
    const Index nodes = raw.sparse ? raw.sparse->rows : raw.dense_rows;
    if (nodes < 1 || (!raw.sparse && raw.dense.empty()))  // rows without values could be any number
        throw DataError(fmt::format("{}: {}: {}, expected values of each node", raw.file, features.shown,
                                    nodes < 1 ? "no rows" : "rows without values"));
    RawEdges edges{.name = member.shown,
                   .data_name = weights ? weights->shown : "",
                   .counted_by = features.shown,
                   .rows = nodes,
                   .cols = nodes,
                   .ids = a.as_int32(),
                   .pairs = are_pairs(a.shape, a.name, member.name),
                   .data = {}};
    raw.counted_by = features.shown;
    if (weights) edges.data = column(weights->array()).as_float();
    return compressed_rows(edges, raw.file);
}

void check_version(const GraphMember& member, const std::string& file) {
    if (const Index found = read_scalar(member); found != version)
        throw DataError(
            fmt::format("{}: bundle version {}, expected {}; make it anew with this version's data/prepare.py", file,
                        found, version));
}

}  // namespace

bool are_pairs(const std::vector<Index>& shape, const std::string& array, const std::string& member) {
    if (shape.size() != 2 || (shape[0] != 2 && shape[1] != 2))
        throw DataError(fmt::format(
            "{}: shape {}, expected (2, edges) or (edges, 2)", array,
            shape.size() == 2 ? fmt::format("({}, {})", shape[0], shape[1]) : fmt::format("of rank {}", shape.size())));
    return shape[0] != 2 || (shape[1] == 2 && member != "edge_index");
}

bool is_bundle(const NpzFile& npz) { return npz.has(marker_name); }

Dataset assemble_graph(std::span<const GraphMember> members, const std::string& file, const std::string& name,
                       const ReadOptions& options) {
    const Roles roles(members, file);
    RawGraph raw;
    raw.file = file;
    raw.name = name;
    const GraphMember* marker = roles.find(Role::marker);
    if (marker) check_version(*marker, file);
    if (const GraphMember* classes = roles.find(Role::class_count)) raw.classes = read_scalar(*classes);
    const GraphMember *matrix = roles.find(Role::adjacency), *edges = roles.find(Role::edges),
                      *weights = roles.find(Role::edge_weights), *features = roles.find(Role::features);
    if (!matrix && !edges) roles.fail_missing("adjacency, expected adj_indptr (and its fellows), edge_index or edges");
    if (matrix && edges) roles.fail_two(*matrix, *edges);
    if (matrix && weights) roles.fail_two(*matrix, *weights);
    if (!features)
        roles.fail_missing(members.size() == 1
                               ? "features, expected some beside a lone matrix; put it into a folder with features.npy "
                                 "and labels.npy, and name the folder"
                               : "features, expected attr_indptr (and its fellows), " + names_of(Role::features));
    read_features(*features, raw);
    raw.adjacency = matrix ? matrix->matrix() : read_edges(*edges, weights, *features, raw);
    if (matrix) {
        raw.counted_by = raw.adjacency.member("shape");
        check_rows(raw.adjacency, file);  // before anything counts by them
    }
    if (const GraphMember* count = roles.find(Role::node_count))
        if (const Index nodes = read_scalar(*count); nodes != raw.adjacency.rows)
            throw DataError(fmt::format("{}: {}: {} nodes, expected {} (the nodes of {})", file, count->shown, nodes,
                                        raw.adjacency.rows, raw.counted_by));
    if (const GraphMember* labels = roles.find(Role::labels)) read_labels(*labels, options, raw);
    if (const GraphMember* unused = roles.find(Role::edge_features))
        raw.notes.push_back(fmt::format("{}: not used; weights of edges are called edge_weight", unused->shown));
    std::string fault = read_split(members, raw.adjacency.rows, options.split_index, raw);
    Dataset d = build_dataset(std::move(raw), options.binary_features);
    if (marker) {  // Shchur's files have pickled objects under these names
        if (const GraphMember* ids = roles.find(Role::node_names)) name_nodes(ids->array(), d);
        if (const GraphMember* names = roles.find(Role::class_names)) name_classes(names->array(), d);
    }
    if (!fault.empty()) d.split_fault = fmt::format("{}: {}, or choose another --split", file, fault);
    return d;
}

Dataset read_graph(const NpzFile& npz, const std::string& file, const std::string& name, const ReadOptions& options) {
    const std::shared_ptr<const NpzFile> borrowed(std::shared_ptr<const NpzFile>(), &npz);
    return assemble_graph(members_of(borrowed, file, "matrix"), file, name, options);
}

}  // namespace pdadmm
