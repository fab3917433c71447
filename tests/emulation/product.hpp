// Products of stacks of matrices for both BLAS interfaces: D = alpha op(A) op(B) + beta C, inputs rounded as the
// compute type demands.
#pragma once

#include <cstdint>
#include <variant>

#include "cublas_v2.h"
#include "tests/emulation/device.hpp"

namespace emulation {

struct Operand {
    void* data = nullptr;
    cudaDataType type = CUDA_R_32F;
    std::int64_t rows = 0, cols = 0, ld = 0;  // as stored, column by column
    std::int64_t stride = 0;
};

/// A factor: a number, or where it is in device memory when the work runs.
struct Factor {
    double value = 0;
    const void* device = nullptr;
};

struct Product {
    bool ta = false, tb = false;
    Operand A, B, C, D;
    std::int64_t batch = 1;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    Factor alpha, beta;
    void* workspace = nullptr;
    std::size_t workspace_bytes = 0;

    bool in_double() const { return compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC; }
    /// Reads a factor from host memory now, or remembers where it is on the device.
    Factor factor(const void* at, bool on_device) const;
    /// Shapes and types that the library refuses.
    bool valid() const;
    /// Queues the product.
    cublasStatus_t submit(cudaStream_t stream) const;

private:
    void run(Device& device) const;
    template <typename T>
    void multiply() const;
};

}  // namespace emulation
