// Dense products of the CUDA backend by cuBLASLt.
//
// The algorithm of a product is the heuristic's first choice for one layer of that shape, without split-K: it depends
// on shape, strides' alignment, precision and library version, and neither on the number of layers nor on a timing. So
// a stack gives the bits of its layers one by one.
#include <algorithm>

#include "cuda/cuda_backend.cuh"
#include "cuda/narrow_operands.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

constexpr int most_candidates = 16;

cublasOperation_t blas(Trans t) { return t == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }
constexpr Number working_number = sizeof(real) == sizeof(double) ? Number::fp64 : Number::fp32;
Number result_of(Number operands) { return operands == Number::fp64 ? Number::fp64 : Number::fp32; }
cudaDataType_t data_type(Number number) {
    return number == Number::fp64 ? CUDA_R_64F : number == Number::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}
Index bytes_of(Number number) { return number == Number::fp64 ? 8 : number == Number::bf16 ? 2 : 4; }

const char* name_of(cublasComputeType_t type, Number operands) {
    if (operands == Number::bf16) return "bf16 operands";
    switch (type) {
        case CUBLAS_COMPUTE_64F:
            return "fp64";
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            return "tf32";
        case CUBLAS_COMPUTE_32F_FAST_16BF:
            return "bf16";
        default:
            return "fp32";
    }
}

/// The largest power of two up to 16 that divides a leading dimension and a stride in bytes.
std::uint32_t alignment(Index ld, Index stride, Number number) {
    const auto bytes = static_cast<std::uint64_t>((ld | stride) * bytes_of(number)) | 16;
    return static_cast<std::uint32_t>(bytes & (~bytes + 1));
}

ProductLayout layout(Number number, Index rows, Index cols, Index ld, Index batch, Index stride) {
    ProductLayout made;
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutCreate(made.out(), data_type(number), static_cast<std::uint64_t>(rows),
                                                 static_cast<std::uint64_t>(cols), ld));
    const auto count = static_cast<std::int32_t>(batch);
    PDADMM_CUDA_CHECK(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    PDADMM_CUDA_CHECK(
        cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
    return made;
}

std::int32_t configured(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
    std::int32_t value = 0;
    std::size_t written = 0;
    PDADMM_CUDA_CHECK(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written));
    return value;
}

/// What the library answers where a call is right but not for it; no fault of the device.
bool declined(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
           status == CUBLAS_STATUS_ARCH_MISMATCH;
}

}  // namespace

/// The description and algorithm for one layer of a shape; false where the library has none of that type.
bool CudaBackend::choose_algorithm(const ProductKey& key, cublasComputeType_t type, Product& made) {
    ProductDescription description;
    PDADMM_CUDA_CHECK(cublasLtMatmulDescCreate(description.out(), type, data_type(result_of(key.operands))));
    const cublasOperation_t op_a = blas(key.ta), op_b = blas(key.tb);
    PDADMM_CUDA_CHECK(cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
    PDADMM_CUDA_CHECK(cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
    lay_out(key, 1, made);
    ProductPreference preference;
    PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
        PDADMM_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
    };
    const Number result = result_of(key.operands);
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(blas_workspace_bytes));
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(key.lda, key.stride_a, key.operands));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(key.ldb, key.stride_b, key.operands));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(key.ldc, key.stride_c, result));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(key.ldc, key.stride_c, result));
    cublasLtMatmulHeuristicResult_t candidates[most_candidates];
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas_, description, made.a, made.b, made.c, made.c,
                                                                 preference, most_candidates, candidates, &found);
    if (declined(status)) return false;
    check(status, "cublasLtMatmulAlgoGetHeuristic");
    for (int i = 0; i < found; ++i) {
        const cublasLtMatmulAlgo_t& algorithm = candidates[i].algo;
        if (candidates[i].state != CUBLAS_STATUS_SUCCESS || configured(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) > 1)
            continue;
        made.description = std::move(description);
        made.algorithm = algorithm;
        made.line = product_algorithms_.size();
        product_algorithms_.push_back(shape_of(key) + " " + name_of(type, key.operands) + ": algorithm " +
                                      std::to_string(configured(algorithm, CUBLASLT_ALGO_CONFIG_ID)) + ", tile " +
                                      std::to_string(configured(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID)) +
                                      ", stages " +
                                      std::to_string(configured(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID)));
        return true;
    }
    return false;
}

std::string CudaBackend::shape_of(const ProductKey& key) {
    return std::string(key.ta == Trans::yes ? "T" : "N") + (key.tb == Trans::yes ? "T" : "N") + " " +
           std::to_string(key.m) + " x " + std::to_string(key.n) + " x " + std::to_string(key.k);
}

