// What pdadmm evaluate and pdadmm predict share: a saved model, a graph, and the nodes that are meant.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "host/cli/backend_choice.hpp"
#include "host/cli/option.hpp"
#include "host/run/model_file.hpp"

namespace pdadmm {

struct ModelOptions {
    std::string model, dataset, split, unlabelled, registry;
    std::optional<std::uint64_t> split_seed, split_index;
    BackendChoice backend;
};

Options model_options(ModelOptions& options);

struct ModelSession {
    std::unique_ptr<Backend> backend;
    std::string file;  // of the model
    SavedModel saved;
    Dataset dataset;
    Names names;  // what predictions call classes

    Index classes() const { return saved.model.shape.classes; }
    int layers() const { return saved.model.shape.layers; }
    /// What the model's file says of `key`.
    std::string note(const char* key, const char* otherwise) const;
    /// A number from 0 that it gives as text; 0 where it gives none.
    std::uint64_t number(const char* key) const;
    /// The graph goes by the name of the one that the model was trained on.
    bool own_graph() const { return dataset.name == note("dataset", ""); }
};

ModelSession open_session(const ModelOptions& options);

/// Gives the graph's labels the model's numbers, where both name their classes. Throws DataError where a label's name
/// is none of the model's.
void take_classes_of_model(ModelSession& session);

/// The split that was asked for, else the one that the model was trained with.
Split split_of(const ModelOptions& options, const ModelSession& session);

}  // namespace pdadmm
