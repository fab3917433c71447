// What the names of arrays mean: one table for every form in which graphs are published as plain arrays.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pdadmm {

enum class Role {
    marker,        // pdadmm_bundle
    features,      // (nodes, features), or a sparse matrix
    labels,        // (nodes) or (nodes, 1)
    edges,         // (2, edges) or (edges, 2)
    edge_weights,  // (edges) or (edges, 1)
    adjacency,     // a sparse matrix
    class_count,   // one value
    node_count,    // one value
    node_names,    // integers (nodes), or UTF-8 texts as rows of uint8
    class_names,   // likewise (classes)
    edge_features  // what this program has no use for, and says so
};

/// The role of an array or matrix of this name; nothing where it has none that the table knows.
std::optional<Role> role_of(std::string_view name);

/// Names of a role, for messages: "features, x, node_features, ...".
std::string names_of(Role role);

/// A part of a split, told by the words of its name.
struct SplitRole {
    int part = 0;       // 0, 1, 2: train, val, test
    bool mask = false;  // the name says that it is a mask of nodes (or several of them)
};

/// The part that a name such as train_mask, train_masks, val_idx, idx_test, test_index, valid or train_nodes means.
std::optional<SplitRole> split_role_of(std::string_view name);

/// Whether a name speaks of a split at all: one of its words is train, val, test, mask, split or their like.
bool speaks_of_split(std::string_view name);

}  // namespace pdadmm
