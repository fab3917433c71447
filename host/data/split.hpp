// Which nodes are trained on, selected by and tested on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pdadmm/dataset.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

/// The split that `spec` describes:
///   stored                  what the file holds
///   paper                   the published code's: 20 nodes per class, then of the other nodes the first 1000 drawn are
///   test
///                           and the next 1000 validation, with its generator and its fixed seed 100; `seed` is not
///                           used
///   random:TRAIN/VAL/TEST   TRAIN nodes per class, then VAL and TEST of the others, by `seed`; TEST may be `rest`
///   random:A%/B%/C%         shares of the labelled nodes, whatever their class, by `seed`; at most six decimals, at
///   most 100 %
///                           in all (what is over is not used); C% may be `rest`
///   auto                    stored where there is one, else paper, else (a small graph) random:60%/20%/20%; `reason`
///                           of the result says why
/// Only labelled nodes are drawn; ids are in the order drawn. Throws UsageError where the spec is not one of these or
/// the graph has too few labelled nodes for it; DataError where it has none or one class only, or where the stored
/// split cannot be used (Dataset::split_fault).
Split make_split(const Dataset& dataset, const std::string& spec, std::uint64_t seed);

/// Train, validation and test nodes, one after the other.
std::vector<std::int32_t> nodes_in(const Split& split);

/// What is said where labels are needed and no node has one.
DataError no_labels(const Dataset& dataset);

/// Weights of classes by which each weighs the same in all training nodes: N / (classes among them * nodes of it), so
/// that the mean over nodes is 1; 1 for a class without any. `counts` are those of the training nodes of each class.
std::vector<double> balanced_weights(const std::vector<Index>& counts);
/// Nodes of each class.
std::vector<Index> class_counts(std::span<const std::int32_t> labels, Index classes);

/// "stored (number 0 of 10 in train_masks): 87 train, 59 val, 37 test".
std::string described(const Split& split);

/// What is legal but deserves a line of warning: classes without a training node, an empty validation or test part.
std::vector<std::string> split_warnings(const Dataset& dataset, const Split& split);

}  // namespace pdadmm
