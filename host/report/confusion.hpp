// Accuracy by class of a run: its confusion.csv (host/run/confusion_file.hpp) read back and shown.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

/// counts[label][prediction] of the nodes of one set.
struct ConfusionCounts {
    std::vector<std::string> classes;
    std::vector<std::vector<double>> counts;
};

/// The part of `csv` about `set` ("train", "val" or "test"); without classes where it has none, or is not such a file.
ConfusionCounts read_confusion(const std::string& csv, const std::string& set);

/// Adds b's counts to a's, an empty one included; false, and nothing added, where their classes differ.
bool add(ConfusionCounts& a, const ConfusionCounts& b);

/// A table of classes, and of up to 20 of them the matrix; "" of no nodes. `title` says which nodes they are.
std::string section_of(const ConfusionCounts& confusion, const std::string& title);

}  // namespace pdadmm
