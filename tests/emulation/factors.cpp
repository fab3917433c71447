// Cholesky factors and triangular solves of the emulation: the part of cuSOLVER and cuBLAS that inverts.
// Lower triangles only, by plain loops.
#include <cmath>
#include <cstdint>

#include "cublas_v2.h"
#include "cusolverDn.h"
#include "tests/emulation/device.hpp"

using namespace emulation;

struct cublasContext {
    cudaStream_t stream = nullptr;
    void* workspace = nullptr;  // null: the library's own
    std::size_t workspace_bytes = 0;
};
struct cusolverDnContext {
    cudaStream_t stream = nullptr;
};

namespace {

/// Whether the matrices that `addresses` names, (rows, cols) with leading dimension ld, lie in device memory.
bool in_memory(Device& device, const double* const* addresses, int count, int rows, int cols, int ld) {
    if (!device.memory.contains(addresses, static_cast<std::size_t>(count) * sizeof *addresses)) return false;
    const auto elements =
        static_cast<std::size_t>(cols - 1) * static_cast<std::size_t>(ld) + static_cast<std::size_t>(rows);
    for (int i = 0; i < count; ++i)
        if (!device.memory.contains(addresses[i], elements * sizeof(double))) return false;
    return true;
}

int factorise(double* A, int n, int ld) {
    const auto at = [&](int i, int j) -> double& { return A[static_cast<std::ptrdiff_t>(j) * ld + i]; };
    for (int j = 0; j < n; ++j) {
        for (int k = 0; k < j; ++k)
            for (int i = j; i < n; ++i) at(i, j) -= at(i, k) * at(j, k);
        if (!(at(j, j) > 0)) return j + 1;
        const double root = std::sqrt(at(j, j));
        for (int i = j; i < n; ++i) at(i, j) /= root;
    }
    return 0;
}

void solve(bool transposed, const double* L, int ldl, double* X, int ldx, int m, int n, double alpha) {
    const auto l = [&](int i, int j) { return L[static_cast<std::ptrdiff_t>(j) * ldl + i]; };
    for (int c = 0; c < n; ++c) {
        double* x = X + static_cast<std::ptrdiff_t>(c) * ldx;
        for (int i = 0; i < m; ++i) x[i] *= alpha;
        for (int step = 0; step < m; ++step) {
            const int i = transposed ? m - 1 - step : step;
            for (int k = transposed ? i + 1 : 0; k < (transposed ? m : i); ++k)
                x[i] -= (transposed ? l(k, i) : l(i, k)) * x[k];
            x[i] /= l(i, i);
        }
    }
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    *handle = new cublasContext;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    *handle = {stream};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes) {
    if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = workspace;
    handle->workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
    *handle = new cusolverDnContext;
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
    delete handle;
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDpotrfBatched(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, double* A[], int lda,
                                         int* info, int count) {
    if (fill != CUBLAS_FILL_MODE_LOWER || n < 1 || lda < n || count < 0) return CUSOLVER_STATUS_INVALID_VALUE;
    const cudaError_t status = call([&](Device& device) {
        if (handle->stream && handle->stream->capture && device.refused("cusolverDnDpotrfBatched"))
            return device.refuse_capture(*handle->stream);
        return device.submit(handle->stream, "potrf", [=, &device] {
            if (!in_memory(device, A, count, n, n, lda) ||
                !device.memory.contains(info, static_cast<std::size_t>(count) * sizeof(int)))
                return device.fault("potrf: a matrix is not within an allocation", cudaErrorIllegalAddress);
            for (int i = 0; i < count; ++i) info[i] = factorise(A[i], n, lda);
        });
    });
    return status == cudaSuccess ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasDtrsmBatched(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill,
                                  cublasOperation_t op, cublasDiagType_t diagonal, int m, int n, const double* alpha,
                                  const double* const A[], int lda, double* const B[], int ldb, int count) {
    if (side != CUBLAS_SIDE_LEFT || fill != CUBLAS_FILL_MODE_LOWER || diagonal != CUBLAS_DIAG_NON_UNIT || m < 1 ||
        n < 1 || lda < m || ldb < m || count < 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cudaError_t status = call([&](Device& device) {
        // A graph would take the library's own workspace from a pool, which the body of a loop may not.
        if (handle->stream && handle->stream->capture && !handle->workspace)
            return device.refuse_capture(*handle->stream);
        return device.submit(
            handle->stream, "trsm",
            [=, factor = *alpha, workspace = handle->workspace, bytes = handle->workspace_bytes, &device] {
                if (workspace && !device.memory.contains(workspace, bytes))
                    return device.fault("trsm: the workspace is not within an allocation", cudaErrorIllegalAddress);
                if (!in_memory(device, A, count, m, m, lda) || !in_memory(device, B, count, m, n, ldb))
                    return device.fault("trsm: a matrix is not within an allocation", cudaErrorIllegalAddress);
                for (int i = 0; i < count; ++i) solve(op != CUBLAS_OP_N, A[i], lda, B[i], ldb, m, n, factor);
            });
    });
    return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
