// X of the first layer without X: W X and R X_train' as chains of sparse products (pdadmm/graph_products.hpp). Where
// features are many and most of them zero they are a small part of the work that X itself is.
#pragma once

#include <vector>

#include "host/network/node_data.hpp"
#include "pdadmm/graph_products.hpp"

namespace pdadmm {

class FeaturesByGraph {
public:
    /// Products of `rows` rows (neurons); `by` must outlive it, and each of its blocks be one power of its operator.
    FeaturesByGraph(Backend& backend, const GraphProducts& by, Index rows);
    /// Of memory.
    static std::size_t bytes(const GraphProducts& by, Index rows);

    /// W = R X_train' (rows x inputs) of R (rows x training nodes).
    void take(CMat R);
    /// W as it is given.
    void put(CMat W);
    CMat W() const { return weights_; }
    /// to = W X of some nodes of X, in its order.
    void multiply(NodeRange nodes, Mat to);
    /// to = R X_train' X of them.
    void multiply(CMat R, NodeRange nodes, Mat to) {
        take(R);
        multiply(nodes, to);
    }
    /// A -= B.
    void subtract(CMat B, Mat A);

private:
    struct Block {
        Index place = 0;
        std::size_t powers = 0;
        const SparseMatrix *forward = nullptr, *backward = nullptr;  // the operator and its transpose
        SparseMatrix from_training;  // (nodes of the graph, or features where powers is 0; training nodes)
        Mat spread;                  // (rows, nodes of the graph): before the last power
    };

    Backend& backend_;
    const GraphProducts& by_;
    std::vector<SparseMatrix> transposed_;  // of the operators that are taken twice or more
    SparseMatrix H_transposed_, to_nodes_;  // (features, nodes), and (nodes of X, all columns of space_)
    std::vector<Block> blocks_;
    Buffer<real> space_, other_, minus_one_;
    Mat weights_;
    bool spread_ = false;  // W, as far as it does not depend on which nodes are wanted
};

}  // namespace pdadmm
