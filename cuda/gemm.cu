// Dense products of the CUDA backend by cuBLASLt.
//
// The algorithm of a product is the heuristic's first choice for one layer of that shape, without split-K: it depends
// on shape, strides' alignment, precision and library version, and neither on the number of layers nor on a timing. So
// a stack gives the bits of its layers one by one.
#include <algorithm>

#include "cuda/cuda_backend.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

constexpr int most_candidates = 16;

cublasOperation_t blas(Trans t) { return t == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }
cudaDataType_t data_type(bool in_double) { return in_double ? CUDA_R_64F : CUDA_R_32F; }
Index bytes_of(bool in_double) { return in_double ? sizeof(double) : sizeof(float); }

const char* name_of(cublasComputeType_t type) {
    switch (type) {
        case CUBLAS_COMPUTE_64F:
            return "fp64";
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            return "tf32";
        case CUBLAS_COMPUTE_32F_FAST_16BF:
            return "bf16";
        default:
            return "fp32";
    }
}

/// The largest power of two up to 16 that divides a leading dimension and a stride in bytes.
std::uint32_t alignment(Index ld, Index stride, bool in_double) {
    const auto bytes = static_cast<std::uint64_t>((ld | stride) * bytes_of(in_double)) | 16;
    return static_cast<std::uint32_t>(bytes & (~bytes + 1));
}

ProductLayout layout(bool in_double, Index rows, Index cols, Index ld, Index batch, Index stride) {
    ProductLayout made;
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutCreate(made.out(), data_type(in_double), static_cast<std::uint64_t>(rows),
                                                 static_cast<std::uint64_t>(cols), ld));
    const auto count = static_cast<std::int32_t>(batch);
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    PDADMM_CUDA_CHECK(
        cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
    return made;
}

std::int32_t configured(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
    std::int32_t value = 0;
    std::size_t written = 0;
    PDADMM_CUDA_CHECK(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written));
    return value;
}

/// What the library answers where a call is right but not for it; no fault of the device.
bool declined(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
           status == CUBLAS_STATUS_ARCH_MISMATCH;
}

}  // namespace

/// The description and algorithm for one layer of a shape; false where the library has none of that type.
bool CudaBackend::choose_algorithm(const ProductKey& key, cublasComputeType_t type, Product& made) {
    ProductDescription description;
    PDADMM_CUDA_CHECK(cublasLtMatmulDescCreate(description.out(), type, data_type(key.in_double)));
    const cublasOperation_t op_a = blas(key.ta), op_b = blas(key.tb);
    PDADMM_CUDA_CHECK(cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
    PDADMM_CUDA_CHECK(cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
    lay_out(key, 1, made);
    ProductPreference preference;
    PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
        PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
    };
    const auto aligned = [&key](Index ld, Index stride) { return alignment(ld, stride, key.in_double); };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(blas_workspace_bytes));
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned(key.lda, key.stride_a));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned(key.ldb, key.stride_b));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned(key.ldc, key.stride_c));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned(key.ldc, key.stride_c));
    cublasLtMatmulHeuristicResult_t candidates[most_candidates];
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas_, description, made.a, made.b, made.c, made.c,
                                                                 preference, most_candidates, candidates, &found);
    if (declined(status)) return false;
    check(status, "cublasLtMatmulAlgoGetHeuristic");
    for (int i = 0; i < found; ++i) {
        const cublasLtMatmulAlgo_t& algorithm = candidates[i].algo;
        if (candidates[i].state != CUBLAS_STATUS_SUCCESS || configured(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) > 1)
            continue;
        made.description = std::move(description);
        made.algorithm = algorithm;
        made.line = product_algorithms_.size();
        product_algorithms_.push_back(
            std::string(key.ta == Trans::yes ? "T" : "N") + (key.tb == Trans::yes ? "T" : "N") + " " +
            std::to_string(key.m) + " x " + std::to_string(key.n) + " x " + std::to_string(key.k) + " " +
            name_of(type) + ": algorithm " + std::to_string(configured(algorithm, CUBLASLT_ALGO_CONFIG_ID)) +
            ", tile " + std::to_string(configured(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID)) + ", stages " +
            std::to_string(configured(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID)));
        return true;
    }
    return false;
}

