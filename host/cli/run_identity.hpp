// What a run records of the options, the data and the program, so that it can be told from others and resumed.
#pragma once

#include <cstdint>
#include <string>

#include "host/cli/train_arguments.hpp"
#include "host/run/training_run.hpp"
#include "pdadmm/backend.hpp"

namespace pdadmm {

/// Everything that decides a run's result, but for its seed. `digest` is the data set's.
nlohmann::json run_identity(const OptionTexts& options, const std::string& digest, const std::string& split,
                            bool multi_label, const Backend& backend);
/// Of the nodes of a split and their labels; `nodes` need no X.
std::string split_digest(const AugmentedNodes& nodes, const Split& split);

/// "cora: 2708 nodes, 7 classes, 1433 features; split stored: 140 train, 500 val, 1000 test".
std::string graph_line(const Dataset& dataset, const Split& split);

/// Gives --metric auto its meaning by whether nodes have several labels. Throws UsageError where an option has none.
void fit_task(const TrainOptions& options, const Dataset& dataset, SolverOptions& solver);

/// What the model files of a run with this seed say beside the weights.
SavedModel model_template(const TrainOptions& options, const Dataset& dataset, std::uint64_t seed);

/// Weights of classes by --class-weights.
void weigh_classes(const TrainOptions& options, AugmentedNodes& nodes);

/// Throws UsageError where the validation nodes leave the metric undefined, whatever is predicted of them.
void require_defined(Metric metric, const AugmentedNodes& nodes);

/// The settings of a run with this seed: its options, identity and configuration; its folder and course are left to the
/// caller.
RunSettings run_settings(const TrainArguments& arguments, const SolverOptions& solver, std::uint64_t seed,
                         const nlohmann::json& identity, const SavedModel& model, const AugmentedNodes& nodes);

}  // namespace pdadmm
