// cuSPARSE of the emulation: C = alpha A B + beta C, A (rows, cols) in compressed rows, B and C in either order.
#include <algorithm>
#include <cstring>

#include "cusparse.h"
#include "tests/emulation/device.hpp"

using namespace emulation;

struct cusparseContext {
    cudaStream_t stream = nullptr;
    cusparsePointerMode_t mode = CUSPARSE_POINTER_MODE_HOST;
};
struct cusparseSpMatDescr {
    std::int64_t rows, cols, nnz;
    const void *offsets, *columns, *values;
    cusparseIndexType_t offset_type, column_type;
    cusparseIndexBase_t base;
    cudaDataType type;
    mutable const void* prepared = nullptr;  // buffer of the last preprocessing
};
struct cusparseDnMatDescr {
    std::int64_t rows, cols, ld;
    void* values;
    cudaDataType type;
    cusparseOrder_t order;
    std::int64_t at(std::int64_t i, std::int64_t j) const {
        return order == CUSPARSE_ORDER_ROW ? i * ld + j : j * ld + i;
    }
    std::int64_t extent() const { return rows == 0 || cols == 0 ? 0 : at(rows - 1, cols - 1) + 1; }
};

namespace {

constexpr unsigned char prepared_byte = 0x5A;

struct Multiplication {
    cusparseSpMatDescr A;
    cusparseDnMatDescr B, C;
    double alpha, beta;
    const void *alpha_device, *beta_device;
    void* buffer;
    bool prepared;

    std::size_t buffer_bytes() const { return static_cast<std::size_t>(A.rows + 64) * 8; }

    template <typename T>
    void multiply() const {
        const auto index = [](const void* all, cusparseIndexType_t type, std::int64_t at) {
            return type == CUSPARSE_INDEX_64I ? static_cast<const std::int64_t*>(all)[at]
                                              : static_cast<const std::int32_t*>(all)[at];
        };
        const T a = alpha_device ? *static_cast<const T*>(alpha_device) : static_cast<T>(alpha);
        const T b = beta_device ? *static_cast<const T*>(beta_device) : static_cast<T>(beta);
        const auto* values = static_cast<const T*>(A.values);
        const auto* x = static_cast<const T*>(B.values);
        auto* y = static_cast<T*>(C.values);
        const std::int64_t base = A.base == CUSPARSE_INDEX_BASE_ONE ? 1 : 0;
        for (std::int64_t i = 0; i < A.rows; ++i)
            for (std::int64_t j = 0; j < C.cols; ++j) {
                T sum = 0;
                for (std::int64_t e = index(A.offsets, A.offset_type, i) - base;
                     e < index(A.offsets, A.offset_type, i + 1) - base; ++e)
                    sum += values[e] * x[B.at(index(A.columns, A.column_type, e) - base, j)];
                T& result = y[C.at(i, j)];
                result = b == 0 ? a * sum : a * sum + b * result;
            }
    }

    void run(Device& device) const {
        const std::size_t element = A.type == CUDA_R_64F ? 8 : 4;
        const auto there = [&](const void* at, std::int64_t count, std::size_t bytes) {
            return count == 0 || device.memory.contains(at, static_cast<std::size_t>(count) * bytes);
        };
        const auto width = [](cusparseIndexType_t type) {
            return type == CUSPARSE_INDEX_64I ? std::size_t{8} : std::size_t{4};
        };
        if (!there(A.offsets, A.rows + 1, width(A.offset_type)) || !there(A.columns, A.nnz, width(A.column_type)) ||
            !there(A.values, A.nnz, element) || !there(B.values, B.extent(), element) ||
            !there(C.values, C.extent(), element) || !there(buffer, 1, buffer_bytes()))
            return device.fault("sparse product: an argument is not within an allocation", cudaErrorIllegalAddress);
        auto* bytes = static_cast<unsigned char*>(buffer);
        if (prepared && std::any_of(bytes, bytes + buffer_bytes(), [](unsigned char b) { return b != prepared_byte; }))
            return device.fault("sparse product: the buffer was written after its preprocessing");
        if (!prepared) std::memset(buffer, 0xFF, buffer_bytes());  // who keeps something there loses it
        if (A.type == CUDA_R_64F)
            multiply<double>();
        else
            multiply<float>();
    }
};

bool valid(cusparseOperation_t of_A, cusparseOperation_t of_B, const cusparseSpMatDescr& A, const cusparseDnMatDescr& B,
           const cusparseDnMatDescr& C, cudaDataType compute) {
    return of_A == CUSPARSE_OPERATION_NON_TRANSPOSE && of_B == CUSPARSE_OPERATION_NON_TRANSPOSE && A.cols == B.rows &&
           A.rows == C.rows && B.cols == C.cols && A.offset_type == A.column_type && A.type == compute &&
           B.type == compute && C.type == compute && (compute == CUDA_R_32F || compute == CUDA_R_64F);
}

cusparseStatus_t status_of(cudaError_t status) {
    return status == cudaSuccess ? CUSPARSE_STATUS_SUCCESS : CUSPARSE_STATUS_EXECUTION_FAILED;
}

}  // namespace

