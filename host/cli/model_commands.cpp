// pdadmm evaluate and pdadmm predict: a saved model on the data set it was trained on, or on another graph.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "host/cli/backend_choice.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/parse.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"
#include "host/run/model_file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

struct ModelOptions {
    std::string model, dataset, split, out, nodes = "all";
    std::optional<std::uint64_t> split_seed;
    BackendChoice backend;
    bool probabilities = false;
};

Options model_options(ModelOptions& o) {
    const Options own{
        {"--model,-m", &o.model, "a run's folder, or a model file in it", {.required = true}},
        {"--dataset,-d", &o.dataset, "as in pdadmm train; any graph with the same features", {.required = true}},
        {"--split", &o.split,
         "as in pdadmm train; default: the model's, on another graph the one stored in it, else all labelled nodes"},
        {"--split-seed", &o.split_seed, "seed of a random split; default: the model's", {.range = from_zero}}};
    return joined({own, backend_options(o.backend, "Run")});
}

struct Loaded {
    std::unique_ptr<Backend> backend;
    SavedModel saved;
    Dataset dataset;
};

Loaded load(const ModelOptions& o) {
    const std::filesystem::path model = find_model(o.model);
    if (model != o.model) put_note(fmt::format("model: {}", printable_path(model)));
    Loaded loaded{make_backend(o.backend, [](const std::string& text) { put_note(text); }), read_model(model), {}};
    loaded.dataset = load_dataset(o.dataset, {loaded.saved.binary_features, {}, 0});
    const Index inputs = loaded.saved.model.shape.inputs,
                given = augmented_inputs(loaded.saved.augment, loaded.dataset.features.count);
    if (inputs != given)
        throw DataError(fmt::format(
            "{}: {} features make {} inputs, expected {} inputs for {}; use the data set's features the model was "
            "trained on",
            loaded.dataset.name, loaded.dataset.features.count, given, inputs, printable_path(o.model)));
    return loaded;
}

/// Logits (classes x nodes) of any number of nodes, augmenting so many at a time that X stays below about a gigabyte.
std::vector<real> logits_of(const Loaded& l, const std::vector<std::int32_t>& nodes) {
    constexpr Index most_bytes = Index{1} << 30;
    const Index chunk =
        std::max<Index>(256, most_bytes / (l.saved.model.shape.inputs * static_cast<Index>(sizeof(real))));
    std::vector<real> logits;
    for (std::size_t first = 0; first < nodes.size(); first += static_cast<std::size_t>(chunk)) {
        const std::vector<std::int32_t> part(
            nodes.begin() + static_cast<std::ptrdiff_t>(first),
            nodes.begin() +
                static_cast<std::ptrdiff_t>(std::min(nodes.size(), first + static_cast<std::size_t>(chunk))));
        const std::vector<real> X = augment(*l.backend, l.dataset, part, l.saved.augment);
        const std::vector<real> some = predict_logits(*l.backend, l.saved.model, X, static_cast<Index>(part.size()));
        logits.insert(logits.end(), some.begin(), some.end());
    }
    return logits;
}

/// What the model's file says of `key`.
std::string note_of(const Loaded& l, const char* key, const char* otherwise) {
    const auto found = l.saved.notes.find(key);
    return found == l.saved.notes.end() ? std::string(otherwise) : found->second;
}

/// The split that was asked for, else the one that the model was trained with.
Split split_of(const ModelOptions& o, const Loaded& l) {
    std::uint64_t seed = 0;
    const std::string trained = note_of(l, "split_seed", "0");
    std::from_chars(trained.data(), trained.data() + trained.size(), seed);
    return make_split(l.dataset, o.split.empty() ? note_of(l, "split", "auto") : o.split, o.split_seed.value_or(seed));
}

/// What evaluate measures on: the parts of a split, or on another graph than the model's, where none was asked for and
/// none is stored, all labelled nodes.
std::vector<std::pair<const char*, std::vector<std::int32_t>>> parts_of(const ModelOptions& o, const Loaded& l) {
    const bool own = l.dataset.name == note_of(l, "dataset", "");
    if (o.split.empty() && !own && l.dataset.stored_split.train.empty()) {
        std::vector<std::int32_t> labelled;
        for (Index i = 0; i < l.dataset.nodes; ++i)
            if (l.dataset.labels[static_cast<std::size_t>(i)] >= 0) labelled.push_back(static_cast<std::int32_t>(i));
        if (labelled.empty()) throw no_labels(l.dataset);
        return {{"all", labelled}};
    }
    const Split split = o.split.empty() && !own ? l.dataset.stored_split : split_of(o, l);
    return {{"train", split.train}, {"val", split.val}, {"test", split.test}};
}