void CudaBackend::lay_out(const ProductKey& key, Index layers, Product& made) {
    const auto [ta, tb, m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, all, precision, operands] = key;
    const auto apart = [layers](Index stride) { return layers > 1 ? stride : 0; };  // one layer is chosen for as such
    made.a = layout(operands, ta == Trans::no ? m : k, ta == Trans::no ? k : m, lda, layers, apart(stride_a));
    made.b = layout(operands, tb == Trans::no ? k : n, tb == Trans::no ? n : k, ldb, layers, apart(stride_b));
    made.c = layout(result_of(operands), m, n, ldc, layers, apart(stride_c));
}

CudaBackend::Product CudaBackend::make_product(const ProductKey& key) {
    Product p;
    const cublasComputeType_t full = key.operands == Number::fp64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
    if (key.operands == Number::bf16) {
        p.found = choose_algorithm(key, full, p);
        if (!p.found) product_algorithms_.push_back(shape_of(key) + ": no algorithm with bf16 operands");
        return p;
    }
    const bool faster = key.operands == Number::fp32 && key.precision == Precision::working && math_ != Math::fp32;
    const cublasComputeType_t wanted = !faster               ? full
                                       : math_ == Math::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                             : CUBLAS_COMPUTE_32F_FAST_16BF;
    if (!choose_algorithm(key, wanted, p)) {
        if (!faster || !choose_algorithm(key, full, p))
            throw DeviceError("cuBLASLt: no algorithm without split-K for a product of " + std::to_string(key.m) +
                              " x " + std::to_string(key.n) + " x " + std::to_string(key.k) +
                              ", expected one; use --backend cpu");
        product_algorithms_[p.line] += std::string(", for there is none of ") + name_of(wanted, key.operands);
    }
    lay_out(key, key.layers, p);
    cublasLtMatmulHeuristicResult_t checked{};
    if (key.layers > 1 && (cublasLtMatmulAlgoCheck(blas_, p.description, p.a, p.b, p.c, p.c, &p.algorithm, &checked) !=
                               CUBLAS_STATUS_SUCCESS ||
                           checked.workspaceSize > static_cast<std::size_t>(blas_workspace_bytes)))
        go_layer_by_layer(key, p);
    return p;
}

/// With the same bits.
void CudaBackend::go_layer_by_layer(const ProductKey& key, Product& p) {
    p.batched = false;
    lay_out(key, 1, p);
    product_algorithms_[p.line] += ", layer by layer";
}

CudaBackend::Product& CudaBackend::product(const ProductKey& key) {
    const auto known = products_.find(key);
    return known != products_.end() ? known->second : products_.emplace(key, make_product(key)).first->second;
}

template <typename In, typename T>
void CudaBackend::multiply(const ProductKey& key, T alpha, const In* A, const In* B, T beta, T* C) {
    if (key.m == 0 || key.n == 0) return;
    Product& p = product(key);
    void* workspace = lane().blas_workspace.at_least(blas_workspace_bytes);
    const auto call = [&](Index layer) {
        T* to = C + layer * key.stride_c;
        return cublasLtMatmul(blas_, p.description, &alpha, A + layer * key.stride_a, p.a, B + layer * key.stride_b,
                              p.b, &beta, to, p.c, to, p.c, &p.algorithm, workspace,
                              static_cast<std::size_t>(blas_workspace_bytes), lane().stream);
    };
    if (p.batched) {
        const cublasStatus_t status = call(0);
        if (key.layers == 1 || !declined(status)) return check(status, "cublasLtMatmul");
        go_layer_by_layer(key, p);  // the check before was no promise
    }
    for (Index layer = 0; layer < key.layers; ++layer) check(call(layer), "cublasLtMatmul");
}

void CudaBackend::gemm(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C, Precision precision) {
    const Index m = ta == Trans::no ? A.rows : A.cols, k = ta == Trans::no ? A.cols : A.rows;
    const Index kb = tb == Trans::no ? B.rows : B.cols, n = tb == Trans::no ? B.cols : B.rows;
    if (C.rows != m || C.cols != n || k != kb) throw Error(ExitCode::internal, "gemm: shapes differ");
    if (C.range > 0 && C.range < C.cols) return multiply_ranges(ta, tb, alpha, A, B, beta, C, precision);
    ProductKey key{ta, tb, m, n, k, A.ld, B.ld, C.ld, A.stride, B.stride, C.stride, C.batch, precision, working_number};
    if (multiply_narrow(key, alpha, A, B, beta, C)) return;
    if (precision == Precision::split) key.precision = Precision::full;
    multiply(key, alpha, A.data, B.data, beta, C.data);
}