void CudaBackend::lay_out(const ProductKey& key, Index layers, Product& made) {
    const auto [ta, tb, m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, all, precision, in_double] = key;
    made.a = layout(in_double, ta == Trans::no ? m : k, ta == Trans::no ? k : m, lda, layers, stride_a);
    made.b = layout(in_double, tb == Trans::no ? k : n, tb == Trans::no ? n : k, ldb, layers, stride_b);
    made.c = layout(in_double, m, n, ldc, layers, stride_c);
}

CudaBackend::Product CudaBackend::make_product(const ProductKey& key) {
    Product p;
    const cublasComputeType_t full = key.in_double ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
    const bool faster = !key.in_double && key.precision == Precision::working && math_ != Math::fp32;
    const cublasComputeType_t wanted = !faster               ? full
                                       : math_ == Math::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                             : CUBLAS_COMPUTE_32F_FAST_16BF;
    if (!choose_algorithm(key, wanted, p)) {
        if (!faster || !choose_algorithm(key, full, p))
            throw DeviceError("cuBLASLt: no algorithm without split-K for a product of " + std::to_string(key.m) +
                              " x " + std::to_string(key.n) + " x " + std::to_string(key.k) +
                              ", expected one; use --backend cpu");
        product_algorithms_[p.line] += std::string(", for there is none of ") + name_of(wanted);
    }
    lay_out(key, key.layers, p);
    cublasLtMatmulHeuristicResult_t checked{};
    if (key.layers > 1 && (cublasLtMatmulAlgoCheck(blas_, p.description, p.a, p.b, p.c, p.c, &p.algorithm, &checked) !=
                               CUBLAS_STATUS_SUCCESS ||
                           checked.workspaceSize > static_cast<std::size_t>(blas_workspace_bytes)))
        go_layer_by_layer(key, p);
    return p;
}

/// With the same bits.
void CudaBackend::go_layer_by_layer(const ProductKey& key, Product& p) {
    p.batched = false;
    lay_out(key, 1, p);
    product_algorithms_[p.line] += ", layer by layer";
}

CudaBackend::Product& CudaBackend::product(const ProductKey& key) {
    const auto known = products_.find(key);
    return known != products_.end() ? known->second : products_.emplace(key, make_product(key)).first->second;
}

template <typename T>
void CudaBackend::multiply(const ProductKey& key, T alpha, const T* A, const T* B, T beta, T* C) {
    if (key.m == 0 || key.n == 0) return;
    Product& p = product(key);
    void* workspace = lane().blas_workspace.at_least(blas_workspace_bytes);
    const auto call = [&](Index layer) {
        T* to = C + layer * key.stride_c;
        return cublasLtMatmul(blas_, p.description, &alpha, A + layer * key.stride_a, p.a, B + layer * key.stride_b,
                              p.b, &beta, to, p.c, to, p.c, &p.algorithm, workspace,
                              static_cast<std::size_t>(blas_workspace_bytes), lane().stream);
    };
    if (p.batched) {
        const cublasStatus_t status = call(0);
        if (key.layers == 1 || !declined(status)) return check(status, "cublasLtMatmul");
        go_layer_by_layer(key, p);  // the check before was no promise
    }
    for (Index layer = 0; layer < key.layers; ++layer) check(call(layer), "cublasLtMatmul");
}

void CudaBackend::gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) {
    const Index m = ta == Trans::no ? A.rows : A.cols, k = ta == Trans::no ? A.cols : A.rows;
    const Index kb = tb == Trans::no ? B.rows : B.cols, n = tb == Trans::no ? B.cols : B.rows;
    if (C.rows != m || C.cols != n || k != kb) throw Error(ExitCode::internal, "gemm: shapes differ");
    multiply({ta, tb, m, n, k, A.ld, B.ld, C.ld, A.stride, B.stride, C.stride, C.batch, precision, sizeof(real) == 8},
             alpha, A.data, B.data, beta, C.data);
}

void CudaBackend::gram_in_double(Index m, Index width, Index layers, const double* B, double* A) {
    multiply({Trans::no, Trans::yes, m, m, width, m, m, m, m * width, m * width, m * m, layers, Precision::full, true},
             1.0, B, B, 0.0, A);
}

}  // namespace pdadmm
