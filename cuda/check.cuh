// Checked calls and the one place where kernels are launched. An error names the call, the place, the device and the
// library's own words.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusparse.h>

#include <source_location>
#include <string>

#include "pdadmm/error.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm::cuda {

[[noreturn]] void fail(const char* call, const char* words, const std::source_location& where);

inline void check(cudaError_t status, const char* call, const std::source_location where = std::source_location::current()) {
    if (status != cudaSuccess) fail(call, cudaGetErrorString(status), where);
}
inline void check(cublasStatus_t status, const char* call, const std::source_location where = std::source_location::current()) {
    if (status != CUBLAS_STATUS_SUCCESS) fail(call, cublasGetStatusString(status), where);
}
inline void check(cusparseStatus_t status, const char* call, const std::source_location where = std::source_location::current()) {
    if (status != CUSPARSE_STATUS_SUCCESS) fail(call, cusparseGetErrorString(status), where);
}

/// Launches `kernel` with `arguments` and checks the launch. A grid without blocks is no launch.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream, Arguments... arguments) {
    if (grid.x == 0 || grid.y == 0) return;
    kernel<<<grid, block, 0, stream>>>(arguments...);
    check(cudaGetLastError(), name);
}

inline void destroy(cudaStream_t stream) { cudaStreamDestroy(stream); }
inline void destroy(cublasHandle_t handle) { cublasDestroy(handle); }
inline void destroy(cusparseHandle_t handle) { cusparseDestroy(handle); }
inline void destroy(cusparseSpMatDescr_t matrix) { cusparseDestroySpMat(matrix); }
inline void destroy(cusparseDnMatDescr_t matrix) { cusparseDestroyDnMat(matrix); }

/// Move-only owner of a library handle.
template <typename T>
class Handle {
public:
    Handle() = default;
    Handle(Handle&& other) noexcept : value_(other.value_) { other.value_ = nullptr; }
    Handle& operator=(Handle&& other) noexcept {
        const T mine = value_;
        value_ = other.value_;
        other.value_ = mine;
        return *this;
    }
    ~Handle() {
        if (value_) destroy(value_);
    }
    T* out() { return &value_; }
    operator T() const { return value_; }

private:
    T value_ = nullptr;
};
using Stream = Handle<cudaStream_t>;
using BlasHandle = Handle<cublasHandle_t>;
using SparseHandle = Handle<cusparseHandle_t>;
using SparseMatrix = Handle<cusparseSpMatDescr_t>;
using DenseMatrix = Handle<cusparseDnMatDescr_t>;

}  // namespace pdadmm::cuda

#define PDADMM_CUDA_CHECK(call) ::pdadmm::cuda::check((call), #call)
