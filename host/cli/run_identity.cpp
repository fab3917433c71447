// Identity of runs (host/cli/run_identity.hpp).
#include "host/cli/run_identity.hpp"

#include <fmt/format.h>

#include <cmath>
#include <span>

#include "host/cli/commands.hpp"
#include "host/data/split.hpp"
#include "host/format/digest.hpp"
#include "host/train/metric.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

std::span<const std::int32_t> training_labels(const AugmentedNodes& nodes) {
    return std::span(nodes.labels).first(static_cast<std::size_t>(nodes.counts[0]));
}

}  // namespace

std::string split_digest(const AugmentedNodes& nodes, const Split& split) {
    return digest_hex(std::as_bytes(std::span(nodes.labels))) + digest_hex(std::as_bytes(std::span(split.train)));
}

nlohmann::json run_identity(const OptionTexts& options, const std::string& digest, const std::string& split,
                            bool multi_label, const Backend& backend) {
    nlohmann::json identity;
    for (const auto& [key, value] : options) identity[key] = value;
    identity["data_digest"] = digest;
    if (multi_label) identity["task"] = "several labels a node";
    identity["split_digest"] = split;
    identity["backend"] = backend.name();
    identity["precision"] = static_cast<int>(sizeof(real));
    identity["product_kernels"] = backend.product_kernels();
    return identity;
}

SavedModel model_template(const TrainOptions& o, const Dataset& dataset, std::uint64_t seed) {
    return {{},
            augment_options(o),
            o.binary_features,
            dataset.multi_label(),
            {{"dataset", dataset.name},
             {"classes", std::to_string(dataset.classes)},
             {"split", o.split},
             {"split_index", std::to_string(split_number(o, seed))},
             {"unlabelled", o.unlabelled},
             {"split_seed", std::to_string(o.split_seed)}},
            dataset.class_ids,
            dataset.class_names};
}

void weigh_classes(const TrainOptions& o, AugmentedNodes& nodes) {
    if (o.class_weights == "balanced")
        nodes.class_weights = balanced_weights(class_counts(training_labels(nodes), nodes.classes));
}

std::string graph_line(const Dataset& d, const Split& split) {
    return fmt::format("{}: {} nodes, {} {}, {} features; split {}", d.name, d.nodes, d.classes,
                       d.multi_label() ? "labels (several a node)" : "classes", d.features.count, described(split));
}

void fit_task(const TrainOptions& o, const Dataset& dataset, SolverOptions& solver) {
    if (dataset.multi_label() && o.class_weights != "none")
        throw UsageError(fmt::format(
            "--class-weights: {} with several labels a node, expected none; a node has no class", o.class_weights));
    if (solver.metric == Metric::automatic) solver.metric = dataset.multi_label() ? Metric::micro_f1 : Metric::accuracy;
}

void require_defined(Metric metric, const AugmentedNodes& nodes) {
    const auto train = static_cast<std::size_t>(nodes.counts[0]), val = static_cast<std::size_t>(nodes.counts[1]),
               width = static_cast<std::size_t>(nodes.classes);
    const bool of_ranks = metric == Metric::roc_auc || metric == Metric::average_precision;
    if (val == 0 || metric == Metric::accuracy || (!nodes.multi_label() && !of_ranks)) return;  // defined of any node
    const std::vector<real> logits(val * width);
    const double found =
        nodes.multi_label()
            ? measure(metric, nodes.classes, logits, std::span(nodes.targets).subspan(train * width, val * width))
            : measure(metric, nodes.classes, logits, std::span(nodes.labels).subspan(train, val));
    if (std::isnan(found))
        throw UsageError(
            fmt::format("--metric: {} of validation nodes {}, expected some {}; use accuracy or another split",
                        name_of(metric), nodes.multi_label() ? "without any label" : "that are of one class",
                        nodes.multi_label() ? "with labels" : "of others"));
}

RunSettings run_settings(const TrainArguments& arguments, const SolverOptions& solver, std::uint64_t seed,
                         const nlohmann::json& identity, const SavedModel& model, const AugmentedNodes& nodes) {
    RunSettings s;
    s.solver = solver;
    s.solver.seed = seed;
    s.identity = identity;
    s.identity["seed"] = seed;
    for (const auto& [key, value] : later_options()) s.unrecorded[key] = value;
    s.extending = extending_options(arguments.options);
    s.model_template = model;
    s.nodes = &nodes;
    s.config_toml = config_toml(arguments, {seed});
    s.program = version_line();
    return s;
}

}  // namespace pdadmm
