// From the arrays of a file to a Dataset: every rule that a graph must keep is checked here, before anything uses it,
// so that the rest of the program may trust offsets, columns, labels and splits. Knows no file format.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// Compressed rows as a file states them, nothing checked. An empty `data` with `has_data` false means all ones.
struct RawCsr {
    std::string name;    // prefix of the members in messages: "adj" for adj_indptr, adj_indices, adj_data, adj_shape
    bool whole = false;  // messages name the matrix as it is called, no members of it
    std::string data_name = {};  // what messages call the values, where that is another member
    Index rows = 0, cols = 0;
    std::vector<Index> indptr{};
    std::vector<std::int32_t> indices{};
    std::vector<float> data{};
    bool has_data = false;

    /// "adj_indptr" of "indptr".
    std::string member(const char* part) const;
};

/// Node ids of a part of the split as a file states them.
struct RawPart {
    std::string name;  // the member that messages name
    std::vector<Index> ids;
};

/// A graph as a file states it. Features are `sparse` or, where that is empty, `dense` (row-major).
struct RawGraph {
    std::string file;  // the object that messages name
    std::string name;  // becomes Dataset::name
    RawCsr adjacency;
    std::string counted_by = "adj_shape";  // the member that says how many nodes there are
    std::optional<RawCsr> sparse;
    std::string dense_name = "features";
    Index dense_rows = 0, dense_cols = 0;
    std::vector<float> dense;
    std::string labels_name = "labels";
    std::optional<std::vector<Index>> labels;  // -1: unlabelled; nothing: no node has a label
    std::optional<Index> classes;
    std::array<std::optional<RawPart>, 3> parts;  // train, val, test
    Index splits = 0;                             // how many splits the file holds
    std::string split_reason;                     // which of them this is
    std::vector<std::string> notes;
};

/// What to do where a row names a column more than once. Both give the same result in any order of the entries up to
/// rounding of the sum.
enum class Duplicates {
    largest,  // an edge listed twice is one edge
    sum,      // the meaning of repeated entries in a sparse feature matrix
};

/// Checks extents and row offsets alone. Throws DataError.
void check_rows(const RawCsr& raw, const std::string& file);

/// Checks the six invariants of compressed rows (length of indptr, first 0, never decreasing, last = number of indices,
/// columns in range, as many data as indices) and that values are finite and at most 1e15 in magnitude, those of edges
/// (`largest`) above 0; sorts each row and merges duplicates, whose number goes to `merged`. O(entries) where rows are
/// sorted. Throws DataError.
Csr checked_csr(RawCsr raw, const std::string& file, Duplicates rule, Index& merged);

/// Counts self loops and isolated nodes (no neighbour but itself, in either direction) of a checked adjacency and says
/// whether it equals its transpose. O(entries).
GraphFacts graph_facts(const Csr& adjacency);

/// Checks everything and builds the data set. Legal: self loops, isolated nodes, asymmetry, unsorted rows, duplicate
/// edges, unlabelled nodes (-1), class ids with gaps, no labelled node at all (make_split asks for some). Throws
/// DataError naming file, member, place and value.
Dataset build_dataset(RawGraph raw, bool binary_features);

/// Checks a split against labels: ids in range, no node twice or in two parts, training part not empty, training and
/// validation nodes labelled. Test nodes without a label go to Split::every_test alone, and their number to `notes`.
/// Throws DataError naming file and member.
Split checked_split(const RawGraph& raw, const std::vector<std::int32_t>& labels, std::vector<std::string>& notes);

}  // namespace pdadmm
