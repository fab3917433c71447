// Loading of a model and a graph (host/cli/model_session.hpp).
#include "host/cli/model_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

void take_classes_of_model(ModelSession& session) {
    Dataset& dataset = session.dataset;
    const Names &theirs = dataset.class_names, &ours = session.saved.class_names;
    if (ours.empty() || theirs.empty() || ours == theirs) return;
    for (std::size_t i = 0; i < dataset.labels.size(); ++i) {
        std::int32_t& label = dataset.labels[i];
        if (label < 0) continue;
        const std::string name = theirs.of(label);
        const auto found = ours.find(name);
        if (!found)
            throw DataError(fmt::format("{}: class {} at node {}, expected one of the model's {} classes", dataset.name,
                                        printable(name), i, ours.size()));
        label = static_cast<std::int32_t>(*found);
    }
    dataset.class_names = ours;
    dataset.classes = session.classes();
}

Options model_options(ModelOptions& o) {
    const Options own{
        {"--model,-m", &o.model, "a run's folder, or a model file in it", {.required = true}},
        {"--dataset,-d", &o.dataset, "as in pdadmm train; any graph with the same features", {.required = true}},
        {"--split", &o.split,
         "as in pdadmm train; default: the model's, on another graph the one stored in it, else all labelled nodes"},
        {"--split-seed", &o.split_seed, "seed of a random split; default: the model's", {.range = from_zero}}};
    return joined({own, backend_options(o.backend, "Run")});
}

std::string ModelSession::note(const char* key, const char* otherwise) const {
    const auto found = saved.notes.find(key);
    return found == saved.notes.end() ? std::string(otherwise) : found->second;
}

ModelSession open_session(const ModelOptions& o) {
    const std::filesystem::path model = find_model(o.model);
    if (model != o.model) put_note(fmt::format("model: {}", printable_path(model)));
    ModelSession session{
        make_backend(o.backend, [](const std::string& text) { put_note(text); }), read_model(model), {}};
    session.dataset = load_dataset(o.dataset, {session.saved.binary_features, {}, 0});
    return session;
}

Split split_of(const ModelOptions& o, const ModelSession& session) {
    std::uint64_t seed = 0;
    const std::string trained = session.note("split_seed", "0");
    std::from_chars(trained.data(), trained.data() + trained.size(), seed);
    return make_split(session.dataset, o.split.empty() ? session.note("split", "auto") : o.split,
                      o.split_seed.value_or(seed));
}

}  // namespace pdadmm
