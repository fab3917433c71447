// Ceilings on a CUDA device (library_calls.hpp). Bare calls run on one stream of their own, beside nothing else.
#include <climits>
#include <cmath>

#include "bench/gpu/library_calls.hpp"
#include "cuda/check.cuh"

namespace pdadmm::bench {
namespace {

using namespace pdadmm::cuda;

constexpr cudaDataType_t data_type = sizeof(real) == 4 ? CUDA_R_32F : CUDA_R_64F;
constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what the library recommends on compute capability 9
constexpr int threads = 256;

/// Device memory of a bare call.
class Memory {
public:
    explicit Memory(std::size_t bytes) {
        if (bytes > 0) PDADMM_CUDA_CHECK(cudaMalloc(&data_, bytes));
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { cudaFree(data_); }
    void* data() const { return data_; }

private:
    void* data_ = nullptr;
};

cudaStream_t stream() {
    static Stream made;
    if (!made) PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(made.out(), cudaStreamNonBlocking));
    return made;
}

/// Steele, Lea and Flood's finaliser: bits of one counter are independent of the next one's.
__device__ std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
__device__ double uniform(std::uint64_t x) { return static_cast<double>(mixed(x) >> 11) * 0x1p-53; }

__global__ void draw_kernel(Mat a, std::uint64_t seed) {
    const Index count = a.rows * a.cols * a.batch;
    for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += static_cast<Index>(gridDim.x) * blockDim.x) {
        const Index layer = i / (a.rows * a.cols), within = i % (a.rows * a.cols);
        a.data[layer * a.stride + within / a.rows * a.ld + within % a.rows] =
            static_cast<real>(2 * uniform(seed + static_cast<std::uint64_t>(i)) - 1);
    }
}

__global__ void columns_kernel(const Index* offsets, Index rows, Index cols, double power, std::int32_t* columns) {
    constexpr int warp = 32;
    const Index step = static_cast<Index>(gridDim.x) * blockDim.x / warp;
    for (Index row = (static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x) / warp; row < rows; row += step) {
        const Index first = offsets[row], degree = offsets[row + 1] - first;
        for (Index k = threadIdx.x % warp; k < degree; k += warp) {
            const double u =
                (static_cast<double>(k) + uniform(static_cast<std::uint64_t>(first + k))) / static_cast<double>(degree);
            const auto column = static_cast<Index>(static_cast<double>(cols) * pow(u, power));
            columns[first + k] = static_cast<std::int32_t>(column < cols ? column : cols - 1);
        }
    }
}

__global__ void nothing_kernel() {}

cublasComputeType_t compute_type(Math math) {
    if (sizeof(real) == 8) return CUBLAS_COMPUTE_64F;
    switch (math) {
        case Math::fp32:
            return CUBLAS_COMPUTE_32F;
        case Math::tf32:
            return CUBLAS_COMPUTE_32F_FAST_TF32;
        case Math::bf16:
            return CUBLAS_COMPUTE_32F_FAST_16BF;
    }
    return CUBLAS_COMPUTE_32F;
}

ProductLayout layout(CMat a, cudaDataType_t type = data_type) {
    ProductLayout made;
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutCreate(made.out(), type, static_cast<std::uint64_t>(a.rows),
                                                 static_cast<std::uint64_t>(a.cols), a.ld));
    const auto count = static_cast<std::int32_t>(a.batch);
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &a.stride,
                                                       sizeof a.stride));
    return made;
}

