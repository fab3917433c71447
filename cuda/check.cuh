// Checked calls and the one place where kernels are launched. An error names the call, the place, the device and the
// library's own words.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>
#include <cusparse.h>

#include <cstddef>
#include <source_location>
#include <string>

#include "pdadmm/error.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm::cuda {

[[noreturn]] void fail(const char* call, const char* words, const std::source_location& where);

/// "1.25 GiB".
std::string gibibytes(std::size_t bytes);

inline void check(cudaError_t status, const char* call,
                  const std::source_location where = std::source_location::current()) {
    if (status != cudaSuccess) fail(call, cudaGetErrorString(status), where);
}
inline void check(cublasStatus_t status, const char* call,
                  const std::source_location where = std::source_location::current()) {
    if (status != CUBLAS_STATUS_SUCCESS) fail(call, cublasGetStatusString(status), where);
}
inline void check(cusparseStatus_t status, const char* call,
                  const std::source_location where = std::source_location::current()) {
    if (status != CUSPARSE_STATUS_SUCCESS) fail(call, cusparseGetErrorString(status), where);
}
inline void check(cusolverStatus_t status, const char* call,
                  const std::source_location where = std::source_location::current()) {
    if (status != CUSOLVER_STATUS_SUCCESS)
        fail(call, ("cuSOLVER status " + std::to_string(static_cast<int>(status))).c_str(), where);
}

/// Dynamic shared memory of a kernel, under the one name that all kernels use.
extern __shared__ __align__(16) std::byte dynamic_shared[];

/// Where a kernel runs. `cluster`: blocks of a cluster along x, 0 is none. `cooperative`: all blocks at the same time.
struct Launch {
    dim3 grid, block;
    cudaStream_t stream = nullptr;
    std::size_t shared_bytes = 0;
    unsigned cluster = 0;
    bool cooperative = false;
};

/// use(configuration) for a launch; its attributes live as long as the call.
template <typename Use>
void with_configuration(const Launch& where, Use use) {
    cudaLaunchAttribute attributes[2] = {};
    cudaLaunchConfig_t config{};
    config.gridDim = where.grid;
    config.blockDim = where.block;
    config.dynamicSmemBytes = where.shared_bytes;
    config.stream = where.stream;
    config.attrs = attributes;
    if (where.cluster > 0) {
        cudaLaunchAttribute& cluster = attributes[config.numAttrs++];
        cluster.id = cudaLaunchAttributeClusterDimension;
        cluster.val.clusterDim.x = where.cluster;
        cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    }
    if (where.cooperative) {
        cudaLaunchAttribute& cooperative = attributes[config.numAttrs++];
        cooperative.id = cudaLaunchAttributeCooperative;
        cooperative.val.cooperative = 1;
    }
    use(config);
}

/// Lets a kernel have as much dynamic shared memory as the launch says.
template <typename... Parameters>
void allow_shared_memory(const char* name, void (*kernel)(Parameters...), const Launch& where) {
    constexpr std::size_t plain_shared_bytes = 48 << 10;  // more must be asked for
    if (where.shared_bytes > plain_shared_bytes)
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(where.shared_bytes)),
              name);
}

/// Launches `kernel` with `arguments`. A grid without blocks is no launch.
template <typename... Parameters, typename... Arguments>
cudaError_t try_launch(const char* name, void (*kernel)(Parameters...), const Launch& where, Arguments... arguments) {
    if (where.grid.x == 0 || where.grid.y == 0 || where.grid.z == 0) return cudaSuccess;
    allow_shared_memory(name, kernel, where);
    cudaError_t status = cudaSuccess;
    with_configuration(where, [&](const cudaLaunchConfig_t& config) {
        status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
    });
    return status;
}
/// The same, and checks the launch.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const Launch& where, Arguments... arguments) {
    check(try_launch(name, kernel, where, arguments...), name);
}
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream,
            Arguments... arguments) {
    launch(name, kernel, Launch{grid, block, stream}, arguments...);
}

/// How many clusters of a launch the device holds at the same time; 0 where it refuses their size.
template <typename... Parameters>
int clusters_at_once(const char* name, void (*kernel)(Parameters...), Launch where) {
    allow_shared_memory(name, kernel, where);
    int clusters = 0;
    where.cooperative = false;  // no part of the question
    with_configuration(where, [&](const cudaLaunchConfig_t& config) {
        if (cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) == cudaSuccess) return;
        cudaGetLastError();  // not sticky: forget it
        clusters = 0;
    });
    return clusters;
}

inline void destroy(cudaStream_t stream) { cudaStreamDestroy(stream); }
inline void destroy(cudaEvent_t event) { cudaEventDestroy(event); }
inline void destroy(cudaGraph_t graph) { cudaGraphDestroy(graph); }
inline void destroy(cudaGraphExec_t graph) { cudaGraphExecDestroy(graph); }
inline void destroy(cublasLtHandle_t handle) { cublasLtDestroy(handle); }
inline void destroy(cublasLtMatmulDesc_t product) { cublasLtMatmulDescDestroy(product); }
inline void destroy(cublasLtMatrixLayout_t layout) { cublasLtMatrixLayoutDestroy(layout); }
inline void destroy(cublasLtMatmulPreference_t preference) { cublasLtMatmulPreferenceDestroy(preference); }
inline void destroy(cublasHandle_t handle) { cublasDestroy(handle); }
inline void destroy(cusolverDnHandle_t handle) { cusolverDnDestroy(handle); }
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
using Event = Handle<cudaEvent_t>;
using Graph = Handle<cudaGraph_t>;
using GraphExec = Handle<cudaGraphExec_t>;
using BlasHandle = Handle<cublasLtHandle_t>;
using ProductDescription = Handle<cublasLtMatmulDesc_t>;
using ProductLayout = Handle<cublasLtMatrixLayout_t>;
using ProductPreference = Handle<cublasLtMatmulPreference_t>;
using TriangularHandle = Handle<cublasHandle_t>;
using SolverHandle = Handle<cusolverDnHandle_t>;
using SparseHandle = Handle<cusparseHandle_t>;
using SparseMatrix = Handle<cusparseSpMatDescr_t>;
using DenseMatrix = Handle<cusparseDnMatDescr_t>;

}  // namespace pdadmm::cuda

#define PDADMM_CUDA_CHECK(call) ::pdadmm::cuda::check((call), #call)