std::int32_t largest(const real* logits, Index classes) {
    return static_cast<std::int32_t>(std::max_element(logits, logits + classes) - logits);
}

std::vector<std::int32_t> wanted_nodes(const ModelOptions& o, const Loaded& l) {
    if (o.nodes == "all") {
        std::vector<std::int32_t> all(static_cast<std::size_t>(l.dataset.nodes));
        std::iota(all.begin(), all.end(), 0);
        return all;
    }
    const Split split = split_of(o, l);
    return o.nodes == "train" ? split.train : o.nodes == "val" ? split.val : split.test;
}

std::string csv(const std::vector<std::int32_t>& nodes, const std::vector<real>& logits, Index classes,
                bool probabilities) {
    std::string text = "node,class";
    if (probabilities)
        for (Index c = 0; c < classes; ++c) text += fmt::format(",p{}", c);
    text += "\n";
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const real* z = logits.data() + static_cast<Index>(i) * classes;
        const std::int32_t best = largest(z, classes);
        text += fmt::format("{},{}", nodes[i], best);
        if (probabilities) {
            double sum = 0;
            for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(z[c] - z[best]));
            for (Index c = 0; c < classes; ++c)
                text += fmt::format(",{:.6g}", std::exp(static_cast<double>(z[c] - z[best])) / sum);
        }
        text += "\n";
    }
    return text;
}

}  // namespace

int evaluate_command(const std::vector<std::string>& arguments) {
    ModelOptions o;
    const Command line{"pdadmm evaluate", "Accuracy of a saved model on a labelled graph",
                       "pdadmm evaluate --model runs/cora/seed-0 --dataset cora"};
    if (!parse_options(line, model_options(o), arguments)) return 0;
    const Loaded l = load(o);
    const Index classes = l.saved.model.shape.classes;
    if (classes < l.dataset.classes)
        throw DataError(fmt::format("{}: {} classes, expected at most {} as in {}", l.dataset.name, l.dataset.classes,
                                    classes, printable_path(o.model)));
    for (const auto& [name, nodes] : parts_of(o, l)) {
        const std::vector<real> logits = logits_of(l, nodes);
        Index correct = 0;
        for (std::size_t i = 0; i < nodes.size(); ++i)
            correct += largest(logits.data() + static_cast<Index>(i) * classes, classes) ==
                       l.dataset.labels[static_cast<std::size_t>(nodes[i])];
        const std::string accuracy =
            nodes.empty() ? "-"
                          : fmt::format("{:.4f}", static_cast<double>(correct) / static_cast<double>(nodes.size()));
        put_result(fmt::format("{:<5}  {}  ({} of {} nodes)\n", name, accuracy, correct, nodes.size()));
    }
    return 0;
}

int predict_command(const std::vector<std::string>& arguments) {
    ModelOptions o;
    const Command line{"pdadmm predict",
                       "Classes of nodes by a saved model, on any graph with the same features, labelled or not",
                       "pdadmm predict --model runs/cora/seed-0 --dataset new.npz --out classes.csv"};
    const Options own{{"--nodes", &o.nodes, "which nodes", {.choices = {"all", "train", "val", "test"}}},
                      {"--out,-o", &o.out, "FILE.csv (node,class) or FILE.npy (classes as int64, shape (nodes, 1))"},
                      {"--probabilities", &o.probabilities, "CSV: add a column of probability for each class"}};
    if (!parse_options(line, joined({model_options(o), own}), arguments)) return 0;
    const bool npy = o.out.ends_with(".npy");
    if (!o.out.empty() && !npy && !o.out.ends_with(".csv"))
        throw UsageError(fmt::format("--out: {}, expected a name ending in .csv or .npy", printable(o.out)));
    const Loaded l = load(o);
    const std::vector<std::int32_t> nodes = wanted_nodes(o, l);
    const std::vector<real> logits = logits_of(l, nodes);
    const Index classes = l.saved.model.shape.classes;
    if (npy) {
        std::vector<std::int64_t> labels;
        for (std::size_t i = 0; i < nodes.size(); ++i)
            labels.push_back(largest(logits.data() + static_cast<Index>(i) * classes, classes));
        write_file_atomically(
            o.out, format_npy(std::span<const std::int64_t>(labels), {static_cast<Index>(labels.size()), 1}));
        return 0;
    }
    const std::string text = csv(nodes, logits, classes, o.probabilities);
    if (!o.out.empty()) {
        write_file_atomically(o.out, std::as_bytes(std::span(text)));
    } else {
        put_result(text);
    }
    return 0;
}

}  // namespace pdadmm
