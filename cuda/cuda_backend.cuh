// The CUDA backend: cuBLAS and cuSPARSE for products, one kernel a pass with the layer as a grid dimension.
//
// Everything runs on one stream, and sums have a fixed order (per-block partial sums, then one block a layer), so a run is
// repeatable bit for bit on one type of device. Nothing is returned to the host but by download().
#pragma once

#include "cuda/check.cuh"
#include "pdadmm/backend.hpp"

namespace pdadmm {

class CudaBackend final : public Backend {
public:
    explicit CudaBackend(int device);
    CudaBackend(const CudaBackend&) = delete;
    CudaBackend& operator=(const CudaBackend&) = delete;

    std::string name() const override { return "cuda"; }
    std::string description() const override;
    void* allocate(std::size_t bytes) override;
    void release(void* memory) noexcept override;
    void upload(const void* host, void* device, std::size_t bytes) override;
    void download(const void* device, void* host, std::size_t bytes) override;
    void fill(Mat a, real value) override;
    void copy(CMat from, Mat to) override;
    std::size_t free_memory() const override;

    void gemm(Trans ta, Trans tb, Scalar alpha, CMat A, CMat B, real beta, Mat C) override;
    void spmm(const CsrView& a, CMat X, Mat Y) override;
    void gather_columns(CMat X, const std::int32_t* columns, Mat Y) override;

    void coupling_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g) override;
    void decay_gradient(CMat W, const Controls* k, Mat G) override;
    void step_size(Variable variable, CMat g, CMat h, const Controls* k, StepSpec spec, real* inverse) override;
    void descend(const real* inverse, CMat g, Mat x) override;
    void descend(const real* inverse, CMat g, Mat x, CMat h, Mat r) override;

    void set_inverse(real* inverse, Index layers, double value) override;
    void reset_pending(std::int32_t* pending, Index layers) override;
    void grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending, Mat d) override;
    void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) override;
    void snap(const Quantizer& q, Mat x) override;
    void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d) override;
    void difference_check(CMat d, CMat h, const Controls* k, real* inverse) override;
    void repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) override;

    void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s) override;
    void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) override;
    void scale_by_c(const NodeSpaceScalars* s, Mat A) override;

    void bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) override;
    void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures) override;
    void last_step(const real* inverse, CMat h, CMat d, const std::int32_t* labels, const Controls* k, Mat r, Mat z,
                   LayerFigures* figures) override;
    void weight_norm(CMat W, LayerFigures* figures) override;
    void weight_norm(const NodeSpaceScalars* s, LayerFigures* figures) override;
    void close_residual(CMat b, CMat z, Mat r) override;
    void schedule(const RhoSchedule& rule, const double* watched, Controls* k) override;

    void add_bias(CMat b, bool linear, Mat A) override;
    void classify(CMat logits, const std::int32_t* labels, Tally* tally) override;

private:
    /// A graph's operator as cuSPARSE wants it: offsets of the columns' width where they fit.
    struct SparseOperator {
        Buffer<std::int32_t> offsets;
        cuda::SparseMatrix matrix;
    };
    const SparseOperator& sparse_operator(const CsrView& a);
    /// `count` doubles of scratch for partial sums; grows in the first iteration only.
    double* partials(Index count);

    int device_;
    cuda::Stream stream_;
    Buffer<std::byte> blas_workspace_, spmm_workspace_;
    Buffer<real> constants_;  // 0, 1: beta beside an alpha in device memory
    Buffer<real> minus_one_;  // step sizes of -1
    Buffer<double> partials_;
    cuda::BlasHandle blas_;
    cuda::SparseHandle sparse_;
    SparseOperator operator_;           // of the graph that was multiplied last
    const void* operator_of_ = nullptr; // its offsets
    Index operator_nnz_ = -1;
};

}  // namespace pdadmm