/// One bare product, its algorithm chosen at set-up. Operands in bf16 are whatever lies where A and B begin: half of
/// their bits.
class BareProduct {
public:
    BareProduct(Trans ta, Trans tb, CMat A, CMat B, Mat C, Math math, Choice choice)
        : A_(A), B_(B), C_(C), workspace_(workspace_bytes) {
        PDADMM_CUDA_CHECK(cublasLtCreate(blas_.out()));
        const bool narrow = math == Math::bf16 && choice == Choice::same && data_type == CUDA_R_32F;
        const cudaDataType_t operands = narrow ? CUDA_R_16BF : data_type;
        PDADMM_CUDA_CHECK(
            cublasLtMatmulDescCreate(description_.out(), narrow ? CUBLAS_COMPUTE_32F : compute_type(math), data_type));
        const cublasOperation_t op_a = ta == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N,
                                op_b = tb == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
        PDADMM_CUDA_CHECK(
            cublasLtMatmulDescSetAttribute(description_, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
        PDADMM_CUDA_CHECK(
            cublasLtMatmulDescSetAttribute(description_, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
        a_ = layout(A, operands);
        b_ = layout(B, operands);
        c_ = layout(C);
        ProductPreference preference;
        PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
        const std::uint64_t bytes = workspace_bytes;
        PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                               &bytes, sizeof bytes));
        if (choice == Choice::same) {
            const std::uint32_t none = CUBLASLT_REDUCTION_SCHEME_NONE;
            PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(
                preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &none, sizeof none));
        }
        cublasLtMatmulHeuristicResult_t first{};
        int found = 0;
        PDADMM_CUDA_CHECK(
            cublasLtMatmulAlgoGetHeuristic(blas_, description_, a_, b_, c_, c_, preference, 1, &first, &found));
        if (found == 0) throw DeviceError("cuBLASLt: no algorithm for a bare product, expected one");
        algorithm_ = first.algo;
    }
    void operator()() const {
        const real one = 1, zero = 0;
        PDADMM_CUDA_CHECK(cublasLtMatmul(blas_, description_, &one, A_.data, a_, B_.data, b_, &zero, C_.data, c_,
                                         C_.data, c_, &algorithm_, workspace_.data(), workspace_bytes, stream()));
    }

private:
    CMat A_, B_;
    Mat C_;
    Memory workspace_;
    BlasHandle blas_;
    ProductDescription description_;
    ProductLayout a_, b_, c_;
    cublasLtMatmulAlgo_t algorithm_{};
};

/// One bare SpMM; offsets as narrow as they fit, which is what the library is fastest with.
class BareHop {
public:
    BareHop(cusparseSpMMAlg_t algorithm, const CsrView& a, CMat X, Mat Y)
        : algorithm_(algorithm),
          narrow_(a.nnz <= INT32_MAX ? static_cast<std::size_t>(a.rows + 1) * sizeof(std::int32_t) : 0) {
        void* offsets = const_cast<Index*>(a.offsets);
        if (narrow_.data()) {
            std::vector<Index> wide(static_cast<std::size_t>(a.rows + 1));
            PDADMM_CUDA_CHECK(cudaMemcpy(wide.data(), a.offsets, wide.size() * sizeof(Index), cudaMemcpyDeviceToHost));
            const std::vector<std::int32_t> host(wide.begin(), wide.end());
            PDADMM_CUDA_CHECK(
                cudaMemcpy(narrow_.data(), host.data(), host.size() * sizeof(std::int32_t), cudaMemcpyHostToDevice));
            offsets = narrow_.data();
        }
        PDADMM_CUDA_CHECK(cusparseCreate(sparse_.out()));
        PDADMM_CUDA_CHECK(cusparseSetStream(sparse_, stream()));
        PDADMM_CUDA_CHECK(cusparseCreateCsr(matrix_.out(), a.rows, a.cols, a.nnz, offsets,
                                            const_cast<std::int32_t*>(a.columns), const_cast<real*>(a.values),
                                            narrow_.data() ? CUSPARSE_INDEX_32I : CUSPARSE_INDEX_64I,
                                            CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO, data_type));
        PDADMM_CUDA_CHECK(cusparseCreateDnMat(x_.out(), X.cols, X.rows, X.ld, const_cast<real*>(X.data), data_type,
                                              CUSPARSE_ORDER_ROW));
        PDADMM_CUDA_CHECK(cusparseCreateDnMat(y_.out(), Y.cols, Y.rows, Y.ld, Y.data, data_type, CUSPARSE_ORDER_ROW));
        std::size_t bytes = 0;
        PDADMM_CUDA_CHECK(cusparseSpMM_bufferSize(sparse_, plain, plain, &one, matrix_, x_, &zero, y_, data_type,
                                                  algorithm_, &bytes));
        workspace_ = std::make_unique<Memory>(bytes);
        PDADMM_CUDA_CHECK(cusparseSpMM_preprocess(sparse_, plain, plain, &one, matrix_, x_, &zero, y_, data_type,
                                                  algorithm_, workspace_->data()));
    }
    void operator()() const {
        PDADMM_CUDA_CHECK(cusparseSpMM(sparse_, plain, plain, &one, matrix_, x_, &zero, y_, data_type, algorithm_,
                                       workspace_->data()));
    }

private:
    static constexpr cusparseOperation_t plain = CUSPARSE_OPERATION_NON_TRANSPOSE;
    static constexpr real one = 1, zero = 0;
    cusparseSpMMAlg_t algorithm_;
    Memory narrow_;
    std::unique_ptr<Memory> workspace_;
    SparseHandle sparse_;
    SparseMatrix matrix_;
    DenseMatrix x_, y_;
};

std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

}  // namespace

std::unique_ptr<Backend> open_backend(Math math, bool graphs, bool fused) {
    BackendOptions options;
    options.math = math;
    options.graphs = graphs;
    options.fused = fused;
    return make_backend("cuda", options);
}

std::vector<std::pair<std::string, std::string>> device_facts() {
    cudaDeviceProp p{};
    int driver = 0, runtime = 0;
    PDADMM_CUDA_CHECK(cudaGetDeviceProperties(&p, 0));
    PDADMM_CUDA_CHECK(cudaDriverGetVersion(&driver));
    PDADMM_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    SparseHandle sparse;
    int sparse_version = 0;
    PDADMM_CUDA_CHECK(cusparseCreate(sparse.out()));
    PDADMM_CUDA_CHECK(cusparseGetVersion(sparse, &sparse_version));
    return {{"device", p.name},
            {"compute capability", std::to_string(p.major) + "." + std::to_string(p.minor)},
            {"multiprocessors", std::to_string(p.multiProcessorCount)},
            {"L2 bytes", std::to_string(p.l2CacheSize)},
            {"memory bytes", std::to_string(p.totalGlobalMem)},
            {"driver's CUDA", version(driver)},
            {"CUDA runtime", version(runtime)},
            {"cuBLASLt", std::to_string(cublasLtGetVersion())},
            {"cuSPARSE", std::to_string(sparse_version)}};
}

