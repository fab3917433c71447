// Words for the status values of cuBLAS and cuBLASLt.
#include "cublas_v2.h"

const char* cublasGetStatusName(cublasStatus_t status) {
#define EMULATION_NAME(value) \
    case value:               \
        return #value
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
