// Models as safetensors files with the names a PyTorch user would guess: layers.0.weight (out, in), layers.0.bias
// (out).
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "host/data/augmentation.hpp"
#include "host/format/safetensors.hpp"
#include "host/train/evaluation.hpp"

namespace pdadmm {

/// A model and how its inputs are made.
struct SavedModel {
    Model model;
    AugmentOptions augment;
    bool binary_features = false;
    bool multi_label = false;  // logits are of labels, each by itself; else of classes, of which a node has one
    std::map<std::string, std::string> notes;  // data set, seed, epoch, accuracies: for people
    std::vector<std::int64_t> class_ids{};     // what the user's file calls each class, ascending; empty: 0, 1, ...
    Names class_names{};                       // where the file names classes: as in Dataset

    /// What predictions call classes.
    Names names() const { return class_names.empty() ? Names{class_ids, {}} : class_names; }
};

SafetensorsFile to_safetensors(const SavedModel& saved);
/// Throws DataError naming the file and what does not fit (names, shapes, metadata, non-finite weights).
SavedModel from_safetensors(const SafetensorsFile& file);
SavedModel read_model(const std::string& path);

/// The model that `path` names: a file, or of a run's folder its best one, and where no validation nodes chose that,
/// its final one. Throws DataError where the folder holds none, or several seeds' runs, which are then named.
std::filesystem::path find_model(const std::filesystem::path& path);

/// Column-major (rows x cols) as a row-major tensor of the same shape, and back.
Tensor row_major_tensor(const std::string& name, Index rows, Index cols, const std::vector<real>& column_major);
std::vector<real> column_major_values(const Tensor& tensor);

}  // namespace pdadmm