std::size_t device_memory() {
    std::size_t free_bytes = 0, total = 0;
    PDADMM_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total));
    return total;
}

void wait() { PDADMM_CUDA_CHECK(cudaDeviceSynchronize()); }

void draw(Mat a, std::uint64_t seed) {
    const Index blocks = (a.rows * a.cols * a.batch + threads - 1) / threads;
    launch("draw", draw_kernel, static_cast<unsigned>(blocks < 65536 ? blocks : 65536), threads, stream(), a, seed);
    wait();
}

void draw_columns(const Index* offsets, Index rows, Index cols, double power, std::int32_t* columns) {
    const Index blocks = (rows * 32 + threads - 1) / threads;
    launch("draw_columns", columns_kernel, static_cast<unsigned>(blocks < 65536 ? blocks : 65536), threads, stream(),
           offsets, rows, cols, power, columns);
    wait();
}

Call copy_call(const void* from, void* to, std::size_t bytes) {
    return [=] { PDADMM_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream())); };
}

Call product_call(Trans ta, Trans tb, CMat A, CMat B, Mat C, Math math, Choice choice) {
    return [product = std::make_shared<BareProduct>(ta, tb, A, B, C, math, choice)] { (*product)(); };
}

Call hop_call(int algorithm, const CsrView& a, CMat X, Mat Y) {
    constexpr cusparseSpMMAlg_t algorithms[] = {CUSPARSE_SPMM_CSR_ALG1, CUSPARSE_SPMM_CSR_ALG2, CUSPARSE_SPMM_CSR_ALG3};
    return [hop = std::make_shared<BareHop>(algorithms[algorithm - 1], a, X, Y)] { (*hop)(); };
}

// 1 + 3/4 of the last bit that TF32 keeps (2^-10): rounding gives 1 + 2^-10, truncation 1.
std::string tf32_rounding() {
    constexpr Index n = 256;
    const real probe = static_cast<real>(1 + 0.75 * 0x1p-10);
    std::vector<real> a(n * n, probe), identity(n * n, 0), c(n * n);
    for (Index i = 0; i < n; ++i) identity[static_cast<std::size_t>(i * n + i)] = 1;
    const std::size_t bytes = a.size() * sizeof(real);
    const Memory A(bytes), I(bytes), C(bytes);
    PDADMM_CUDA_CHECK(cudaMemcpy(A.data(), a.data(), bytes, cudaMemcpyHostToDevice));
    PDADMM_CUDA_CHECK(cudaMemcpy(I.data(), identity.data(), bytes, cudaMemcpyHostToDevice));
    const auto view = [](const Memory& m) { return Mat{static_cast<real*>(m.data()), n, n, n}; };
    product_call(Trans::no, Trans::no, view(A), view(I), view(C), Math::tf32, Choice::same)();
    wait();
    PDADMM_CUDA_CHECK(cudaMemcpy(c.data(), C.data(), bytes, cudaMemcpyDeviceToHost));
    if (c[0] == probe) return "keeps all bits";
    if (c[0] == static_cast<real>(1 + 0x1p-10)) return "rounds";
    return c[0] == 1 ? "truncates" : "gives " + std::to_string(c[0]) + " for " + std::to_string(probe);
}

double graph_node_seconds(int count) {
    Graph graph;
    GraphExec exec;
    PDADMM_CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < count; ++i) launch("nothing", nothing_kernel, 1, 1, stream());
    PDADMM_CUDA_CHECK(cudaStreamEndCapture(stream(), graph.out()));
    PDADMM_CUDA_CHECK(cudaGraphInstantiate(exec.out(), graph, 0));
    Event began, ended;
    PDADMM_CUDA_CHECK(cudaEventCreate(began.out()));
    PDADMM_CUDA_CHECK(cudaEventCreate(ended.out()));
    float best = HUGE_VALF;
    for (int round = 0; round < 10; ++round) {  // the first ones warm up
        PDADMM_CUDA_CHECK(cudaEventRecord(began, stream()));
        PDADMM_CUDA_CHECK(cudaGraphLaunch(exec, stream()));
        PDADMM_CUDA_CHECK(cudaEventRecord(ended, stream()));
        PDADMM_CUDA_CHECK(cudaEventSynchronize(ended));
        float milliseconds = 0;
        PDADMM_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, began, ended));
        best = std::fmin(best, milliseconds);
    }
    return 1e-3 * static_cast<double>(best) / count;
}

}  // namespace pdadmm::bench
