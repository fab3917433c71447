// Loading of a model and a graph (host/cli/model_session.hpp).
#include "host/cli/model_session.hpp"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "host/cli/train_options.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/class_ids.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/registry/best.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

void take_classes_of_model(ModelSession& session) {
    Dataset& dataset = session.dataset;
    const Names &theirs = dataset.class_names, &ours = session.saved.class_names;
    const bool several = session.saved.multi_label;
    if (dataset.classes > 0 && dataset.multi_label() != several)
        throw DataError(fmt::format("{}: {} a node, expected {}, as the model has", dataset.name,
                                    several ? "one class" : "several labels",
                                    several ? "several labels" : "one class"));
    if (several && !ours.empty() && !theirs.empty() && ours != theirs)
        throw DataError(
            fmt::format("{}: class_names: others than the model's, expected its labels in its order", dataset.name));
    if (ours.empty() || theirs.empty() || ours == theirs)
        return use_class_ids(dataset, session.saved.class_ids, session.classes());
    std::vector<std::optional<Index>> places;  // of their classes among ours
    for (Index c = 0; c < static_cast<Index>(theirs.size()); ++c) places.push_back(ours.find(theirs.of(c)));
    for (std::size_t i = 0; i < dataset.labels.size(); ++i) {
        std::int32_t& label = dataset.labels[i];
        if (label < 0) continue;
        const std::optional<Index> found = places[static_cast<std::size_t>(label)];
        if (!found)
            throw DataError(fmt::format("{}: class {} at node {}, expected one of the model's {} classes", dataset.name,
                                        printable(theirs.of(label)), i, ours.size()));
        label = static_cast<std::int32_t>(*found);
    }
    dataset.class_names = ours;
    dataset.classes = session.classes();
}

Options model_options(ModelOptions& o) {
    const Options own{
        {"--model,-m",
         &o.model,
         "a run's folder, or a model file in it; best:DATASET, the best run of the registry",
         {.named = true, .required = true}},
        {"--dataset,-d",
         &o.dataset,
         "as in pdadmm train; any graph with the same features",
         {.named = true, .required = true}},
        {"--split", &o.split,
         "as in pdadmm train; default: the model's, on another graph the one stored in it, else all labelled nodes"},
        {"--split-seed", &o.split_seed, "seed of a random split; default: the model's", {.range = from_zero}},
        {"--split-index", &o.split_index, "as in pdadmm train; default: the model's", {.range = from_zero}},
        {"--unlabelled", &o.unlabelled, "as in pdadmm train; default: the model's"},
        {"--registry",
         &o.registry,
         "file that lists runs, for best:DATASET (default: runs/registry.sqlite, else registry.sqlite)",
         {.named = true}}};
    return joined({own, backend_options(o.backend, "Run")});
}

std::string ModelSession::note(const char* key, const char* otherwise) const {
    const auto found = saved.notes.find(key);
    return found == saved.notes.end() ? std::string(otherwise) : found->second;
}

std::uint64_t ModelSession::number(const char* key) const {
    std::uint64_t number = 0;
    const std::string text = note(key, "0");
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

namespace {

/// What --model names: a path, or best:DATASET.
std::filesystem::path named_model(const ModelOptions& o) {
    constexpr std::string_view best = "best:";
    if (!o.model.starts_with(best)) return find_model(o.model);
    RunRegistry registry = open_fresh(find_registry(o.registry == "off" ? "" : o.registry));
    return find_model(best_run(registry, o.model.substr(best.size())).folder);
}

}  // namespace

ModelSession open_session(const ModelOptions& o) {
    const std::filesystem::path model = named_model(o);
    if (model != o.model) put_note(fmt::format("model: {}", printable_path(model)));
    ModelSession s{make_backend(o.backend, [](const std::string& text) { put_note(text); }),
                   model.string(),
                   read_model(model.string()),
                   {},
                   {}};
    s.names = s.saved.names();
    s.dataset =
        load_dataset(o.dataset, {s.saved.binary_features,
                                 {},
                                 0,
                                 static_cast<Index>(o.split_index.value_or(s.number("split_index"))),
                                 unlabelled_label(o.unlabelled.empty() ? s.note("unlabelled", "-1") : o.unlabelled)});
    for (const std::string& text : s.dataset.notes) put_note(fmt::format("{}: {}", s.dataset.name, text));
    return s;
}

Split split_of(const ModelOptions& o, const ModelSession& session) {
    return make_split(session.dataset, o.split.empty() ? session.note("split", "auto") : o.split,
                      o.split_seed.value_or(session.number("split_seed")));
}

}  // namespace pdadmm
