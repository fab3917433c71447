// The augmentation's products on the CUDA backend: cuSPARSE, and the choice of columns.
#include "cuda/cuda_backend.cuh"

namespace pdadmm {
namespace {

constexpr cudaDataType_t data_type = sizeof(real) == 4 ? CUDA_R_32F : CUDA_R_64F;

__global__ void narrow_kernel(const Index* from, std::int32_t* to, Index count) {
    const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) to[i] = static_cast<std::int32_t>(from[i]);
}

__global__ void gather_kernel(const real* from, Index from_ld, const std::int32_t* columns, real* to, Index to_ld, Index rows, Index cols) {
    for (Index j = blockIdx.y; j < cols; j += gridDim.y)
        for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows; i += static_cast<Index>(gridDim.x) * blockDim.x)
            to[j * to_ld + i] = from[columns[j] * from_ld + i];
}

}  // namespace

// Made anew for every product: neither the addresses nor the sizes of a graph tell that it is the one of the last product.
const CudaBackend::SparseOperator& CudaBackend::sparse_operator(const CsrView& a) {
    operator_.matrix = {};
    void* offsets = const_cast<Index*>(a.offsets);
    const bool narrow = a.nnz <= INT32_MAX;
    if (narrow) {
        if (operator_.offsets.count() < a.rows + 1) operator_.offsets = {*this, a.rows + 1};
        constexpr int threads = 256;
        cuda::launch("narrow_kernel", narrow_kernel, static_cast<unsigned>((a.rows + threads) / threads), threads, lane().stream, a.offsets,
                     operator_.offsets.data(), a.rows + 1);
        offsets = operator_.offsets.data();
    }
    PDADMM_CUDA_CHECK(cusparseCreateCsr(operator_.matrix.out(), a.rows, a.cols, a.nnz, offsets, const_cast<std::int32_t*>(a.columns),
                                        const_cast<real*>(a.values), narrow ? CUSPARSE_INDEX_32I : CUSPARSE_INDEX_64I, CUSPARSE_INDEX_32I,
                                        CUSPARSE_INDEX_BASE_ZERO, data_type));
    return operator_;
}

// Features x nodes in column-major order is nodes x features in row-major order, for which cuSPARSE's ALG2 is made.
void CudaBackend::spmm(const CsrView& a, CMat X, Mat Y) {
    if (X.cols != a.cols || Y.cols != a.rows || X.rows != Y.rows) throw Error(ExitCode::internal, "spmm: shapes differ");
    const SparseOperator& sparse = sparse_operator(a);
    cuda::DenseMatrix x, y;
    PDADMM_CUDA_CHECK(cusparseCreateDnMat(x.out(), X.cols, X.rows, X.ld, const_cast<real*>(X.data), data_type, CUSPARSE_ORDER_ROW));
    PDADMM_CUDA_CHECK(cusparseCreateDnMat(y.out(), Y.cols, Y.rows, Y.ld, Y.data, data_type, CUSPARSE_ORDER_ROW));
    const real one = 1, zero = 0;
    std::size_t bytes = 0;
    PDADMM_CUDA_CHECK(cusparseSpMM_bufferSize(sparse_, CUSPARSE_OPERATION_NON_TRANSPOSE, CUSPARSE_OPERATION_NON_TRANSPOSE, &one, sparse.matrix, x, &zero, y,
                                              data_type, CUSPARSE_SPMM_CSR_ALG2, &bytes));
    if (static_cast<Index>(bytes) > spmm_workspace_.count()) spmm_workspace_ = {*this, static_cast<Index>(bytes)};
    PDADMM_CUDA_CHECK(cusparseSpMM(sparse_, CUSPARSE_OPERATION_NON_TRANSPOSE, CUSPARSE_OPERATION_NON_TRANSPOSE, &one, sparse.matrix, x, &zero, y, data_type,
                                   CUSPARSE_SPMM_CSR_ALG2, spmm_workspace_.data()));
}

void CudaBackend::gather_columns(CMat X, const std::int32_t* columns, Mat Y) {
    if (X.rows != Y.rows) throw Error(ExitCode::internal, "gather_columns: shapes differ");
    constexpr unsigned threads = 128;
    const auto blocks = static_cast<unsigned>((Y.rows + threads - 1) / threads);
    const unsigned columns_at_once = Y.cols < 32768 ? static_cast<unsigned>(Y.cols) : 32768u;
    cuda::launch("gather_kernel", gather_kernel, dim3(blocks, columns_at_once), threads, lane().stream, X.data, X.ld, columns, Y.data, Y.ld, Y.rows, Y.cols);
}

}  // namespace pdadmm
