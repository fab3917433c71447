// From the arrays of a file to a Dataset: every rule that a graph must keep is checked here, before anything uses it,
// so that the rest of the program may trust offsets, columns, labels and splits. Knows no file format.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// Compressed rows as a file states them, nothing checked. An empty `data` with `has_data` false means all ones.
struct RawCsr {
    std::string name;  // prefix of the members in messages: "adj" for adj_indptr, adj_indices, adj_data, adj_shape
    Index rows = 0, cols = 0;
    std::vector<Index> indptr;
    std::vector<std::int32_t> indices;
    std::vector<float> data;
    bool has_data = false;
};

/// A graph as a file states it. Features are `sparse` or, where that is empty, `dense` (row-major).
struct RawGraph {
    std::string file;  // the object that messages name
    std::string name;  // becomes Dataset::name
    RawCsr adjacency;
    std::optional<RawCsr> sparse;
    std::string dense_name = "features";
    Index dense_rows = 0, dense_cols = 0;
    std::vector<float> dense;
    std::vector<Index> labels;
    bool labelled = true;  // false: the file has no labels; every node is then unlabelled
    std::optional<Index> classes;
    std::optional<std::vector<Index>> train, val, test;
};

/// What to do where a row names a column more than once. Both give the same result in any order of the entries up to
/// rounding of the sum.
enum class Duplicates {
    largest,  // an edge listed twice is one edge
    sum,      // the meaning of repeated entries in a sparse feature matrix
};

/// Checks the six invariants of compressed rows (length of indptr, first 0, never decreasing, last = number of indices,
/// columns in range, as many data as indices) and that values are finite and at most 1e15 in magnitude, sorts each row
/// and merges duplicates, whose number goes to `merged`. O(entries) where rows are sorted. Throws DataError.
Csr checked_csr(RawCsr raw, const std::string& file, Duplicates rule, Index& merged);

/// Counts self loops and isolated nodes (no neighbour but itself, in either direction) of a checked adjacency and says
/// whether it equals its transpose. O(entries).
GraphFacts graph_facts(const Csr& adjacency);

/// Checks everything and builds the data set. Legal: self loops, isolated nodes, asymmetry, unsorted rows, duplicate
/// edges, unlabelled nodes (-1), also no labelled node at all: what needs labels asks for them (make_split). Throws DataError naming file, member, place and value.
Dataset build_dataset(RawGraph raw, bool binary_features);

/// Checks a split against a data set: ids in range, labelled, no node twice or in two parts, training part not empty.
/// Throws DataError naming `file` and the member (train_idx, val_idx, test_idx).
Split checked_split(const RawGraph& raw, Index nodes);

}  // namespace pdadmm
