// pdadmm evaluate: how well a saved model predicts the labels of a graph.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/commands.hpp"
#include "host/cli/model_session.hpp"
#include "host/cli/parse.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/format/file.hpp"
#include "host/registry/registration.hpp"
#include "host/report/run_record.hpp"
#include "host/run/confusion_file.hpp"
#include "host/run/inference.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

struct Part {
    const char* name;
    std::vector<std::int32_t> nodes;
};

/// What is measured: the parts of a split, or on another graph than the model's, where none was asked for and none is
/// stored, all labelled nodes.
std::vector<Part> parts_of(const ModelOptions& o, const ModelSession& s) {
    const Dataset& d = s.dataset;
    const bool choose = o.split.empty() && !s.own_graph();
    if (choose && d.stored_split.train.empty()) {
        std::vector<std::int32_t> labelled;
        for (Index i = 0; i < d.nodes; ++i)
            if (d.labels[static_cast<std::size_t>(i)] >= 0) labelled.push_back(static_cast<std::int32_t>(i));
        if (labelled.empty()) throw no_labels(d);
        return {{"all", labelled}};
    }
    const Split split = choose ? d.stored_split : split_of(o, s);
    return {{"train", split.train}, {"val", split.val}, {"test", split.test}};
}

/// Logits of a part's nodes and what is true of them: every figure is made of these.
struct Predictions {
    std::vector<real> logits;
    std::vector<std::int32_t> labels;
    std::vector<std::uint8_t> targets;  // of several labels a node
};

std::vector<Predictions> predictions_of(const ModelSession& s, const std::vector<Part>& parts) {
    std::vector<Predictions> predictions(parts.size());
    std::vector<std::span<const std::int32_t>> nodes;
    for (const Part& part : parts) nodes.emplace_back(part.nodes);
    each_block(*s.backend, s.saved, s.dataset, nodes, s.layers(),
               [&](std::size_t part, std::span<const std::int32_t> block, const std::vector<real>& logits) {
                   Predictions& p = predictions[part];
                   p.logits.insert(p.logits.end(), logits.begin(), logits.end());
                   for (const std::int32_t node : block) {
                       p.labels.push_back(s.dataset.labels[static_cast<std::size_t>(node)]);
                       if (!s.dataset.multi_label()) continue;
                       const auto row = s.dataset.targets.begin() + node * s.classes();
                       p.targets.insert(p.targets.end(), row, row + s.classes());
                   }
               });
    return predictions;
}

struct PartFigures {
    std::string name;
    Index nodes = 0, correct = 0;
    std::vector<std::pair<Metric, double>> figures;
};

template <std::size_t n, typename Truth>
PartFigures figures_of(const char* part, const std::array<Metric, n>& metrics, Index classes, const Predictions& p,
                       const Truth& truth) {
    PartFigures f{part, static_cast<Index>(p.logits.size()) / classes, 0, {}};
    for (const Metric metric : metrics) f.figures.emplace_back(metric, measure(metric, classes, p.logits, truth));
    f.correct = f.nodes > 0 ? std::llround(f.figures.front().second * static_cast<double>(f.nodes)) : 0;
    return f;
}

PartFigures figures_of(const char* part, const ModelSession& s, const Predictions& p) {
    return s.saved.multi_label ? figures_of(part, label_metrics, s.classes(), p, std::span(p.targets))
                               : figures_of(part, all_metrics, s.classes(), p, std::span(p.labels));
}

std::string number(double value) { return std::isnan(value) ? "-" : fmt::format("{:.4f}", value); }

/// "test   0.8120  (812 of 1000 nodes)  macro-f1 0.8051  ...".
std::string line_of(const PartFigures& f) {
    std::string line =
        fmt::format("{:<5}  {}  ({} of {} nodes)", f.name, number(f.figures.front().second), f.correct, f.nodes);
    for (std::size_t m = 1; m < f.figures.size() && f.nodes > 0; ++m)
        line += fmt::format("  {} {}", name_of(f.figures[m].first), number(f.figures[m].second));
    return line + "\n";
}

