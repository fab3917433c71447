// Masks and lists become lists (host/data/stored_split.hpp).
#include "host/data/stored_split.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "host/console/printable.hpp"
#include "host/data/graph_roles.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// How many splits there are, and where one begins and how far its values lie apart.
struct Masks {
    Index splits = 0;  // 0: one mask, of every split
    std::size_t split_step = 0, node_step = 1;
};

[[noreturn]] void fail(const RawGraph& raw, const std::string& member, const std::string& problem) {
    throw DataError(fmt::format("{}: {}: {}", raw.file, member, problem));
}

Masks layout_of(const NpyArray& array, Index nodes, const RawGraph& raw, const std::string& member) {
    if (array.shape.size() == 1 && array.shape[0] == nodes) return {};
    if (array.shape.size() != 2)
        fail(raw, member,
             fmt::format("{} entries, expected {}, one a node; ids of nodes are called train_idx, val_idx, test_idx",
                         array.size(), nodes));
    const Index rows = array.shape[0], columns = array.shape[1];
    if (rows == nodes && columns == nodes && nodes > 1)
        fail(raw, member, fmt::format("{} x {}, expected another number of splits than of nodes", rows, columns));
    if (rows == nodes) return {columns, 1, static_cast<std::size_t>(columns)};
    if (columns == nodes) return {rows, static_cast<std::size_t>(nodes), 1};
    fail(raw, member, fmt::format("{} x {}, expected {} rows or columns (the nodes)", rows, columns, nodes));
}

std::vector<Index> covered(const NpyArray& array, const Masks& masks, Index index, Index nodes, const RawGraph& raw,
                           const std::string& member) {
    const std::vector<Index> values = array.as_index();
    std::vector<Index> ids;
    const std::size_t first = masks.splits > 0 ? static_cast<std::size_t>(index) * masks.split_step : 0;
    for (Index node = 0; node < nodes; ++node) {
        const Index value = values[first + static_cast<std::size_t>(node) * masks.node_step];
        if (value != 0 && value != 1)
            fail(raw, member, fmt::format("value {} at node {}, expected 0 or 1", value, node));
        if (value == 1) ids.push_back(node);
    }
    if (ids.empty())
        fail(raw, member, "covers no node, expected one at least; leave the mask out where there are none");
    return ids;
}

/// One member of the split. `count` and `several` become those of the first member that holds several splits.
RawPart read_part(const GraphMember& member, bool by_name, Index nodes, Index index, const RawGraph& raw, Index& count,
                  std::string& several) {
    const NpyArray array = member.array();
    if (!by_name && !array.is_bool()) return {member.shown, column(array).as_index()};
    const Masks masks = layout_of(array, nodes, raw, member.shown);
    if (masks.splits > 0) {
        if (index >= masks.splits)
            fail(raw, member.shown,
                 fmt::format("{} splits, expected --split-index 0 to {}, found {}", masks.splits, masks.splits - 1,
                             index));
        if (count > 0 && count != masks.splits)
            fail(raw, member.shown, fmt::format("{} splits, expected {} as in {}", masks.splits, count, several));
        count = masks.splits;
        if (several.empty()) several = member.shown;
    }
    return {member.shown, covered(array, masks, index, nodes, raw, member.shown)};
}

}  // namespace

std::string read_split(std::span<const GraphMember> members, Index nodes, Index index, RawGraph& raw) {
    std::array<std::pair<const GraphMember*, SplitRole>, 3> chosen{};
    for (const GraphMember& member : members) {
        const std::optional<SplitRole> role = member.array ? split_role_of(member.name) : std::nullopt;
        if (role) {
            auto& [found, as] = chosen[static_cast<std::size_t>(role->part)];
            if (found)
                return fmt::format("{} and {} both, expected one of them; leave one out", found->shown, member.shown);
            found = &member;
            as = *role;
        } else if (!role_of(member.name) && speaks_of_split(member.name)) {
            return fmt::format(
                "{} speaks of a split, expected train_mask, val_mask, test_mask (or _idx); rename it or "
                "leave it out",
                printable(member.shown, 40));
        }
    }
    Index count = 0;
    std::string several, names;
    for (std::size_t part = 0; part < 3; ++part) {
        const auto& [member, role] = chosen[part];
        if (!member) continue;
        raw.parts[part] = read_part(*member, role.mask, nodes, index, raw, count, several);
        if (names.empty()) names = member->shown;
    }
    if (index > 0 && count == 0)
        throw DataError(fmt::format("{}: {}, expected --split-index 0, found {}", raw.file,
                                    names.empty() ? "no split" : "one split (" + names + ")", index));
    raw.split_reason = count > 0 ? fmt::format("number {} of {} in {}{}", index, count, several,
                                               count > 1 ? "; others by --split-index" : "")
                                 : names;
    return "";
}

}  // namespace pdadmm