// A call has the columns of one range: a library may add otherwise where there are more. Ranges of equal length are a
// batch of each layer, or layers one of each range, whatever are fewer calls.
void CudaBackend::multiply_ranges(Trans ta, Trans tb, real alpha, CMat A, CMat B, real beta, Mat C,
                                  Precision precision) {
    const NodeRanges ranges(C);
    const auto some = [&](CMat b, Index first, Index count) {
        if (tb == Trans::no) return b.columns(first, count);
        return CMat{b.data + first, count, b.cols, b.ld, b.batch, b.stride};
    };
    const auto by_itself = [&](Index range) {
        const Index first = ranges.first(range), count = ranges.size(range);
        gemm(ta, tb, alpha, A, some(B, first, count), beta, C.columns(first, count), precision);
    };
    const Index equal = C.cols / ranges.length;
    if (C.batch >= equal) {
        for (Index range = 0; range < ranges.count; ++range) by_itself(range);
        return;
    }
    for (Index layer = 0; layer < C.batch; ++layer) {
        CMat a = A.layer(layer), b = some(B.layer(layer), 0, ranges.length);
        Mat c = C.layer(layer).columns(0, ranges.length);
        a.batch = b.batch = c.batch = equal;
        a.stride = 0;
        b.stride = tb == Trans::no ? ranges.length * b.ld : ranges.length;
        c.stride = ranges.length * c.ld;
        gemm(ta, tb, alpha, a, b, beta, c, precision);
    }
    if (equal < ranges.count) by_itself(equal);
}

// The operand with columns of C goes part by part. A sum over columns has no parts: who forms it over many nodes calls
// range by range (node_product). A split product is that of the rounded operands and those of each with what rounding
// left of the other, the small ones first.
bool CudaBackend::multiply_narrow(const ProductKey& wide, real alpha, CMat A, CMat B, real beta, Mat C) {
    const bool split = wide.precision == Precision::split;
    const bool wanted = split ? math_ != Math::fp32 : wide.precision == Precision::working && math_ == Math::bf16;
    if (!wanted || working_number != Number::fp32 || std::min({wide.m, wide.n, wide.k}) < least_narrow_side_)
        return false;
    const bool in_parts = wide.tb == Trans::no;
    const Index columns = in_parts ? narrow_columns(B.rows, C.cols) : C.cols, last = C.cols % columns;
    ProductKey key = wide;
    key.precision = Precision::working;
    key.operands = Number::bf16;
    key.layers = 1;
    key.lda = narrow_ld(A.rows);
    key.ldb = narrow_ld(B.rows);
    key.stride_a = key.stride_b = 0;
    for (const Index width : {last, columns}) {
        key.n = width;
        if (width > 0 && !product(key).found) return false;
    }
    const Index of_A = key.lda * A.cols, of_B = key.ldb * (in_parts ? columns : B.cols), pieces = split ? 2 : 1;
    std::uint16_t* const narrow_A = lane().narrow_A.at_least(pieces * of_A);
    std::uint16_t* const narrow_B = lane().narrow_B.at_least(pieces * of_B);
    std::uint16_t *const rest_A = split ? narrow_A + of_A : nullptr, *const rest_B = split ? narrow_B + of_B : nullptr;
    for (Index layer = 0; layer < C.batch; ++layer) {
        if (layer == 0 || A.stride > 0) narrow(lane(), A.layer(layer), narrow_A, rest_A);
        for (Index first = 0; first < C.cols; first += columns) {
            key.n = std::min(columns, C.cols - first);
            narrow(lane(), in_parts ? B.layer(layer).columns(first, key.n) : B.layer(layer), narrow_B, rest_B);
            real* const to = C.layer(layer).columns(first, key.n).data;
            if (split) {
                multiply(key, alpha, narrow_A, rest_B, beta, to);
                multiply(key, alpha, rest_A, narrow_B, real(1), to);
            }
            multiply(key, alpha, narrow_A, narrow_B, split ? real(1) : beta, to);
        }
    }
    return true;
}

void CudaBackend::gram_in_double(Index m, Index width, Index layers, const double* B, double* A) {
    multiply({Trans::no, Trans::yes, m, m, width, m, m, m, m * width, m * width, m * m, layers, Precision::full,
              Number::fp64},
             1.0, B, B, 0.0, A);
}

void CudaBackend::product_in_double(Index m, Index width, Index layers, const double* A, const double* B, double* C) {
    multiply({Trans::no, Trans::no, m, width, m, m, m, m, m * m, m * width, m * width, layers, Precision::full,
              Number::fp64},
             1.0, A, B, 0.0, C);
}

}  // namespace pdadmm
