// The augmentation on the CUDA backend: sparse products by cuSPARSE, and the choice of columns.
#include "cuda/augmentation.cuh"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "cuda/cuda_backend.cuh"

namespace pdadmm {
namespace cuda {
namespace {

constexpr cudaDataType_t data_type = sizeof(real) == 4 ? CUDA_R_32F : CUDA_R_64F;
constexpr real one = 1, zero = 0;

/// Blocks along one side of a grid; a kernel goes round where there is more work.
unsigned blocks_for(Index work, Index of_a_block) {
    return static_cast<unsigned>(std::min<Index>(65535, (work + of_a_block - 1) / of_a_block));
}

template <typename From, typename To>
__global__ void convert_kernel(const From* from, To* to, Index count) {
    const Index step = static_cast<Index>(gridDim.x) * blockDim.x;
    for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
        to[i] = static_cast<To>(from[i]);
}

template <typename From, typename To>
Buffer<To> converted(Backend& backend, cudaStream_t stream, const From* from, Index count) {
    constexpr unsigned threads = 256;
    Buffer<To> to(backend, count);
    launch("convert_kernel", convert_kernel<From, To>, blocks_for(count, threads), threads, stream, from, to.data(),
           count);
    return to;
}

}  // namespace

// Offsets and columns have one width, the only form that cuSPARSE documents for this product: 32 bits where every
// offset fits.
SpmmPlan::SpmmPlan(Backend& backend, cudaStream_t stream, const CsrView& a, Index most_narrow_entries)
    : backend_(backend), operator_(a), narrow_(a.nnz <= std::min<Index>(most_narrow_entries, INT32_MAX)) {
    if (narrow_)
        offsets_ = converted<Index, std::int32_t>(backend, stream, a.offsets, a.rows + 1);
    else
        columns_ = converted<std::int32_t, std::int64_t>(backend, stream, a.columns, a.nnz);
}

SpmmPlan::Slab& SpmmPlan::slab(cusparseHandle_t handle, cusparseSpMMAlg_t algorithm, CMat X, Mat Y) {
    for (Slab& s : slabs_)
        if (s.features == X.rows && s.x_ld == X.ld && s.y_ld == Y.ld) return s;
    Slab s{X.rows, X.ld, Y.ld, {}, {}, {}, {}};
    const auto change = [](auto* at) {
        return const_cast<std::remove_const_t<std::remove_pointer_t<decltype(at)>>*>(at);
    };
    void* offsets = narrow_ ? static_cast<void*>(offsets_.data()) : change(operator_.offsets);
    void* columns = narrow_ ? static_cast<void*>(change(operator_.columns)) : columns_.data();
    const cusparseIndexType_t width = narrow_ ? CUSPARSE_INDEX_32I : CUSPARSE_INDEX_64I;
    PDADMM_CUDA_CHECK(cusparseCreateCsr(s.a.out(), operator_.rows, operator_.cols, operator_.nnz, offsets, columns,
                                        change(operator_.values), width, width, CUSPARSE_INDEX_BASE_ZERO, data_type));
    // Features x nodes in column-major order is nodes x features in row-major order, for which ALG2 and ALG3 are made.
    PDADMM_CUDA_CHECK(
        cusparseCreateDnMat(s.x.out(), X.cols, X.rows, X.ld, change(X.data), data_type, CUSPARSE_ORDER_ROW));
    PDADMM_CUDA_CHECK(cusparseCreateDnMat(s.y.out(), Y.cols, Y.rows, Y.ld, Y.data, data_type, CUSPARSE_ORDER_ROW));
    std::size_t bytes = 0;
    PDADMM_CUDA_CHECK(cusparseSpMM_bufferSize(handle, CUSPARSE_OPERATION_NON_TRANSPOSE,
                                              CUSPARSE_OPERATION_NON_TRANSPOSE, &one, s.a, s.x, &zero, s.y, data_type,
                                              algorithm, &bytes));
    s.workspace = {backend_, static_cast<Index>(bytes)};
    if (algorithm == CUSPARSE_SPMM_CSR_ALG3)  // no other gains by it
        PDADMM_CUDA_CHECK(cusparseSpMM_preprocess(handle, CUSPARSE_OPERATION_NON_TRANSPOSE,
                                                  CUSPARSE_OPERATION_NON_TRANSPOSE, &one, s.a, s.x, &zero, s.y,
                                                  data_type, algorithm, s.workspace.data()));
    slabs_.push_back(std::move(s));
    return slabs_.back();
}

void SpmmPlan::multiply(cusparseHandle_t handle, cusparseSpMMAlg_t algorithm, CMat X, Mat Y) {
    Slab& s = slab(handle, algorithm, X, Y);
    PDADMM_CUDA_CHECK(cusparseDnMatSetValues(s.x, const_cast<real*>(X.data)));
    PDADMM_CUDA_CHECK(cusparseDnMatSetValues(s.y, Y.data));
    PDADMM_CUDA_CHECK(cusparseSpMM(handle, CUSPARSE_OPERATION_NON_TRANSPOSE, CUSPARSE_OPERATION_NON_TRANSPOSE, &one,
                                   s.a, s.x, &zero, s.y, data_type, algorithm, s.workspace.data()));
}

namespace {

constexpr unsigned gather_lanes = 32, gather_columns_a_block = 8;

/// As many numbers as one instruction loads.
struct alignas(16) Pack {
    real values[16 / sizeof(real)];
};

/// T: a number or a Pack. Leading dimensions and rows in T; a row of threads a column.
template <typename T>
__global__ void gather_kernel(const T* from, Index from_ld, const std::int32_t* columns, T* to, Index to_ld, Index rows,
                              Index cols) {
    const Index first = static_cast<Index>(blockIdx.x) * gather_columns_a_block + threadIdx.y,
                step = static_cast<Index>(gridDim.x) * gather_columns_a_block;
    for (Index j = first; j < cols; j += step) {
        const T* source = from + columns[j] * from_ld;
        for (Index i = static_cast<Index>(blockIdx.y) * gather_lanes + threadIdx.x; i < rows;
             i += static_cast<Index>(gridDim.y) * gather_lanes)
            to[j * to_ld + i] = source[i];
    }
}

template <typename T>
void gather(cudaStream_t stream, CMat X, const std::int32_t* columns, Mat Y) {
    constexpr Index loads_a_thread = 8, pack = sizeof(T) / sizeof(real);
    const Index rows = Y.rows / pack;
    launch("gather_kernel", gather_kernel<T>,
           dim3(blocks_for(Y.cols, gather_columns_a_block), blocks_for(rows, gather_lanes * loads_a_thread)),
           dim3(gather_lanes, gather_columns_a_block), stream, reinterpret_cast<const T*>(X.data), X.ld / pack, columns,
           reinterpret_cast<T*>(Y.data), Y.ld / pack, rows, Y.cols);
}

}  // namespace
}  // namespace cuda

PropagationOperator CudaBackend::propagation_operator(const Csr& adjacency, const GraphOptions& options) {
    PropagationOperator a = cuda::prepare_graph(*this, lane().stream, adjacency, options);
    a.plan = std::make_shared<cuda::SpmmPlan>(*this, lane().stream, a.view(), most_narrow_entries_);
    return a;
}

// The kernels of cuSPARSE cut wide rows themselves. Nothing says that they count elements of a dense matrix in more
// than 32 bits.
Index CudaBackend::spmm_slab_features(Index nodes) const {
    constexpr Index whole = 32;
    return std::max<Index>(whole, std::numeric_limits<std::int32_t>::max() / std::max<Index>(1, nodes) / whole * whole);
}

std::string CudaBackend::spmm_algorithm() const { return fast_spmm_ ? "cuSPARSE CSR_ALG2" : "cuSPARSE CSR_ALG3"; }

void CudaBackend::spmm(const CsrView& a, CMat X, Mat Y) {
    if (X.cols != a.cols || Y.cols != a.rows || X.rows != Y.rows)
        throw Error(ExitCode::internal, "spmm: shapes differ");
    if (Y.rows == 0 || Y.cols == 0) return;
    if (a.nnz == 0) return fill(Y, 0);
    const cusparseSpMMAlg_t algorithm = fast_spmm_ ? CUSPARSE_SPMM_CSR_ALG2 : CUSPARSE_SPMM_CSR_ALG3;
    PDADMM_CUDA_CHECK(cusparseSetStream(sparse_, lane().stream));
    if (a.plan)
        static_cast<cuda::SpmmPlan*>(a.plan)->multiply(sparse_, algorithm, X, Y);
    else
        cuda::SpmmPlan(*this, lane().stream, a, most_narrow_entries_).multiply(sparse_, algorithm, X, Y);
}

void CudaBackend::gather_columns(CMat X, const std::int32_t* columns, Mat Y) {
    if (X.rows != Y.rows) throw Error(ExitCode::internal, "gather_columns: shapes differ");
    constexpr Index pack = sizeof(cuda::Pack) / sizeof(real);
    const auto whole = [](CMat m) {
        return reinterpret_cast<std::uintptr_t>(m.data) % sizeof(cuda::Pack) == 0 && m.ld % pack == 0;
    };
    if (whole(X) && whole(Y) && Y.rows % pack == 0)
        cuda::gather<cuda::Pack>(lane().stream, X, columns, Y);
    else
        cuda::gather<real>(lane().stream, X, columns, Y);
}

}  // namespace pdadmm
