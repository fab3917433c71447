// Checks of label matrices (host/data/label_matrix.hpp).
#include "host/data/label_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

enum class Entry { no, yes, unknown, other };

Entry entry_of(float value, std::optional<Index> unlabelled) {
    if (value == 0) return Entry::no;
    if (value == 1) return Entry::yes;
    const bool unknown = std::isnan(value) || value == -1 || (unlabelled && value == static_cast<float>(*unlabelled));
    return unknown ? Entry::unknown : Entry::other;
}

}  // namespace

void read_label_matrix(const NpyArray& a, std::optional<Index> unlabelled, RawGraph& raw) {
    const Index width = a.shape[1];
    if (raw.classes && *raw.classes != width)
        throw DataError(
            fmt::format("{}: {} columns, expected {}, one a label (classes says so)", a.name, width, *raw.classes));
    const std::vector<float> values = a.as_float();
    std::vector<Index> labels;
    std::vector<std::uint8_t> targets;
    targets.reserve(values.size());
    bool one_hot = true;
    for (auto row = std::span(values); !row.empty(); row = row.subspan(static_cast<std::size_t>(width))) {
        Index ones = 0, unknown = 0;
        for (Index c = 0; c < width; ++c) {
            const Entry entry = entry_of(row[static_cast<std::size_t>(c)], unlabelled);
            if (entry == Entry::other)
                throw DataError(
                    fmt::format("{}: {} for label {} of node {}, expected 0 or 1; one class a node is an "
                                "array of one column",
                                a.name, row[static_cast<std::size_t>(c)], c, labels.size()));
            ones += entry == Entry::yes ? 1 : 0;
            unknown += entry == Entry::unknown ? 1 : 0;
            targets.push_back(entry == Entry::yes ? 1 : 0);
        }
        if (unknown > 0 && unknown < width)
            throw DataError(fmt::format("{}: {} of {} labels of node {} are unknown, expected all or none", a.name,
                                        unknown, width, labels.size()));
        one_hot = one_hot && (unknown > 0 || ones == 1);
        labels.push_back(unknown > 0 ? -1 : 0);
    }
    if (one_hot && std::ranges::find(labels, Index{0}) != labels.end())
        throw DataError(fmt::format(
            "{}: {} columns, expected one class a node; they are one-hot: save labels.argmax(axis=1)", a.name, width));
    raw.labels = std::move(labels);
    raw.targets = std::move(targets);
    raw.classes = width;
}

}  // namespace pdadmm
