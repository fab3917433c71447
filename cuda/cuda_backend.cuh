// The CUDA backend: cuBLASLt and cuSPARSE for products, one kernel a pass with the layer as a grid dimension.
//
// Work runs on the stream of the present lane; groups of layers take lanes side by side. Sums have a fixed order, so a
// run is repeatable bit for bit on one type of device. Nothing is returned to the host but by download().
#pragma once

#include <compare>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "cuda/check.cuh"
#include "cuda/lane.cuh"
#include "cuda/small_network.cuh"
#include "pdadmm/backend.hpp"

namespace pdadmm {
namespace cuda {

/// What the operands of a product are. Its result is the same, of bf16 fp32.
enum class Number { fp32, fp64, bf16 };

}  // namespace cuda

class CudaBackend final : public Backend {
public:
    CudaBackend(const BackendOptions& options, Index least_narrow_side);
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
    void zero(void* memory, std::size_t bytes) override;
    void divide_nodes(NodeSums* others) override;
    CMat all_nodes(CMat own, Mat whole) override;
    void add_parts(std::span<const PartSum> sums, Index count, float* parts) override;
    void add_parts(std::span<const PartSum> sums, Index count, double* parts) override;
    void copy_bytes(const void* from, void* to, std::size_t bytes) override;
    /// Less a reserve for what comes without being planned: scratch of passes, kernels loaded late, graphs.
    std::size_t free_memory() const override;

    std::unique_ptr<Phase> record(std::function<void()> body) override;
    void concurrently(Index count, const std::function<void(Index)>& body) override;
    void wait() override;
    Index run_ahead() const override { return 64; }
    std::unique_ptr<FusedIterations> fuse(std::span<const LayerGroup> groups, const Controls* k, StepSpec spec,
                                          const History& history) override;
    std::unique_ptr<Timeline> timeline() override;
    std::vector<std::string> product_algorithms() const override { return product_algorithms_; }

    void gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) override;
    PropagationOperator propagation_operator(const Csr& adjacency, const GraphOptions& options) override;
    Index spmm_slab_features(Index nodes) const override;
    std::string spmm_algorithm() const override;
    void spmm(const CsrView& a, CMat X, Mat Y) override;
    void gather_columns(CMat X, const std::int32_t* columns, Mat Y) override;

    void p_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g, double* norm_sq) override;
    void W_gradient(CMat W, DecayTo decay, const Controls* k, Mat G, double* norm_sq) override;
    void step_size(Variable variable, const double* norm_sq, CMat h, const Controls* k, StepSpec spec,
                   real* inverse) override;
    void p_step(const StepOfP& a, const Controls* k, StepSpec spec) override;
    void W_b_step(const StepOfWb& a, const Controls* k, StepSpec spec) override;
    void descend(const real* inverse, CMat g, Mat p, CMat h, Mat r) override;
    void descend(const real* inverse, CMat G, Mat W, DecayTo decay, LayerFigures* figures) override;

    void node_product(CMat A, CMat B, Mat C, Precision precision) override;
    void center(CMat X, Mat Y) override;
    void invert(Variable variable, const Controls* k, Mat F, std::int32_t* failed) override;
    void push_through(Variable variable, const Controls* k, CMat X, Mat Y, real* inverse,
                      std::int32_t* failed) override;
    void keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) override;
    void descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                       std::int32_t* pending, MessageHeader* headers) override;
    void node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) override;
    void node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept, NodeSpaceScalars* s,
                          LayerFigures* figures) override;

    void dual_gradient(CMat S, const Controls* k, Mat R) override;
    void conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) override;
    void conjugate_direction(CMat R, CMat T, CMat V, const Controls* k, const ConjugateScalars* s, Mat E, Mat U,
                             real* inverse, NodeSpaceScalars* weights, LayerFigures* figures) override;
    void conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                        Mat R) override;

    void set_inverse(real* inverse, Index layers, double value) override;
    void reset_pending(std::int32_t* pending, Index layers) override;
    void grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                   Mat d) override;
    void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) override;
    void snap(const Quantizer& q, Mat x) override;
    void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) override;
    void difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) override;
    void repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) override;

    void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s,
                         LayerFigures* figures) override;
    void node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) override;
    void scale_by_c(const NodeSpaceScalars* s, Mat A) override;

    void bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) override;
    void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                         MessageHeader* headers) override;
    void last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                   LayerFigures* figures) override;
    void rebuild_q(CMat z, CMat u, const Controls* k, Mat q) override;
    void close_residual(CMat b, CMat z, Mat r) override;
    void schedule(const RhoSchedule& rule, const double* watched, Controls* k) override;
    void archive(const LayerFigures* figures, const Controls* k, const History& history) override;

    void encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) override;
    void decode(const Quantizer& q, const std::byte* message, Mat x) override;
    void dual_step(CMat p_next, CMat q, const Controls* k, Mat u) override;

    void add_bias(CMat b, bool linear, Mat A) override;
    void classify(CMat logits, Labels labels, Tally* tally) override;

    void count_step(Index* step) override;
    void dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) override;
    void loss_gradient(Labels labels, double scale, Mat Z, LayerFigures* figures) override;
    void activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) override;
    void pull(real strength, CMat to, Mat x) override;
    void elastic_pull(real strength, int workers, CMat sum, Mat x, Mat centre) override;
    void optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                        LayerFigures* figures) override;

    /// Where all work begins and ends, but for that inside concurrently().
    cudaStream_t stream() const { return lanes_.front().stream; }

