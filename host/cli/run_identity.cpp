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

nlohmann::json run_identity(const OptionTexts& options, const std::string& digest, const Split& split,
                            const AugmentedNodes& nodes, const Backend& backend) {
    nlohmann::json identity;
    for (const auto& [key, value] : options) identity[key] = value;
    identity["data_digest"] = digest;
    identity["split_digest"] =
        digest_hex(std::as_bytes(std::span(nodes.labels))) + digest_hex(std::as_bytes(std::span(split.train)));
    identity["backend"] = backend.name();
    identity["precision"] = static_cast<int>(sizeof(real));
    identity["product_kernels"] = backend.product_kernels();
    return identity;
}

SavedModel model_template(const TrainOptions& o, const Dataset& dataset, std::uint64_t seed) {
    return {{},
            augment_options(o),
            o.binary_features,
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
    if (o.class_weights == "balanced") nodes.class_weights = balanced_weights(training_labels(nodes), nodes.classes);
}

void require_defined(Metric metric, const AugmentedNodes& nodes) {
    const auto train = static_cast<std::size_t>(nodes.counts[0]), val = static_cast<std::size_t>(nodes.counts[1]);
    if (val == 0) return;
    const std::vector<real> logits(val * static_cast<std::size_t>(nodes.classes));
    if (std::isnan(measure(metric, nodes.classes, logits, std::span(nodes.labels).subspan(train, val))))
        throw UsageError(fmt::format(
            "--metric: {} of validation nodes that are of one class, expected some of others; use accuracy or another "
            "split",
            name_of(metric)));
}

RunSettings run_settings(const TrainArguments& arguments, const SolverOptions& solver, std::uint64_t seed,
                         const nlohmann::json& identity, const SavedModel& model, const AugmentedNodes& nodes) {
    RunSettings s;
    s.solver = solver;
    s.solver.seed = seed;
    s.identity = identity;
    s.identity["seed"] = seed;
    for (const auto& [key, value] : later_options()) s.unrecorded[key] = value;
    s.extending = extending_options();
    s.model_template = model;
    s.nodes = &nodes;
    s.config_toml = config_toml(arguments, {seed});
    s.program = version_line();
    return s;
}

}  // namespace pdadmm
