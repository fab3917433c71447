// A node-classification graph on the host: what every reader and generator returns.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pdadmm/graph_products.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// Compressed sparse rows; row i holds columns[offsets[i] .. offsets[i+1]).
struct Csr {
    Index rows = 0, cols = 0;
    std::vector<Index> offsets;
    std::vector<std::int32_t> columns;
    std::vector<float> values;
    Index nnz() const { return static_cast<Index>(columns.size()); }
};

/// Node features, one row a node: sparse (`sparse.rows == nodes`) or dense (row-major nodes x count), never both.
struct Features {
    Index count = 0;
    Csr sparse;
    std::vector<float> dense;
    bool is_sparse() const { return dense.empty(); }
};

/// Node ids in ascending or file order; disjoint and labelled.
struct Split {
    std::vector<std::int32_t> train, val, test;
    std::string name;    // "stored", "paper", "random:..." or "none"
    std::string reason;  // for people: which of the file's splits, or why `auto` took this one
    /// All test nodes in the file's order, those without a label too: for predictions. Empty where all have one.
    std::vector<std::int32_t> every_test;
};

/// What the reader met and kept or mended; printed by `pdadmm info`.
struct GraphFacts {
    Index stored_entries = 0, duplicates = 0, self_loops = 0, isolated = 0;
    bool symmetric = true;
};

/// What the user calls nodes or classes: numbers, or texts; where there is neither, they go by their place.
struct Names {
    std::vector<std::int64_t> numbers;
    std::vector<std::string> texts;

    bool empty() const { return numbers.empty() && texts.empty(); }
    std::size_t size() const { return numbers.size() + texts.size(); }
    std::string of(Index i) const {
        const auto at = static_cast<std::size_t>(i);
        return texts.empty() ? std::to_string(numbers.empty() ? i : numbers[at]) : texts[at];
    }
    /// The place of a name.
    std::optional<Index> find(const std::string& name) const {
        for (Index i = 0; i < static_cast<Index>(size()); ++i)
            if (of(i) == name) return i;
        return std::nullopt;
    }
    bool operator==(const Names&) const = default;
};

/// X that was made before, of every node: `pdadmm augment --out FOLDER` (host/data/augmented_folder.hpp).
struct MadeFeatures {
    std::string file, digest;  // X.npy, and of its rows
    std::string options;       // of the augmentation, as to_string says them
    Index inputs = 0;
};

struct Dataset {
    std::string name;
    Index nodes = 0, classes = 0;
    Csr adjacency;  // as stored: duplicates merged, values kept; symmetrised and normalised later (graph.hpp)
    Features features;
    std::vector<std::int32_t> labels;   // -1: unlabelled; of several labels a node 0 where they are known
    std::vector<std::uint8_t> targets;  // of several labels a node, nodes x classes, 1 where a node has one; else empty
    std::vector<std::int64_t> class_ids;  // what the file calls each class, ascending; empty: 0, 1, ...
    Split stored_split;                   // empty where the file has none
    Index stored_splits = 0;              // how many the file holds, of which this is one
    std::string split_fault;              // why the file's split cannot be used; empty where it can, or there is none
    GraphFacts facts;
    std::optional<MadeFeatures> made;  // in place of edges and features, which are then none
    Names node_ids, class_names;       // where the file has them
    std::vector<std::string> notes;    // what the reader decided, a line each, for people
    bool multi_label() const { return !targets.empty(); }
};

/// What augmentation hands to training, on the host. X is column-major, inputs x nodes.
struct AugmentedNodes {
    Index inputs = 0;
    Index classes = 0;
    std::array<Index, 3> counts{};  // train, val, test
    /// Where nodes have several owners, those counts of each of them: within each set one owner's nodes follow the
    /// other's, and those of one or of several owners that follow one another are here. Else empty.
    std::vector<std::array<Index, 3>> owners;
    std::vector<real> X;
    std::shared_ptr<const real> mapped_X;  // in its place, where it stays in a file and is read as it is touched
    std::vector<std::int32_t> labels;
    std::vector<std::uint8_t> targets;  // classes x nodes, column-major; empty: one class a node
    /// Of products of X by the graph, their work, and where X is, the matrices.
    GraphWork graph_work;
    std::shared_ptr<const GraphProducts> by_graph;
    std::vector<double> class_weights;  // of each class in the risk of training; empty: 1 each
    Index nodes() const { return counts[0] + counts[1] + counts[2]; }
    bool multi_label() const { return !targets.empty(); }
    /// X, wherever it is.
    std::span<const real> values() const {
        return mapped_X ? std::span(mapped_X.get(), static_cast<std::size_t>(inputs * nodes())) : std::span(X);
    }
};

}  // namespace pdadmm
