// X of the first layer without X: W X and R X_train' as chains of sparse products (pdadmm/graph_products.hpp). Where
// features are many and most of them zero they are a small part of the work that X itself is.
#pragma once

#include <memory>
#include <vector>

#include "host/network/node_data.hpp"
#include "pdadmm/graph_products.hpp"

namespace pdadmm {

/// The matrices of these chains, in the host's memory.
class GraphMatrices {
public:
    /// `by` must outlive it.
    explicit GraphMatrices(const GraphProducts& by);

    struct Block {
        Index features = 0;  // of W, the first of this block
        std::size_t powers = 0;
        const SparseMatrix *forward = nullptr, *backward = nullptr;  // the operator and its transpose, beyond one power
        SparseMatrix from_training;  // (nodes of the graph, or features of no power; training nodes)
        std::vector<real> weighed;   // of no power: its values over the weights of features
        Index spread = 0;            // of the space, the first column of what lies before the last power
    };
    const GraphProducts& by;
    std::vector<Block> blocks;
    SparseMatrix H_transposed;  // (features, nodes of the graph)
    std::vector<real> weighed;  // its values over the weights of features
    SparseMatrix to_nodes;  // (nodes of X, columns of the space: W, and of every power block the nodes of the graph)

private:
    std::vector<SparseMatrix> transposed_;
};

class FeaturesByGraph {
public:
    /// Products of `rows` rows (neurons), on a backend whose memory is the host's.
    FeaturesByGraph(Backend& backend, std::shared_ptr<const GraphMatrices> matrices, Index rows);
    /// Of memory, at most, with the matrices.
    static std::size_t bytes(const GraphWork& work, Index rows);

    /// W = R X_train' (rows x inputs) of R (rows x training nodes), over the features' weights.
    void take(CMat R, FeatureWeights weights = FeatureWeights::none);
    /// W as it is given.
    void put(CMat W);
    CMat W() const { return weights_; }
    /// to = W X of some nodes of X, in its order.
    void multiply(NodeRange nodes, Mat to);
    /// to = R X_train' X of them, over the features' weights in between.
    void multiply(CMat R, FeatureWeights weights, NodeRange nodes, Mat to) {
        take(R, weights);
        multiply(nodes, to);
    }
    /// A -= B.
    void subtract(CMat B, Mat A);

private:
    Mat features_of(const GraphMatrices::Block& block) const {
        return weights_.columns(block.features, matrices_->by.H.cols);
    }
    Mat spread_of(const GraphMatrices::Block& block) const;

    Backend& backend_;
    std::shared_ptr<const GraphMatrices> matrices_;
    Buffer<real> space_, other_, minus_one_;
    Mat weights_;
    bool spread_ = false;  // W lies in the space as far as that does not depend on which nodes are wanted
};

}  // namespace pdadmm
