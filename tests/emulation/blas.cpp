// cuBLAS of the emulation.
#include "tests/emulation/product.hpp"

using namespace emulation;

struct cublasContext {
    cudaStream_t stream = nullptr;
    void* workspace = nullptr;
    std::size_t workspace_bytes = 0;
    cublasPointerMode_t mode = CUBLAS_POINTER_MODE_HOST;
    cublasMath_t math = CUBLAS_DEFAULT_MATH;
};

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    *handle = new cublasContext;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion(cublasHandle_t, int* version) {
    *version = 130000;
    return CUBLAS_STATUS_SUCCESS;
}
// Forgets the workspace, as the library does.
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    handle->workspace = nullptr;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
    *stream = handle->stream;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes) {
    if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = workspace;
    handle->workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
    handle->mode = mode;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
    *mode = handle->math;
    return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusName(cublasStatus_t status) {
#define EMULATION_NAME(value) case value: return #value
    switch (status) {
        EMULATION_NAME(CUBLAS_STATUS_SUCCESS);
        EMULATION_NAME(CUBLAS_STATUS_NOT_INITIALIZED);
        EMULATION_NAME(CUBLAS_STATUS_ALLOC_FAILED);
        EMULATION_NAME(CUBLAS_STATUS_INVALID_VALUE);
        EMULATION_NAME(CUBLAS_STATUS_ARCH_MISMATCH);
        EMULATION_NAME(CUBLAS_STATUS_MAPPING_ERROR);
        EMULATION_NAME(CUBLAS_STATUS_EXECUTION_FAILED);
        EMULATION_NAME(CUBLAS_STATUS_INTERNAL_ERROR);
        EMULATION_NAME(CUBLAS_STATUS_NOT_SUPPORTED);
    }
#undef EMULATION_NAME
    return "unknown status";
}
const char* cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }

cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, std::int64_t m, std::int64_t n, std::int64_t k,
                                             const void* alpha, const void* A, cudaDataType a_type, std::int64_t a_ld, long long a_stride, const void* B,
                                             cudaDataType b_type, std::int64_t b_ld, long long b_stride, const void* beta, void* C, cudaDataType c_type,
                                             std::int64_t c_ld, long long c_stride, std::int64_t batch, cublasComputeType_t compute, cublasGemmAlgo_t) {
    Product product;
    product.ta = ta != CUBLAS_OP_N;
    product.tb = tb != CUBLAS_OP_N;
    product.A = {const_cast<void*>(A), a_type, product.ta ? k : m, product.ta ? m : k, a_ld, a_stride};
    product.B = {const_cast<void*>(B), b_type, product.tb ? n : k, product.tb ? k : n, b_ld, b_stride};
    product.C = product.D = {C, c_type, m, n, c_ld, c_stride};
    product.batch = batch;
    product.compute = compute == CUBLAS_COMPUTE_32F && handle->math == CUBLAS_TF32_TENSOR_OP_MATH ? CUBLAS_COMPUTE_32F_FAST_TF32 : compute;
    if (!product.valid()) return CUBLAS_STATUS_INVALID_VALUE;
    product.alpha = product.factor(alpha, handle->mode == CUBLAS_POINTER_MODE_DEVICE);
    product.beta = product.factor(beta, handle->mode == CUBLAS_POINTER_MODE_DEVICE);
    product.workspace = handle->workspace;
    product.workspace_bytes = handle->workspace_bytes;
    return product.submit(handle->stream);
}