cusparseStatus_t cusparseCreate(cusparseHandle_t* handle) {
    *handle = new cusparseContext;
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseDestroy(cusparseHandle_t handle) {
    delete handle;
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseGetVersion(cusparseHandle_t, int* version) {
    *version = 12600;
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseSetStream(cusparseHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseSetPointerMode(cusparseHandle_t handle, cusparsePointerMode_t mode) {
    handle->mode = mode;
    return CUSPARSE_STATUS_SUCCESS;
}
const char* cusparseGetErrorName(cusparseStatus_t status) {
    switch (status) {
        case CUSPARSE_STATUS_SUCCESS:
            return "CUSPARSE_STATUS_SUCCESS";
        case CUSPARSE_STATUS_INVALID_VALUE:
            return "CUSPARSE_STATUS_INVALID_VALUE";
        case CUSPARSE_STATUS_EXECUTION_FAILED:
            return "CUSPARSE_STATUS_EXECUTION_FAILED";
        default:
            return "another cuSPARSE status";
    }
}
const char* cusparseGetErrorString(cusparseStatus_t status) { return cusparseGetErrorName(status); }

cusparseStatus_t cusparseCreateConstCsr(cusparseConstSpMatDescr_t* matrix, std::int64_t rows, std::int64_t cols,
                                        std::int64_t nnz, const void* offsets, const void* columns, const void* values,
                                        cusparseIndexType_t offset_type, cusparseIndexType_t column_type,
                                        cusparseIndexBase_t base, cudaDataType type) {
    if (rows < 0 || cols < 0 || nnz < 0 || !offsets) return CUSPARSE_STATUS_INVALID_VALUE;
    *matrix = new cusparseSpMatDescr{rows, cols, nnz, offsets, columns, values, offset_type, column_type, base, type};
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseCreateCsr(cusparseSpMatDescr_t* matrix, std::int64_t rows, std::int64_t cols, std::int64_t nnz,
                                   void* offsets, void* columns, void* values, cusparseIndexType_t offset_type,
                                   cusparseIndexType_t column_type, cusparseIndexBase_t base, cudaDataType type) {
    cusparseConstSpMatDescr_t created = nullptr;
    const cusparseStatus_t status = cusparseCreateConstCsr(&created, rows, cols, nnz, offsets, columns, values,
                                                           offset_type, column_type, base, type);
    *matrix = const_cast<cusparseSpMatDescr_t>(created);
    return status;
}
cusparseStatus_t cusparseDestroySpMat(cusparseConstSpMatDescr_t matrix) {
    delete matrix;
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseCreateDnMat(cusparseDnMatDescr_t* matrix, std::int64_t rows, std::int64_t cols,
                                     std::int64_t ld, void* values, cudaDataType type, cusparseOrder_t order) {
    if (rows < 0 || cols < 0 || ld < (order == CUSPARSE_ORDER_ROW ? cols : rows)) return CUSPARSE_STATUS_INVALID_VALUE;
    *matrix = new cusparseDnMatDescr{rows, cols, ld, values, type, order};
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseCreateConstDnMat(cusparseConstDnMatDescr_t* matrix, std::int64_t rows, std::int64_t cols,
                                          std::int64_t ld, const void* values, cudaDataType type,
                                          cusparseOrder_t order) {
    cusparseDnMatDescr_t created = nullptr;
    const cusparseStatus_t status =
        cusparseCreateDnMat(&created, rows, cols, ld, const_cast<void*>(values), type, order);
    *matrix = created;
    return status;
}
cusparseStatus_t cusparseDnMatSetValues(cusparseDnMatDescr_t matrix, void* values) {
    matrix->values = values;
    return CUSPARSE_STATUS_SUCCESS;
}
cusparseStatus_t cusparseDestroyDnMat(cusparseConstDnMatDescr_t matrix) {
    delete matrix;
    return CUSPARSE_STATUS_SUCCESS;
}

cusparseStatus_t cusparseSpMM_bufferSize(cusparseHandle_t, cusparseOperation_t of_A, cusparseOperation_t of_B,
                                         const void*, cusparseConstSpMatDescr_t A, cusparseConstDnMatDescr_t B,
                                         const void*, cusparseDnMatDescr_t C, cudaDataType compute, cusparseSpMMAlg_t,
                                         std::size_t* bytes) {
    if (!valid(of_A, of_B, *A, *B, *C, compute)) return CUSPARSE_STATUS_INVALID_VALUE;
    *bytes = Multiplication{*A, *B, *C, 0, 0, nullptr, nullptr, nullptr, false}.buffer_bytes();
    return CUSPARSE_STATUS_SUCCESS;
}

// The buffer now belongs to the matrix until another preprocessing.
cusparseStatus_t cusparseSpMM_preprocess(cusparseHandle_t handle, cusparseOperation_t of_A, cusparseOperation_t of_B,
                                         const void*, cusparseConstSpMatDescr_t A, cusparseConstDnMatDescr_t B,
                                         const void*, cusparseDnMatDescr_t C, cudaDataType compute, cusparseSpMMAlg_t,
                                         void* buffer) {
    if (!valid(of_A, of_B, *A, *B, *C, compute)) return CUSPARSE_STATUS_INVALID_VALUE;
    A->prepared = buffer;
    const std::size_t bytes = Multiplication{*A, *B, *C, 0, 0, nullptr, nullptr, buffer, true}.buffer_bytes();
    return status_of(call([&](Device& device) {
        return device.submit(handle->stream, "preprocessing of a sparse product", [&device, buffer, bytes] {
            if (device.memory.contains(buffer, bytes))
                std::memset(buffer, prepared_byte, bytes);
            else
                device.fault("preprocessing of a sparse product: no such buffer", cudaErrorIllegalAddress);
        });
    }));
}

cusparseStatus_t cusparseSpMM(cusparseHandle_t handle, cusparseOperation_t of_A, cusparseOperation_t of_B,
                              const void* alpha, cusparseConstSpMatDescr_t A, cusparseConstDnMatDescr_t B,
                              const void* beta, cusparseDnMatDescr_t C, cudaDataType compute, cusparseSpMMAlg_t,
                              void* buffer) {
    if (!valid(of_A, of_B, *A, *B, *C, compute)) return CUSPARSE_STATUS_INVALID_VALUE;
    const bool on_device = handle->mode == CUSPARSE_POINTER_MODE_DEVICE;
    const auto read = [&](const void* at) {
        return on_device               ? 0.0
               : compute == CUDA_R_64F ? *static_cast<const double*>(at)
                                       : static_cast<double>(*static_cast<const float*>(at));
    };
    const Multiplication m{*A,
                           *B,
                           *C,
                           read(alpha),
                           read(beta),
                           on_device ? alpha : nullptr,
                           on_device ? beta : nullptr,
                           buffer,
                           A->prepared && A->prepared == buffer};
    return status_of(call([&](Device& device) {
        return device.submit(handle->stream, "sparse product", [m, &device] { m.run(device); });
    }));
}
