// Writing and checking of model files (host/run/model_file.hpp).
#include "host/run/model_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "host/console/printable.hpp"
#include "host/data/class_ids.hpp"
#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

constexpr const char *format_name = "pdadmm model 1", *names_key = "class_names", *task_key = "task";
constexpr std::size_t most_names = std::size_t{1}
                                   << 19;  // bytes; a header has bounds, and more names would serve nobody
const std::vector<std::string> norms{"sym", "row", "none"}, loops{"add", "keep", "none"},
    feature_norms{"none", "row", "l2"}, tasks{"one class a node", "several labels a node"};

std::string weight_name(std::size_t k) { return fmt::format("layers.{}.weight", k); }
std::string bias_name(std::size_t k) { return fmt::format("layers.{}.bias", k); }

std::vector<real> reals(const Tensor& tensor) {
    const std::vector<double> wide = tensor.as_double();
    for (const double v : wide)
        if (!std::isfinite(v))
            throw DataError(fmt::format("{}: {} is not finite, expected numbers", tensor.file, printable(tensor.name)));
    return {wide.begin(), wide.end()};
}

std::string text_of(const Names& names) {
    if (names.empty()) return "";
    return names.texts.empty() ? nlohmann::json(names.numbers).dump() : nlohmann::json(names.texts).dump();
}

Names names_of(const SafetensorsFile& file, const std::string& text) {
    Names names;
    try {
        const nlohmann::json list = nlohmann::json::parse(text);
        const bool numbers = !list.empty() && list.at(0).is_number_integer();
        if (numbers)
            list.get_to(names.numbers);
        else
            list.get_to(names.texts);
    } catch (const nlohmann::json::exception&) {
        throw DataError(
            fmt::format("{}: {} is {}, expected a list of numbers or of texts", file.name, names_key, printable(text)));
    }
    return names;
}

/// The best or else the final model in a run's folder; empty where there is neither.
fs::path model_in(const fs::path& folder) {
    std::error_code ignored;
    for (const char* name : {"model-best.safetensors", "model-final.safetensors"})
        if (fs::exists(folder / name, ignored)) return folder / name;
    return {};
}

int choice(const SafetensorsFile& file, const std::string& key, const std::vector<std::string>& names) {
    const auto entry = file.metadata.find(key);
    const std::string value = entry == file.metadata.end() ? "missing" : entry->second;
    const auto found = std::find(names.begin(), names.end(), value);
    if (found == names.end())
        throw DataError(
            fmt::format("{}: {} is {}, expected one of {}", file.name, key, printable(value), fmt::join(names, ", ")));
    return static_cast<int>(found - names.begin());
}

/// Models that are older than the entry have gcn.
AugmentOperators operators_of(const SafetensorsFile& file) {
    const auto entry = file.metadata.find("augment");
    try {
        return entry == file.metadata.end() ? AugmentOptions{}.operators : parse_operators("augment", entry->second);
    } catch (const UsageError& error) {
        throw DataError(fmt::format("{}: {}", file.name, error.what()));
    }
}

}  // namespace

Tensor row_major_tensor(const std::string& name, Index rows, Index cols, const std::vector<real>& column_major) {
    std::vector<real> values(column_major.size());
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j)
            values[static_cast<std::size_t>(i * cols + j)] = column_major[static_cast<std::size_t>(j * rows + i)];
    return Tensor::of(name, cols == 1 ? std::vector<Index>{rows} : std::vector<Index>{rows, cols},
                      std::span<const real>(values));
}

std::vector<real> column_major_values(const Tensor& tensor) {
    const std::vector<real> values = reals(tensor);
    const Index rows = tensor.shape.empty() ? 1 : tensor.shape[0], cols = tensor.shape.size() > 1 ? tensor.shape[1] : 1;
    std::vector<real> result(values.size());
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j)
            result[static_cast<std::size_t>(j * rows + i)] = values[static_cast<std::size_t>(i * cols + j)];
    return result;
}

SafetensorsFile to_safetensors(const SavedModel& saved) {
    SafetensorsFile file;
    file.metadata = saved.notes;
    file.metadata["format"] = format_name;
    file.metadata["hops"] = std::to_string(saved.augment.hops);
    file.metadata["augment"] = to_string(saved.augment.operators);
    file.metadata["norm"] = norms[static_cast<std::size_t>(saved.augment.graph.norm)];
    file.metadata["self_loops"] = loops[static_cast<std::size_t>(saved.augment.graph.self_loops)];
    file.metadata["feature_norm"] = feature_norms[static_cast<std::size_t>(saved.augment.feature_norm)];
    file.metadata["directed"] = saved.augment.graph.directed ? "true" : "false";
    file.metadata["binary_features"] = saved.binary_features ? "true" : "false";
    file.metadata[task_key] = tasks[saved.multi_label ? 1 : 0];
    if (const std::string names = text_of(saved.class_names); !names.empty() && names.size() <= most_names)
        file.metadata[names_key] = names;
    if (!saved.class_ids.empty()) file.metadata["class_ids"] = class_ids_text(saved.class_ids);
    const NetworkShape& shape = saved.model.shape;
    for (int layer = 1; layer <= shape.layers; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        file.tensors.push_back(
            row_major_tensor(weight_name(k), shape.rows(layer), shape.cols(layer), saved.model.W[k]));
        file.tensors.push_back(row_major_tensor(bias_name(k), shape.rows(layer), 1, saved.model.b[k]));
    }
    return file;
}