private:
    struct ProductKey {
        Trans ta, tb;
        Index m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, layers;
        Precision precision;
        cuda::Number operands;
        auto operator<=>(const ProductKey&) const = default;
        bool operator==(const ProductKey&) const = default;
    };
    struct Product {
        cuda::ProductDescription description;
        cuda::ProductLayout a, b, c;
        cublasLtMatmulAlgo_t algorithm{};
        bool found = true;     // false: the library has none of these operands
        bool batched = true;   // all layers in one call
        std::size_t line = 0;  // of product_algorithms_
    };
    Product& product(const ProductKey& key);
    Product make_product(const ProductKey& key);
    bool choose_algorithm(const ProductKey& key, cublasComputeType_t type, Product& made);
    static std::string shape_of(const ProductKey& key);
    static void lay_out(const ProductKey& key, Index layers, Product& made);
    void go_layer_by_layer(const ProductKey& key, Product& p);
    /// C = alpha op(A) op(B) + beta C of T, real or double; operands of T, or where key says so of bf16.
    template <typename In, typename T>
    void multiply(const ProductKey& key, T alpha, const In* A, const In* B, T beta, T* C);
    /// The same of operands that are rounded to bf16 before; false where that is not worth while, or the library has no
    /// such product.
    bool multiply_narrow(const ProductKey& key, real alpha, CMat A, CMat B, real beta, Mat C);

    /// A = B B' of each layer, B (m, width), one behind the other.
    void gram_in_double(Index m, Index width, Index layers, const double* B, double* A);
    /// C = A B of each layer, A (m, m), B and C (m, width), one behind the other.
    void product_in_double(Index m, Index width, Index layers, const double* A, const double* B, double* C);

    /// The ranges of C one by one or as a batch, by shape: with the same bits.
    void multiply_ranges(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision);
    void repeat_on_device(const std::int32_t* pending, Index layers, const std::function<void()>& body);
    /// X = A^-1 X, A (m, m) and X (m, width) of each layer at `addresses`, all A first; A becomes its factor.
    void solve_in_double(cuda::Lane& here, Index m, Index width, Index layers, double** addresses, int* info);
    cuda::Lane& lane() { return lanes_[lane_]; }
    void add_lane();
    void load_loop_kernel();
    /// Waits for the stream; where the device was lost, says what is known of it.
    void synchronize(cudaStream_t stream, const std::source_location& where = std::source_location::current());

    int device_;
    Math math_;
    bool graphs_, fused_, fast_spmm_;
    cudaError_t release_failed_ = cudaSuccess;
    Index most_narrow_entries_, least_narrow_side_;
    NodeSums* others_ = nullptr;    // where other ranks hold some of the training nodes
    std::deque<cuda::Lane> lanes_;  // recorded phases keep references
    std::size_t lane_ = 0;
    cuda::BlasHandle blas_;
    std::map<ProductKey, Product> products_;
    std::vector<std::string> product_algorithms_;
    cuda::SparseHandle sparse_;
    std::vector<std::weak_ptr<const cuda::Stall>> stalls_;  // of persistent kernels
};

}  // namespace pdadmm
