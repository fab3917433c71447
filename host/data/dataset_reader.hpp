// Finds a data set by name, path or recipe and reads it: the one way by which a graph enters the program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pdadmm/dataset.hpp"

namespace pdadmm {

struct LoadOptions {
    /// Every feature above 0 becomes 1. Off: Coauthor's word counts stay counts, as in DGL; PyG makes them 0 and 1.
    bool binary_features = false;
    /// Searched before the folders of PDADMM_DATA.
    std::vector<std::filesystem::path> folders;
    /// Most bytes that the file may unpack to; 0: default_input_budget() of file.hpp.
    std::uint64_t max_bytes = 0;
    /// Of several splits that the file holds.
    Index split_index = 0;
    /// A label that means none, beside -1 and NaN.
    std::optional<Index> unlabelled{};
};

/// The data set `name_or_path`, checked (graph_arrays.hpp). It is one of
///   - a built-in name or alias (`dataset_names`), in any case of letters, searched in `options.folders`, then the
///   folders
///     of PDADMM_DATA (separated by ':'), then data/bundles below the current directory, then $XDG_CACHE_HOME/pdadmm or
///     ~/.cache/pdadmm. A built-in name must hold the nodes, features and classes that it is known for;
///   - a path (with a '/', ending in .npz, or of what is there) of an .npz file (bundle.hpp) or of a folder
///   (graph_folder.hpp; or augmented_folder.hpp: X is made already);
///   - `sbm` or `sbm:key=value,...` (sbm.hpp), which needs no file.
/// Throws UsageError where it is none of these, DataError where the file is missing (the text holds the command that
/// gets it) or broken.
Dataset load_dataset(const std::string& name_or_path, const LoadOptions& options = {});

/// The file that load_dataset would read for a built-in name or a path; empty for `sbm`. Throws as load_dataset.
std::filesystem::path find_dataset(const std::string& name_or_path, const LoadOptions& options = {});

/// Built-in names, those of the paper's table first.
std::vector<std::string> dataset_names();

/// XXH3-128 in hexadecimal over adjacency, features and labels: equal for equal content, whatever the name, the stored
/// split or the file it came from. For cache keys and checkpoints. About a second for 10 GB.
std::string dataset_digest(const Dataset& dataset);

}  // namespace pdadmm