/// Rows are classes, columns what was predicted.
std::string table_of(const SetConfusion& set, const Names& names) {
    const Index classes = set.confusion.classes();
    std::vector<std::string> heads;
    std::size_t first = 0, width = std::to_string(set.confusion.nodes()).size();
    for (Index c = 0; c < classes; ++c) {
        heads.push_back(printable(names.of(c), 12));
        first = std::max(first, heads.back().size());
        width = std::max(width, heads.back().size());
    }
    std::string text =
        fmt::format("\nconfusions of {} nodes (rows: labels; columns: predictions)\n{:<{}}", set.name, "", first);
    for (const std::string& head : heads) text += fmt::format("  {:>{}}", head, width);
    for (Index label = 0; label < classes; ++label) {
        text += fmt::format("\n{:<{}}", heads[static_cast<std::size_t>(label)], first);
        for (Index c = 0; c < classes; ++c) text += fmt::format("  {:>{}}", set.confusion.at(label, c), width);
    }
    return text + "\n";
}

nlohmann::json json_of(const PartFigures& f) {
    nlohmann::json json{{"nodes", f.nodes}, {"correct", f.correct}};
    for (const auto& [metric, value] : f.figures) json[name_of(metric)] = number_or_null(value);
    return json;
}

EvaluationEntry entry_of(const ModelOptions& o, const std::filesystem::path& model, const std::string& data_digest,
                         const std::vector<PartFigures>& parts) {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    EvaluationEntry entry{now.count(), o.dataset, data_digest, model.filename().string(), version_line(), {}};
    for (const PartFigures& part : parts)
        for (const auto& [metric, value] : part.figures)
            entry.figures[fmt::format("{} {}", part.name, name_of(metric))] = value;
    return entry;
}

}  // namespace

int evaluate_command(const std::vector<std::string>& arguments) {
    ModelOptions o;
    std::string confusion;
    bool json = false;
    const Command line{"pdadmm evaluate", "Accuracy, F1, ROC AUC and confusions of a saved model on a labelled graph",
                       "pdadmm evaluate --model runs/cora/seed-0 --dataset cora"};
    const Options own{{"--confusion",
                       &confusion,
                       "FILE.csv for the confusion matrices: set, class, numbers predicted",
                       {.named = true}},
                      {"--json", &json, "print all figures as JSON"}};
    const std::optional<Given> given = parse_options(line, joined({model_options(o), own}), arguments);
    if (!given) return 0;
    if (!confusion.empty() && !confusion.ends_with(".csv"))
        throw UsageError(fmt::format("--confusion: {}, expected a name ending in .csv", printable(confusion)));
    ModelSession s = open_session(o);
    const std::filesystem::path model = std::filesystem::absolute(s.file).lexically_normal();
    Registration registration(o.registry, [](const std::string& text) { put_note(text); });
    const bool entered = registration.has_registry(model.parent_path());
    const std::string data_digest = entered ? dataset_digest(s.dataset) : "";  // with the labels of the file
    take_classes_of_model(s);
    if (s.saved.multi_label && !confusion.empty())
        throw UsageError("--confusion: of a model of several labels a node, expected one class a node; leave it out");
    std::vector<PartFigures> measured;
    nlohmann::json all;
    const std::vector<Part> parts = parts_of(o, s);
    const std::vector<Predictions> predictions = predictions_of(s, parts);
    for (std::size_t part = 0; part < parts.size(); ++part) {
        const PartFigures f = figures_of(parts[part].name, s, predictions[part]);
        if (json)
            all[f.name] = json_of(f);
        else
            put_result(line_of(f));
        measured.push_back(f);
    }
    std::vector<SetConfusion> confusions;
    for (std::size_t part = 0; part < parts.size() && !s.saved.multi_label; ++part) {
        confusions.push_back({parts[part].name, Confusion(s.classes())});
        confusions.back().confusion.add(predictions[part].logits, predictions[part].labels);
    }
    if (entered) registration.enter_evaluation(model.parent_path(), entry_of(o, model, data_digest, measured));
    constexpr Index most_columns = 16;  // of a terminal
    if (!json && s.classes() <= most_columns && !confusions.empty() && confusions.back().confusion.nodes() > 0)
        put_result(table_of(confusions.back(), s.names));
    if (json) put_result(all.dump(2) + "\n");
    if (confusion.empty()) return 0;
    const std::string text = confusion_csv(confusions, s.names);
    write_file_atomically(confusion, std::as_bytes(std::span(text)));
    return 0;
}

}  // namespace pdadmm
