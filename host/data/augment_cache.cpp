// Cache of augmented features, keyed by content (host/data/augmentation.hpp).
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <system_error>

#include "host/console/printable.hpp"
#include "host/data/augmentation.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/graph_products.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/format/safetensors.hpp"
#include "host/machine/paths.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
}

std::string cache_key(const Backend& backend, const Dataset& dataset, const Split& split,
                      const AugmentOptions& options) {
    const std::string nodes =
        digest_hex(bytes_of(split.train)) + digest_hex(bytes_of(split.val)) + digest_hex(bytes_of(split.test));
    return digest_hex(fmt::format("augmented 2 {} {} {} {} {}", dataset_digest(dataset), nodes, to_string(options),
                                  sizeof(real), backend.spmm_algorithm()));
}

/// X of a cached file where it lies there, mapped, after its digest was compared; or DataError.
std::shared_ptr<const real> read_cached(const fs::path& path, std::size_t expected) {
    const InputFile file(path);
    const std::shared_ptr<const std::byte> mapped = file.map();
    const SafetensorsView view = view_safetensors({mapped.get(), file.size()}, file.name());
    const auto digest = view.metadata.find("digest");
    const std::span<const std::byte> X = view.tensors.empty() ? std::span<const std::byte>() : view.tensors[0].bytes;
    if (view.tensors.size() != 1 || X.size() != expected * sizeof(real) ||
        reinterpret_cast<std::uintptr_t>(X.data()) % alignof(real) != 0 || digest == view.metadata.end() ||
        digest->second != digest_hex(X))
        throw DataError(fmt::format("{}: damaged, expected the bytes that were kept; it is written anew", file.name()));
    file.check_unchanged();
    return {mapped, reinterpret_cast<const real*>(X.data())};
}

}  // namespace

fs::path default_augment_cache() {
    const fs::path folder = cache_folder();
    return folder.empty() ? folder : folder / "augmented";
}

AugmentedNodes augment_cached(Backend& backend, const Dataset& dataset, const Split& split,
                              const AugmentOptions& options, const fs::path& cache,
                              const std::function<void(const std::string&)>& note) {
    if (cache.empty() || dataset.made) return augment_split(backend, dataset, split, options);
    const fs::path file = cache / (cache_key(backend, dataset, split, options) + ".safetensors");
    std::error_code ignored;
    if (fs::exists(file, ignored)) {
        try {
            AugmentedNodes nodes = describe_split(dataset, split, options);
            nodes.mapped_X = read_cached(file, static_cast<std::size_t>(nodes.inputs * nodes.nodes()));
            take_graph_products(backend, dataset, split, options, nodes);
            note(fmt::format("augmented features read from {}", printable_path(file)));
            return nodes;
        } catch (const DataError& error) {
            note(fmt::format("cache not used: {}", error.what()));
        }
    }
    AugmentedNodes nodes = augment_split(backend, dataset, split, options);
    try {
        fs::create_directories(cache);
        SafetensorsFile content;
        content.tensors.push_back(Tensor::of("X", {nodes.nodes(), nodes.inputs}, std::span<const real>(nodes.X)));
        content.metadata = {{"digest", digest_hex(content.tensors[0].bytes)},
                            {"options", to_string(options)},
                            {"dataset", dataset.name}};
        const std::string prefix = safetensors_prefix(content);
        write_file_atomically(file, {std::as_bytes(std::span(prefix)), content.tensors[0].bytes});
        note(fmt::format("augmented features kept in {}", printable_path(file)));
    } catch (const std::exception& error) {
        note(fmt::format("augmented features not kept: {}", error.what()));
    }
    return nodes;
}

}  // namespace pdadmm
