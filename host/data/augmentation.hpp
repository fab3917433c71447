// Augmentation: X = [H; HÃ; HÃ^2; ...] or blocks of other operators, stacked by feature, of the nodes that are wanted
// (design 1).
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "host/data/graph.hpp"
#include "host/data/operators.hpp"
#include "pdadmm/backend.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// `row`: a node's raw features are divided by their sum. `l2`: each hop block of a node is scaled to unit length.
enum class FeatureNorm { none, row, l2 };

struct AugmentOptions {
    GraphOptions graph;
    int hops = 5;  // powers 0 .. hops-1 of the operators
    FeatureNorm feature_norm = FeatureNorm::none;
    AugmentOperators operators{AugmentOperator{}};  // gcn alone: blocks Ã^0 .. Ã^(hops-1)
};

/// Rows of X: features times blocks.
Index augmented_inputs(const AugmentOptions& options, Index features);

/// X (augmented_inputs, nodes.size()), column-major, in the blocks of diffusion_blocks. Runs in slabs of features
/// through Backend::spmm, as wide as the backend likes and has memory for, and keeps only the wanted nodes; X as a
/// whole is never in backend memory. Blocks of one operator share its products; they are summed on the host in order of
/// powers, so no thread or slab changes a bit. Throws NoRoomError where memory is short, before taking it.
std::vector<real> augment(Backend& backend, const Dataset& dataset, std::span<const std::int32_t> nodes,
                          const AugmentOptions& options);

/// Counts, labels and sizes of what augment_split returns, with X still empty.
AugmentedNodes describe_split(const Dataset& dataset, const Split& split, const AugmentOptions& options);
/// Train, validation and test nodes of `split`, augmented, with their labels. X that was made before stays in its file
/// where it lies there in this order (lie_ready of augmented_folder.hpp).
AugmentedNodes augment_split(Backend& backend, const Dataset& dataset, const Split& split,
                             const AugmentOptions& options);

/// augment_split through a cache folder keyed by content (data, split, options, precision, spmm_algorithm): of a file
/// that is there, whole and undamaged, X is mapped instead (InputFile::map). `note` gets one line about what happened
/// to the cache. An empty folder turns it off.
AugmentedNodes augment_cached(Backend& backend, const Dataset& dataset, const Split& split,
                              const AugmentOptions& options, const std::filesystem::path& cache,
                              const std::function<void(const std::string&)>& note);

/// $XDG_CACHE_HOME/pdadmm/augmented, else ~/.cache/pdadmm/augmented; empty where neither is set.
std::filesystem::path default_augment_cache();

/// The options as one line, e.g. "hops 5, norm sym, self-loops add, feature-norm none, undirected".
std::string to_string(const AugmentOptions& options);

}  // namespace pdadmm
