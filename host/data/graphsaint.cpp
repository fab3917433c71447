// Labels and roles of GraphSAINT's folder as arrays (host/data/graphsaint.hpp).
#include "host/data/graphsaint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/number_table.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

template <typename T>
NpyArray array_of(const std::string& name, const char* dtype, std::vector<Index> shape, const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    return {name, dtype, std::move(shape), {bytes.begin(), bytes.end()}};
}

std::optional<Index> node_of(const std::string& key) {
    Index node = 0;
    const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), node);
    return error == std::errc{} && stop == key.data() + key.size() ? std::optional(node) : std::nullopt;
}

/// A number a node, or a list of equal length a node; -1 for nodes that the table lacks.
NpyArray labels_of(const NumberTable& table, Index nodes, std::uint64_t max_bytes) {
    if (table.rows.empty()) throw DataError(fmt::format("{}: empty, expected a label a node", table.name));
    const NumberTable::Row& like = table.rows.front();
    const std::size_t width = like.count;
    if (width > max_bytes / sizeof(std::int32_t) / static_cast<std::size_t>(std::max<Index>(1, nodes)))
        throw DataError(fmt::format("{}: {} labels of {} nodes, expected at most {} bytes of them", table.name, width,
                                    nodes, max_bytes));
    std::vector<bool> seen(static_cast<std::size_t>(nodes));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(nodes) * width, -1);
    for (const NumberTable::Row& row : table.rows) {
        const std::optional<Index> node = node_of(row.key);
        if (!node || *node < 0 || *node >= nodes)
            throw DataError(
                fmt::format("{}: node {}, expected 0 to {}", table.name, printable(row.key, 40), nodes - 1));
        const auto at = static_cast<std::size_t>(*node);
        if (seen[at]) throw DataError(fmt::format("{}: node {} twice, expected once", table.name, *node));
        seen[at] = true;
        if (row.list != like.list || row.count != width || width == 0)
            throw DataError(fmt::format("{}: {} numbers for node {}, {} for node {}, expected as many for all",
                                        table.name, row.count, *node, width, printable(like.key, 40)));
        std::ranges::copy(table.of(row), labels.begin() + static_cast<std::ptrdiff_t>(at * width));
    }
    std::vector<Index> shape{nodes};
    if (like.list) shape.push_back(static_cast<Index>(width));
    return array_of(table.name, "<i4", std::move(shape), labels);
}

/// The three parts of role.json, under names of a split.
void add_roles(const fs::path& path, std::uint64_t max_bytes, std::vector<GraphMember>& members) {
    const auto roles = std::make_shared<const NumberTable>(read_number_table(path, max_bytes));
    for (const auto& [key, part] : {std::pair{"tr", "train_idx"}, {"va", "val_idx"}, {"te", "test_idx"}}) {
        const auto row = std::ranges::find(roles->rows, std::string(key), &NumberTable::Row::key);
        if (row == roles->rows.end() || !row->list)
            throw DataError(fmt::format("{}: no list {}, expected tr, va and te", roles->name, key));
        members.push_back({part,
                           fmt::format("role.json: {}", key),
                           [roles, row = *row] {
                               const std::span<const std::int32_t> ids = roles->of(row);
                               return array_of<std::int32_t>(roles->name, "<i4", {static_cast<Index>(ids.size())},
                                                             {ids.begin(), ids.end()});
                           },
                           {}});
    }
}

}  // namespace

std::vector<GraphMember> members_of_graphsaint(const fs::path& folder, std::uint64_t max_bytes) {
    std::error_code ignored;
    for (const char* file : {"adj_full.npz", "feats.npy"})
        if (!fs::exists(folder / file, ignored))
            throw DataError(
                fmt::format("{}: no {} beside {}, expected GraphSAINT's adj_full.npz, feats.npy and "
                            "role.json",
                            printable_path(folder), file, graphsaint_mark));
    const fs::path adjacency = folder / "adj_full.npz", features = folder / "feats.npy";
    const auto npz = std::make_shared<const NpzFile>(adjacency, max_bytes);
    std::vector<GraphMember> members = members_of(npz, printable_path(adjacency), "adj_full");
    std::erase_if(members, [](const GraphMember& member) { return !member.matrix; });
    members.push_back({"feats", "feats.npy", [=] { return read_npy(features, max_bytes); }, {}});
    members.push_back({"labels",
                       graphsaint_mark,
                       [=] {
                           const NpyArray shape = ranked(npz->read("shape"), 1);
                           if (shape.size() != 2)
                               throw DataError(fmt::format("{}: {} values, expected two", shape.name, shape.size()));
                           return labels_of(read_number_table(folder / graphsaint_mark, max_bytes),
                                            std::max<Index>(0, shape.as_index().front()), max_bytes);
                       },
                       {}});
    if (fs::exists(folder / "role.json", ignored)) add_roles(folder / "role.json", max_bytes, members);
    return members;
}

}  // namespace pdadmm