SavedModel from_safetensors(const SafetensorsFile& file) {
    const auto wrong = [&](const std::string& found) {
        return DataError(fmt::format("{}: {}, expected a model written by pdadmm train", file.name, found));
    };
    if (const auto format = file.metadata.find("format");
        format == file.metadata.end() || format->second != format_name)
        throw wrong("no format 'pdadmm model 1' in the metadata");
    SavedModel saved;
    saved.augment.graph.norm = static_cast<Norm>(choice(file, "norm", norms));
    saved.augment.graph.self_loops = static_cast<SelfLoops>(choice(file, "self_loops", loops));
    saved.augment.feature_norm = static_cast<FeatureNorm>(choice(file, "feature_norm", feature_norms));
    saved.augment.graph.directed = choice(file, "directed", {"false", "true"}) == 1;
    saved.binary_features = choice(file, "binary_features", {"false", "true"}) == 1;
    // Models that are older than the entry have one class a node.
    saved.multi_label = file.metadata.contains(task_key) && choice(file, task_key, tasks) == 1;
    std::vector<std::string> depths;
    for (int k = 1; k <= 64; ++k) depths.push_back(std::to_string(k));
    saved.augment.hops = choice(file, "hops", depths) + 1;
    saved.augment.operators = operators_of(file);
    saved.notes = file.metadata;
    if (const auto names = file.metadata.find(names_key); names != file.metadata.end())
        saved.class_names = names_of(file, names->second);

    NetworkShape& shape = saved.model.shape;
    while (file.has(weight_name(static_cast<std::size_t>(shape.layers)))) ++shape.layers;
    if (shape.layers < 2 || file.tensors.size() != static_cast<std::size_t>(2 * shape.layers))
        throw wrong("tensors other than layers.N.weight and .bias");
    for (std::size_t k = 0; k < static_cast<std::size_t>(shape.layers); ++k) {
        const Tensor& W = file.at(weight_name(k));
        const Tensor& b = file.at(bias_name(k));
        if (W.shape.size() != 2 || b.shape.size() != 1 || b.shape[0] != W.shape[0])
            throw wrong(fmt::format("layer {} has other shapes", k));
        if (k == 0) {
            shape.inputs = W.shape[1];
            shape.hidden = W.shape[0];
        }
        shape.classes = W.shape[0];
        const bool last = k + 1 == static_cast<std::size_t>(shape.layers);
        if ((k > 0 && W.shape[1] != shape.hidden) || (!last && W.shape[0] != shape.hidden))
            throw wrong(fmt::format("layer {} does not fit layer 0", k));
        saved.model.W.push_back(column_major_values(W));
        saved.model.b.push_back(reals(b));
    }
    if (!saved.class_names.empty() && static_cast<Index>(saved.class_names.size()) != shape.classes)
        throw wrong(fmt::format("{} class names for {} classes", saved.class_names.size(), shape.classes));
    if (const auto text = file.metadata.find("class_ids"); text != file.metadata.end()) {
        const std::optional<std::vector<std::int64_t>> ids = parse_class_ids(text->second);
        if (!ids || static_cast<Index>(ids->size()) != shape.classes)
            throw wrong(fmt::format("class_ids {}", printable(text->second, 40)));
        saved.class_ids = *ids;
    }
    return saved;
}

std::filesystem::path find_model(const std::filesystem::path& path) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) return path;
    if (const fs::path model = model_in(path); !model.empty()) return model;
    std::vector<fs::path> seeds;
    for (const fs::path& seed : RunDirectory::seed_folders(path))
        if (!model_in(seed).empty()) seeds.push_back(seed);
    if (seeds.size() == 1) return model_in(seeds.front());
    if (seeds.empty())
        throw DataError(
            fmt::format("{}: no model-best.safetensors in it, expected a model or the folder of a run that is "
                        "done; finish it with pdadmm train --resume",
                        printable_path(path)));
    std::vector<std::string> names;
    for (const fs::path& seed : seeds) names.push_back(printable_path(seed));
    throw DataError(fmt::format("{}: runs of {} seeds, expected one; name one of {}", printable_path(path),
                                seeds.size(), fmt::join(names, ", ")));
}

SavedModel read_model(const std::string& path) {
    return from_safetensors(read_safetensors(path, std::uint64_t{1} << 36));
}

}  // namespace pdadmm
