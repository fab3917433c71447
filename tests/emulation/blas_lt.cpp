// cuBLASLt of the emulation. Its one algorithm remembers the alignment that it was chosen for, and refuses less.
#include <cstring>

#include "cublasLt.h"
#include "tests/emulation/device.hpp"
#include "tests/emulation/product.hpp"

using namespace emulation;

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque_t {
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    cudaDataType_t scale = CUDA_R_32F;
    std::int32_t mode = CUBLASLT_POINTER_MODE_HOST, ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
};
struct cublasLtMatrixLayoutOpaque_t {
    cudaDataType type = CUDA_R_32F;
    std::uint64_t rows = 0, cols = 0;
    std::int64_t ld = 0, stride = 0;
    std::int32_t batch = 1, order = CUBLASLT_ORDER_COL;
};
struct cublasLtMatmulPreferenceOpaque_t {
    std::uint64_t workspace_bytes = 0;
    std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

namespace {

constexpr std::uint64_t mark = 0x70444d4d;  // of an algorithm that the heuristic returned
constexpr std::size_t wanted_workspace = 4096;

template <typename T>
cublasStatus_t set(T& to, const void* value, std::size_t bytes) {
    if (bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

Operand operand(const void* data, const cublasLtMatrixLayoutOpaque_t& layout) {
    return {const_cast<void*>(data),
            layout.type,
            static_cast<std::int64_t>(layout.rows),
            static_cast<std::int64_t>(layout.cols),
            layout.ld,
            layout.stride};
}

bool describe(Product& product, const cublasLtMatmulDescOpaque_t& d, cublasLtMatrixLayout_t A, cublasLtMatrixLayout_t B,
              cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D) {
    product.ta = d.ta != CUBLAS_OP_N;
    product.tb = d.tb != CUBLAS_OP_N;
    product.A = operand(nullptr, *A);
    product.B = operand(nullptr, *B);
    product.C = operand(nullptr, *C);
    product.D = operand(nullptr, *D);
    product.batch = D->batch;
    product.compute = d.compute;
    bool fits = (d.scale == CUDA_R_64F) == product.in_double();
    for (const cublasLtMatrixLayout_t layout : {A, B, C, D})
        fits = fits && layout->batch == D->batch && layout->order == CUBLASLT_ORDER_COL;
    return fits && product.valid();
}

bool aligned(const void* data, std::uint64_t bytes) { return reinterpret_cast<std::uintptr_t>(data) % bytes == 0; }

template <typename T, typename... Arguments>
cublasStatus_t create(T** created, Arguments... arguments) {
    *created = new T{arguments...};
    return CUBLAS_STATUS_SUCCESS;
}
template <typename T>
cublasStatus_t destroy(T* made) {
    delete made;
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return create(handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }
std::size_t cublasLtGetVersion() { return 130000; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    return create(description, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) { return destroy(description); }
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t cols, std::int64_t ld) {
    return create(layout, type, rows, cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) { return create(preference); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return destroy(preference); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
    switch (attribute) {
        case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
            return set(d->compute, value, bytes);
        case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
            return set(d->scale, value, bytes);
        case CUBLASLT_MATMUL_DESC_POINTER_MODE:
            return set(d->mode, value, bytes);
        case CUBLASLT_MATMUL_DESC_TRANSA:
            return set(d->ta, value, bytes);
        case CUBLASLT_MATMUL_DESC_TRANSB:
            return set(d->tb, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, std::size_t bytes) {
    switch (attribute) {
        case CUBLASLT_MATRIX_LAYOUT_TYPE:
            return set(l->type, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_ORDER:
            return set(l->order, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_ROWS:
            return set(l->rows, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_COLS:
            return set(l->cols, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_LD:
            return set(l->ld, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
            return set(l->batch, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
            return set(l->stride, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    std::size_t bytes) {
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return set(p->workspace_bytes, value, bytes);
    if (attribute >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES)
        return set(p->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t A, cublasLtMatrixLayout_t B,
                                              cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
    *found = 0;
    const bool faster = description->compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                        description->compute == CUBLAS_COMPUTE_32F_FAST_16BF || A->type == CUDA_R_16BF;
    if (faster && Device::instance().refused("cublasLtMatmulAlgoGetHeuristic")) return CUBLAS_STATUS_NOT_SUPPORTED;
    Product product;
    if (wanted < 1 || !describe(product, *description, A, B, C, D)) return CUBLAS_STATUS_INVALID_VALUE;
    cublasLtMatmulHeuristicResult_t& result = results[0];
    result = {};
    result.algo.data[0] = mark;
    for (int k = 0; k < 4; ++k) result.algo.data[1 + k] = preference->alignment[k];
    result.algo.data[5] = result.workspaceSize = preference->workspace_bytes >= wanted_workspace ? wanted_workspace : 0;
    result.state = CUBLAS_STATUS_SUCCESS;
    result.wavesCount = 1;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t A,
                                       cublasLtMatrixLayout_t B, cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
    Product product;
    if (algorithm->data[0] != mark || !describe(product, *description, A, B, C, D)) return CUBLAS_STATUS_INVALID_VALUE;
    result->workspaceSize = algorithm->data[5];
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                                                    std::size_t bytes, std::size_t* written) {
    const std::int32_t answer = attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? 1 : 0;
    if (algorithm->data[0] != mark || bytes != sizeof(answer)) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(value, &answer, bytes);
    if (written) *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha, const void* A,
                              cublasLtMatrixLayout_t of_A, const void* B, cublasLtMatrixLayout_t of_B, const void* beta,
                              const void* C, cublasLtMatrixLayout_t of_C, void* D, cublasLtMatrixLayout_t of_D,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t stream) {
    Product product;
    if (!describe(product, *description, of_A, of_B, of_C, of_D)) return CUBLAS_STATUS_INVALID_VALUE;
    if (product.batch > 1 && Device::instance().refused("cublasLtMatmul")) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (algorithm) {
        const std::uint64_t* a = algorithm->data;
        if (a[0] != mark || workspace_bytes < a[5] || !aligned(workspace, 256)) return CUBLAS_STATUS_INVALID_VALUE;
        if (!aligned(A, a[1]) || !aligned(B, a[2]) || !aligned(C, a[3]) || !aligned(D, a[4]))
            return CUBLAS_STATUS_INVALID_VALUE;
    }
    product.A.data = const_cast<void*>(A);
    product.B.data = const_cast<void*>(B);
    product.C.data = const_cast<void*>(C);
    product.D.data = D;
    const bool on_device = description->mode == CUBLASLT_POINTER_MODE_DEVICE;
    product.alpha = product.factor(alpha, on_device);
    product.beta = product.factor(beta, on_device);
    product.workspace = workspace;
    product.workspace_bytes = workspace_bytes;
    return product.submit(stream);
}
