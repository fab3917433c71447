// What makes products with augmented features by the graph: W X = sum over blocks b of W_b H' (T^k)' D_b, where T is
// the block's propagation operator, k its power, H the sparse features and D_b what brings them to unit length
// (host/DESIGN.md, "By the graph"). Where features are many and most of them zero that is a hundredth of the work of
// multiplying X.
#pragma once

#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// A sparse matrix in compressed rows (rows x cols), in the host's memory.
struct SparseMatrix {
    Index rows = 0, cols = 0;
    std::vector<Index> offsets;         // (rows + 1)
    std::vector<std::int32_t> columns;  // (nnz)
    std::vector<real> values;           // (nnz)

    Index nnz() const { return static_cast<Index>(columns.size()); }
    CsrView view() const { return {rows, cols, nnz(), offsets.data(), columns.data(), values.data()}; }
};

struct GraphProducts {
    /// Of a block of X: its place, and the power of the operator that it is a multiple of.
    struct Block {
        Index place = 0;
        std::size_t powers = 0;
        real coefficient = 1;
        std::vector<real> scales;  // of each of `nodes`, what brings its features of this block to unit length; empty:
                                   // 1 each
        /// For one of `nodes`.
        real factor(std::size_t node) const { return scales.empty() ? coefficient : coefficient * scales[node]; }
    };
    struct Chain {
        SparseMatrix propagation;  // (nodes, nodes)
        std::vector<Block> blocks;
    };
    SparseMatrix H;  // (nodes of the graph, features)
    std::vector<Chain> chains;
    std::vector<std::int32_t> nodes;  // ids of the nodes of X, in its order
    Index training = 0;               // the first of them

    Index inputs() const {
        Index blocks = 0;
        for (const Chain& chain : chains) blocks += static_cast<Index>(chain.blocks.size());
        return blocks * H.cols;
    }
};

/// Whether R X_train' is over a weight w_j for every feature j, which is then the gradient in the metric sum_j w_j
/// |W_j|^2, in which conjugate gradients move and decay (host/DESIGN.md, "By the graph"). By size: w_j is in proportion
/// to |h_j|^(1/2), h_j being the feature's values over all nodes of the graph, and sum_j |h_j|^2 / w_j = sum_j |h_j|^2.
enum class FeatureWeights { none, by_size };

/// What such a product takes, by counting.
struct GraphWork {
    double entries = 0;  // of sparse matrices, that a product of one row with X multiplies; 0: it is not worth it
    Index columns = 0;  // a row's values on its way: those of W, and a column a node of the graph for every power block
};

/// About how long an entry of a sparse matrix and a value take, in multiplications of a dense product.
inline constexpr double entry_over_product = 4;

}  // namespace pdadmm
