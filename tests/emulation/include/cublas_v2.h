// Stand-in for cuBLAS' header: products of stacks of matrices.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime.h"
#include "library_types.h"

enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_ARCH_MISMATCH = 8,
    CUBLAS_STATUS_MAPPING_ERROR = 11,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_INTERNAL_ERROR = 14,
    CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C };
enum cublasPointerMode_t { CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE };
enum cublasMath_t {
    CUBLAS_DEFAULT_MATH = 0,
    CUBLAS_PEDANTIC_MATH = 2,
    CUBLAS_TF32_TENSOR_OP_MATH = 3,
    CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16
};
enum cublasComputeType_t {
    CUBLAS_COMPUTE_32F = 68,
    CUBLAS_COMPUTE_32F_PEDANTIC = 69,
    CUBLAS_COMPUTE_64F = 70,
    CUBLAS_COMPUTE_64F_PEDANTIC = 71,
    CUBLAS_COMPUTE_32F_FAST_16BF = 75,
    CUBLAS_COMPUTE_32F_FAST_TF32 = 77
};
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1, CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99 };

struct cublasContext;
using cublasHandle_t = cublasContext*;

cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasGetVersion(cublasHandle_t handle, int* version);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes);
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode);
const char* cublasGetStatusName(cublasStatus_t status);
const char* cublasGetStatusString(cublasStatus_t status);

cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, std::int64_t m, std::int64_t n, std::int64_t k,
                                             const void* alpha, const void* A, cudaDataType a_type, std::int64_t a_ld, long long a_stride, const void* B,
                                             cudaDataType b_type, std::int64_t b_ld, long long b_stride, const void* beta, void* C, cudaDataType c_type,
                                             std::int64_t c_ld, long long c_stride, std::int64_t batch, cublasComputeType_t compute, cublasGemmAlgo_t algorithm);

inline cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void* alpha,
                                                 const void* A, cudaDataType a_type, int a_ld, long long a_stride, const void* B, cudaDataType b_type, int b_ld,
                                                 long long b_stride, const void* beta, void* C, cudaDataType c_type, int c_ld, long long c_stride, int batch,
                                                 cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
    return cublasGemmStridedBatchedEx_64(handle, ta, tb, m, n, k, alpha, A, a_type, a_ld, a_stride, B, b_type, b_ld, b_stride, beta, C, c_type, c_ld, c_stride,
                                         batch, compute, algorithm);
}
inline cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, std::int64_t m, std::int64_t n, std::int64_t k,
                                      const void* alpha, const void* A, cudaDataType a_type, std::int64_t a_ld, const void* B, cudaDataType b_type,
                                      std::int64_t b_ld, const void* beta, void* C, cudaDataType c_type, std::int64_t c_ld, cublasComputeType_t compute,
                                      cublasGemmAlgo_t algorithm) {
    return cublasGemmStridedBatchedEx_64(handle, ta, tb, m, n, k, alpha, A, a_type, a_ld, 0, B, b_type, b_ld, 0, beta, C, c_type, c_ld, 0, 1, compute,
                                         algorithm);
}
inline cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const void* alpha, const void* A,
                                   cudaDataType a_type, int a_ld, const void* B, cudaDataType b_type, int b_ld, const void* beta, void* C, cudaDataType c_type,
                                   int c_ld, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
    return cublasGemmEx_64(handle, ta, tb, m, n, k, alpha, A, a_type, a_ld, B, b_type, b_ld, beta, C, c_type, c_ld, compute, algorithm);
}
