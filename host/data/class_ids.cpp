// Numbering of classes (host/data/class_ids.hpp).
#include "host/data/class_ids.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t most_classes = std::size_t{1} << 20;
constexpr std::size_t most_ids = std::size_t{1} << 15;  // a model's metadata, at most 1 MiB, keeps them as text

/// The ids in use, ascending.
std::vector<std::int64_t> used_ids(const std::vector<Index>& labels, const std::string& file,
                                   const std::string& member) {
    std::unordered_set<std::int64_t> seen;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] == -1) continue;
        if (labels[i] < 0)
            throw DataError(fmt::format(
                "{}: {}: {} at node {}, expected a class from 0 up or -1 (unlabelled); if it means unlabelled, add "
                "--unlabelled {}",
                file, member, labels[i], i, labels[i]));
        if (seen.insert(labels[i]).second && seen.size() > most_classes)
            throw DataError(fmt::format("{}: {}: more than {} different values, expected a class each", file, member,
                                        most_classes));
    }
    std::vector<std::int64_t> ids(seen.begin(), seen.end());
    std::sort(ids.begin(), ids.end());
    return ids;
}

}  // namespace

ClassLabels number_classes(const std::vector<Index>& labels, std::optional<Index> classes, const std::string& file,
                           const std::string& member) {
    if (classes && (*classes < 2 || *classes > static_cast<Index>(most_classes)))
        throw DataError(fmt::format("{}: classes: {}, expected 2 to {}", file, *classes, most_classes));
    ClassLabels numbered;
    if (classes) {
        for (std::size_t i = 0; i < labels.size(); ++i)
            if (labels[i] < -1 || labels[i] >= *classes)
                throw DataError(fmt::format("{}: {}: {} at node {}, expected 0 to {} or -1 (unlabelled)", file, member,
                                            labels[i], i, *classes - 1));
        numbered.classes = *classes;
    } else {
        numbered.ids = used_ids(labels, file, member);
        numbered.classes = static_cast<Index>(numbered.ids.size());
        if (numbered.ids.empty() || numbered.ids.back() == numbered.classes - 1) numbered.ids.clear();
        if (numbered.ids.size() > most_ids)
            throw DataError(
                fmt::format("{}: {}: {} different values with gaps between them, expected at most {} then; "
                            "are they classes?",
                            file, member, numbered.ids.size(), most_ids));
    }
    for (const Index label : labels) {
        const auto at = std::lower_bound(numbered.ids.begin(), numbered.ids.end(), label);
        numbered.labels.push_back(
            static_cast<std::int32_t>(label < 0 || numbered.ids.empty() ? label : at - numbered.ids.begin()));
    }
    return numbered;
}

std::int64_t class_id(std::span<const std::int64_t> ids, Index class_number) {
    return ids.empty() ? class_number : ids[static_cast<std::size_t>(class_number)];
}

void use_class_ids(Dataset& dataset, std::span<const std::int64_t> ids, Index classes) {
    if (dataset.multi_label()) {
        if (dataset.classes != classes)
            throw DataError(
                fmt::format("{}: {} labels a node, expected the model's {}", dataset.name, dataset.classes, classes));
        return;
    }
    for (std::size_t i = 0; i < dataset.labels.size(); ++i) {
        std::int32_t& label = dataset.labels[i];
        if (label < 0) continue;
        const std::int64_t id = class_id(dataset.class_ids, label);
        const auto at = std::lower_bound(ids.begin(), ids.end(), id);
        const bool known = ids.empty() ? id < classes : at != ids.end() && *at == id;
        if (!known)
            throw DataError(fmt::format("{}: class {} at node {}, expected one of the model's {} classes", dataset.name,
                                        id, i, classes));
        label = static_cast<std::int32_t>(ids.empty() ? id : at - ids.begin());
    }
    dataset.class_ids.assign(ids.begin(), ids.end());
    dataset.classes = classes;
}

std::string class_ids_text(std::span<const std::int64_t> ids) { return fmt::format("{}", fmt::join(ids, ",")); }

std::optional<std::vector<std::int64_t>> parse_class_ids(std::string_view text) {
    std::vector<std::int64_t> ids;
    while (true) {
        std::int64_t id = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), id);
        if (error != std::errc{} || id < 0 || (!ids.empty() && id <= ids.back())) return std::nullopt;
        ids.push_back(id);
        text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
        if (text.empty()) return ids;
        if (text.front() != ',') return std::nullopt;
        text.remove_prefix(1);
    }
}

}  // namespace pdadmm
