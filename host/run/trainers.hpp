// The ways of training by name, and what each takes of ranks and memory.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/train/trainer.hpp"

namespace pdadmm {

/// What a rank's trainer needs of the nodes: labels and, where the first layer is, features; or its part of both.
NodeData rank_data(Backend& backend, const AugmentedNodes& nodes, const SolverOptions& options, int rank, int ranks);

/// The trainer that `options.optimizer` names. `data` is that of rank_data(). Throws UsageError on options that
/// contradict each other, DeviceError where memory is short.
std::unique_ptr<Trainer> make_trainer(Backend& backend, const NodeData& data, const SolverOptions& options,
                                      RankLinks links = {});

/// Bytes of backend memory that its run takes at most at once: a growth stage's network with the one it grows from,
/// evaluation, and copies of the weights that are written; on one of `ranks` ranks.
std::size_t training_bytes(const Backend& backend, const NodeData& data, const SolverOptions& options, int rank = 0,
                           int ranks = 1);

/// The same of every one of `ranks` ranks.
std::vector<std::size_t> memory_of_ranks(const Backend& backend, const NodeData& data, const SolverOptions& options,
                                         int ranks);

/// Bytes that an iteration of a network of `shape` sends over a border between two layers, in both directions.
std::uint64_t border_bytes(const SolverOptions& options, const NetworkShape& shape);

/// Flops of all products and factorisations of a training, by count, where no stage ends early; its evaluations are not
/// in it.
double training_flops(const SolverOptions& options, const NodeData& data);

/// What each of `ranks` ranks holds of a network of `shape`, and needs of memory, as a table, with where they are if
/// there are `places`. `costs` are those that layers are placed by.
std::string rank_table(const SolverOptions& options, const NetworkShape& shape, int ranks, const CostModel& costs,
                       std::span<const std::size_t> memory, std::span<const RankPlace> places = {});

}  // namespace pdadmm
