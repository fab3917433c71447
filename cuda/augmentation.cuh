// Sparse products with one operator: what cuSPARSE needs for them is made once and kept.
#pragma once

#include <deque>

#include "cuda/check.cuh"
#include "pdadmm/backend.hpp"

namespace pdadmm::cuda {

/// The operator of `adjacency` in `backend`'s memory, made on `stream` (graph_preparation.cu).
PropagationOperator prepare_graph(Backend& backend, cudaStream_t stream, const Csr& adjacency,
                                  const GraphOptions& options);

/// An operator in cuSPARSE's words, and for every shape of slab that it multiplied: descriptions, workspace,
/// preprocessing.
class SpmmPlan {
public:
    SpmmPlan(Backend& backend, cudaStream_t stream, const CsrView& a, Index most_narrow_entries);

    /// Y = X A'.
    void multiply(cusparseHandle_t handle, cusparseSpMMAlg_t algorithm, CMat X, Mat Y);

private:
    struct Slab {
        Index features, x_ld, y_ld;
        SparseMatrix a;  // one a slab: preprocessing binds a workspace to it
        DenseMatrix x, y;
        Buffer<std::byte> workspace;
    };
    Slab& slab(cusparseHandle_t handle, cusparseSpMMAlg_t algorithm, CMat X, Mat Y);

    Backend& backend_;
    CsrView operator_;
    bool narrow_;
    Buffer<std::int32_t> offsets_;  // narrow: the columns' width
    Buffer<std::int64_t> columns_;  // otherwise: the offsets' width
    std::deque<Slab> slabs_;
};

}  // namespace pdadmm::cuda
