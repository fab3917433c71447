// Dense and sparse products.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pdadmm/backend/memory.hpp"

namespace pdadmm {

/// How exactly a product multiplies: `working` may be TF32 or bfloat16 where the user asked for it
/// (BackendOptions::math), `full` never is, and `split` may be three products of operands that are each the sum of two
/// numbers in bfloat16, which leaves errors of 2^-16 where `working` has 2^-11 or 2^-8. The carried residual and its
/// refresh by split products keep the difference out of the results.
enum class Precision { full, working, split };
enum class Math { fp32, tf32, bf16 };

struct Csr;
struct GraphOptions;

/// Move-only owner of a square operator in backend memory.
struct PropagationOperator {
    Index nodes = 0;
    Buffer<Index> offsets;  // (nodes + 1)
    Buffer<std::int32_t> columns;
    Buffer<real> values;
    std::shared_ptr<void> plan;  // the backend's, for products with it

    CsrView view() const {
        return {nodes, nodes, columns.count(), offsets.data(), columns.data(), values.data(), plan.get()};
    }
};

class Products {
public:
    virtual ~Products() = default;

    /// C = alpha op(A) op(B) + beta C, layer by layer; A or B with stride 0 is shared by all layers.
    virtual void gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C,
                      Precision precision = Precision::full) = 0;
    /// C = A' A over one matrix, symmetric but for rounding: a backend may form one half.
    virtual void gram(CMat A, Mat C) { gemm(Trans::yes, Trans::no, 1, A, A, 0, C); }
    /// The operator of a stored adjacency (graph.hpp): rows sorted by column, each column once. The same bits on every
    /// backend. Throws DeviceError where memory is short, before taking it.
    virtual PropagationOperator propagation_operator(const Csr& adjacency, const GraphOptions& options) = 0;
    /// Features that spmm is fastest with at once; the caller takes fewer where memory is short.
    virtual Index spmm_slab_features(Index nodes) const = 0;
    /// How spmm adds: results of different names may differ in their last bits.
    virtual std::string spmm_algorithm() const = 0;
    /// Y = X A' for features x nodes matrices: column i of Y is the sum over j of a_ij X(:, j).
    virtual void spmm(const CsrView& a, CMat X, Mat Y) = 0;
    /// Y(:, i) = X(:, columns[i]).
    virtual void gather_columns(CMat X, const std::int32_t* columns, Mat Y) = 0;
    /// The algorithms that a library chose for products so far, a line each, for the record.
    virtual std::vector<std::string> product_algorithms() const { return {}; }
};

}  // namespace pdadmm
