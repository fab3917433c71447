// Classes by number, 0 to C-1, and what the user's file calls them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// Labels as classes, and the ids behind them.
struct ClassLabels {
    std::vector<std::int32_t> labels;  // -1: unlabelled
    Index classes = 0;
    std::vector<std::int64_t> ids;  // ascending; empty: class c is c
};

/// Classes of `labels`, where -1 means unlabelled. With `classes` the labels are 0 to classes - 1. Else they may be any
/// ids from 0 up: those in use become classes in ascending order, and a file without a labelled node has no class.
/// Throws DataError naming `file` and `member`: another negative label, one above `classes`, or too many classes.
ClassLabels number_classes(const std::vector<Index>& labels, std::optional<Index> classes, const std::string& file,
                           const std::string& member);

/// The user's id of a class.
std::int64_t class_id(std::span<const std::int64_t> ids, Index class_number);

/// Renumbers the classes of `dataset` as a model has them: class c is ids[c] (c itself where `ids` is empty), c from 0
/// to classes - 1. Throws DataError where a label is none of them, or where nodes have another number of labels.
void use_class_ids(Dataset& dataset, std::span<const std::int64_t> ids, Index classes);

/// "10,500,70000", and back: nothing where the text is not ascending whole numbers from 0 up.
std::string class_ids_text(std::span<const std::int64_t> ids);
std::optional<std::vector<std::int64_t>> parse_class_ids(std::string_view text);

}  // namespace pdadmm
