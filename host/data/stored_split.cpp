// Masks and lists become lists (host/data/stored_split.hpp).
#include "host/data/stored_split.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "host/console/printable.hpp"
#include "host/data/graph_roles.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// A member of the split: a list of ids, or one mask or several.
struct PartArray {
    std::string name;
    NpyArray array;
    bool mask = false;
    Index splits = 0;                           // 0: the member is of every split
    std::size_t split_step = 0, node_step = 1;  // how far apart the values of two splits and of two nodes lie
};

[[noreturn]] void fail(const RawGraph& raw, const std::string& member, const std::string& problem) {
    throw DataError(fmt::format("{}: {}: {}", raw.file, member, problem));
}

/// Finds whether masks stand in rows or in columns.
void find_layout(PartArray& part, Index nodes, const RawGraph& raw) {
    const std::vector<Index>& shape = part.array.shape;
    if (shape.size() == 1 && shape[0] == nodes) return;
    if (shape.size() != 2)
        fail(raw, part.name,
             fmt::format("{} entries, expected {}, one a node; ids of nodes are called train_idx, val_idx, test_idx",
                         part.array.size(), nodes));
    const Index rows = shape[0], columns = shape[1];
    if (rows != nodes && columns != nodes)
        fail(raw, part.name, fmt::format("{} x {}, expected {} rows or columns (the nodes)", rows, columns, nodes));
    if (rows == columns && nodes > 1)
        fail(raw, part.name, fmt::format("{} x {}, expected another number of splits than of nodes", rows, columns));
    part.splits = rows == nodes ? columns : rows;
    part.split_step = rows == nodes ? 1 : static_cast<std::size_t>(nodes);
    part.node_step = rows == nodes ? static_cast<std::size_t>(columns) : 1;
}

std::vector<Index> covered(const PartArray& part, Index index, Index nodes, const RawGraph& raw) {
    const std::vector<Index> values = part.array.as_index();
    std::vector<Index> ids;
    const std::size_t first = part.splits > 0 ? static_cast<std::size_t>(index) * part.split_step : 0;
    for (Index node = 0; node < nodes; ++node) {
        const Index value = values[first + static_cast<std::size_t>(node) * part.node_step];
        if (value != 0 && value != 1)
            fail(raw, part.name, fmt::format("value {} at node {}, expected 0 or 1", value, node));
        if (value == 1) ids.push_back(node);
    }
    if (ids.empty())
        fail(raw, part.name, "covers no node, expected one at least; leave the mask out where there are none");
    return ids;
}

PartArray read_part(const GraphMember& member, const SplitRole& role, Index nodes, const RawGraph& raw) {
    PartArray part{.name = member.shown, .array = member.array()};
    part.mask = role.mask || part.array.is_bool();
    if (part.mask)
        find_layout(part, nodes, raw);
    else
        part.array = column(std::move(part.array));
    return part;
}

using PartMembers = std::array<std::optional<std::pair<const GraphMember*, SplitRole>>, 3>;

/// The members that hold the parts, and why they cannot be used.
std::string find_parts(std::span<const GraphMember> members, PartMembers& parts) {
    for (const GraphMember& member : members) {
        const std::optional<SplitRole> role = member.array ? split_role_of(member.name) : std::nullopt;
        if (role) {
            auto& found = parts[static_cast<std::size_t>(role->part)];
            if (found)
                return fmt::format("{} and {}, expected one of them; leave one out", found->first->shown, member.shown);
            found = {&member, *role};
        } else if (!role_of(member.name) && speaks_of_split(member.name)) {
            return fmt::format(
                "{} speaks of a split, expected train_mask, val_mask, test_mask (or _idx); rename it, "
                "leave it out",
                printable(member.shown, 40));
        }
    }
    return "";
}

}  // namespace

std::string read_split(std::span<const GraphMember> members, Index nodes, Index index, RawGraph& raw) {
    PartMembers found{};
    if (std::string fault = find_parts(members, found); !fault.empty()) return fault;
    std::array<std::optional<PartArray>, 3> parts;
    const PartArray *first = nullptr, *several = nullptr;
    for (std::size_t k = 0; k < 3; ++k) {
        if (!found[k]) continue;
        parts[k] = read_part(*found[k]->first, found[k]->second, nodes, raw);
        if (!first) first = &*parts[k];
        if (parts[k]->splits == 0) continue;
        if (several && several->splits != parts[k]->splits)
            fail(raw, parts[k]->name,
                 fmt::format("{} splits, expected {} as in {}", parts[k]->splits, several->splits, several->name));
        if (!several) several = &*parts[k];
    }
    const Index count = several ? several->splits : 1;
    if (index > 0 && index >= count)
        return !first ? fmt::format("holds no split, expected several for --split-index {}; leave that out", index)
                      : fmt::format("{}: {}, expected --split-index 0{}, found {}; take that",
                                    (several ? several : first)->name,
                                    count == 1 ? "one split" : fmt::format("{} splits", count),
                                    count == 1 ? "" : fmt::format(" to {}", count - 1), index);
    for (std::size_t k = 0; k < 3; ++k)
        if (parts[k])
            raw.parts[k] = RawPart{parts[k]->name,
                                   parts[k]->mask ? covered(*parts[k], index, nodes, raw) : parts[k]->array.as_index()};
    raw.splits = first ? count : 0;
    if (count > 1)
        raw.split_reason = fmt::format("number {} of {} in {}; others by --split-index", index, count, first->name);
    else if (first)
        raw.split_reason = first->name;
    return "";
}

}  // namespace pdadmm
