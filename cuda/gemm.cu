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

constexpr cudaDataType_t data_type = sizeof(real) == 4 ? CUDA_R_32F : CUDA_R_64F;
constexpr int most_candidates = 16;

cublasOperation_t blas(Trans t) { return t == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }

cublasComputeType_t compute_type(Precision precision, Math math) {
    if (sizeof(real) == 8) return CUBLAS_COMPUTE_64F;
    if (precision == Precision::full || math == Math::fp32) return CUBLAS_COMPUTE_32F;
    return math == Math::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_FAST_16BF;
}

/// The largest power of two up to 16 that divides a leading dimension and a stride in bytes.
std::uint32_t alignment(Index ld, Index stride) {
    const auto bytes = static_cast<std::uint64_t>((ld | stride) * static_cast<Index>(sizeof(real))) | 16;
    return static_cast<std::uint32_t>(bytes & (~bytes + 1));
}

ProductLayout layout(Index rows, Index cols, Index ld, Index batch, Index stride) {
    ProductLayout made;
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutCreate(made.out(), data_type, static_cast<std::uint64_t>(rows),
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

}  // namespace

/// The algorithm for one layer of a shape.
cublasLtMatmulAlgo_t CudaBackend::choose_algorithm(const ProductKey& key, cublasLtMatmulDesc_t description) {
    const auto [ta, tb, m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, batch, precision] = key;
    const ProductLayout a = layout(ta == Trans::no ? m : k, ta == Trans::no ? k : m, lda, 1, 0);
    const ProductLayout b = layout(tb == Trans::no ? k : n, tb == Trans::no ? n : k, ldb, 1, 0),
                        c = layout(m, n, ldc, 1, 0);
    ProductPreference preference;
    PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
        PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(blas_workspace_bytes));
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(lda, stride_a));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(ldb, stride_b));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(ldc, stride_c));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(ldc, stride_c));
    cublasLtMatmulHeuristicResult_t candidates[most_candidates];
    int found = 0;
    PDADMM_CUDA_CHECK(cublasLtMatmulAlgoGetHeuristic(blas_, description, a, b, c, c, preference, most_candidates,
                                                     candidates, &found));
    for (int i = 0; i < found; ++i)
        if (candidates[i].state == CUBLAS_STATUS_SUCCESS &&
            configured(candidates[i].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1) {
            const char* const names[] = {"fp32", "tf32", "bf16"};
            const bool full = precision == Precision::full || sizeof(real) == 8;
            product_algorithms_.push_back(
                std::string(ta == Trans::yes ? "T" : "N") + (tb == Trans::yes ? "T" : "N") + " " + std::to_string(m) +
                " x " + std::to_string(n) + " x " + std::to_string(k) + " " +
                (full ? sizeof(real) == 8 ? "fp64" : "fp32" : names[static_cast<int>(math_)]) + ": algorithm " +
                std::to_string(configured(candidates[i].algo, CUBLASLT_ALGO_CONFIG_ID)) + ", tile " +
                std::to_string(configured(candidates[i].algo, CUBLASLT_ALGO_CONFIG_TILE_ID)) + ", stages " +
                std::to_string(configured(candidates[i].algo, CUBLASLT_ALGO_CONFIG_STAGES_ID)));
            return candidates[i].algo;
        }
    throw DeviceError("cuBLASLt: no algorithm without split-K for a product of " + std::to_string(m) + " x " +
                      std::to_string(n) + " x " + std::to_string(k) + ", expected one; use --math fp32");
}

const CudaBackend::Product& CudaBackend::product(const ProductKey& key) {
    if (const auto known = products_.find(key); known != products_.end()) return known->second;
    const auto [ta, tb, m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, batch, precision] = key;
    Product p;
    PDADMM_CUDA_CHECK(cublasLtMatmulDescCreate(p.description.out(), compute_type(precision, math_), data_type));
    const cublasOperation_t op_a = blas(ta), op_b = blas(tb);
    PDADMM_CUDA_CHECK(cublasLtMatmulDescSetAttribute(p.description, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
    PDADMM_CUDA_CHECK(cublasLtMatmulDescSetAttribute(p.description, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
    p.algorithm = choose_algorithm(key, p.description);
    const auto lay_out = [&](Index layers) {
        p.a = layout(ta == Trans::no ? m : k, ta == Trans::no ? k : m, lda, layers, stride_a);
        p.b = layout(tb == Trans::no ? k : n, tb == Trans::no ? n : k, ldb, layers, stride_b);
        p.c = layout(m, n, ldc, layers, stride_c);
    };
    lay_out(batch);
    cublasLtMatmulHeuristicResult_t checked{};
    p.batched = batch == 1 || (cublasLtMatmulAlgoCheck(blas_, p.description, p.a, p.b, p.c, p.c, &p.algorithm,
                                                       &checked) == CUBLAS_STATUS_SUCCESS &&
                               checked.workspaceSize <= static_cast<std::size_t>(blas_workspace_bytes));
    if (!p.batched) lay_out(1);  // layer by layer, with the same bits
    return products_.emplace(key, std::move(p)).first->second;
}

void CudaBackend::gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) {
    const Index m = ta == Trans::no ? A.rows : A.cols, k = ta == Trans::no ? A.cols : A.rows;
    const Index kb = tb == Trans::no ? B.rows : B.cols, n = tb == Trans::no ? B.cols : B.rows;
    if (C.rows != m || C.cols != n || k != kb) throw Error(ExitCode::internal, "gemm: shapes differ");
    if (m == 0 || n == 0) return;
    const Product& p = product({ta, tb, m, n, k, A.ld, B.ld, C.ld, A.stride, B.stride, C.stride, C.batch, precision});
    void* workspace = lane().blas_workspace.at_least(blas_workspace_bytes);
    for (Index layer = 0; layer < (p.batched ? 1 : C.batch); ++layer)
        PDADMM_CUDA_CHECK(cublasLtMatmul(blas_, p.description, &alpha, A.layer(layer).data, p.a, B.layer(layer).data,
                                         p.b, &beta, C.layer(layer).data, p.c, C.layer(layer).data, p.c, &p.algorithm,
                                         workspace, static_cast<std::size_t>(blas_workspace_bytes), lane().stream));
}

}  // namespace pdadmm
