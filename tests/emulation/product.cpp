#include "tests/emulation/product.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "host/blas/blas.hpp"

namespace emulation {

using pdadmm::blas_gemm;
using pdadmm::BlasTrans;

namespace {

std::size_t size_of(cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_16BF ? 2 : 4; }

/// x with `bits` bits of mantissa, half to even or truncated; infinities and NaN stay.
float rounded(float x, int bits, bool truncated = false) {
    const auto image = std::bit_cast<std::uint32_t>(x);
    if ((image & 0x7f800000u) == 0x7f800000u) return x;
    const int drop = 23 - bits;
    const std::uint32_t half = truncated ? 0 : (1u << (drop - 1)) - 1 + (image >> drop & 1u);
    return std::bit_cast<float>((image + half) & ~((1u << drop) - 1));
}

double load(const Operand& o, std::int64_t at) {
    if (o.type == CUDA_R_64F) return static_cast<const double*>(o.data)[at];
    if (o.type == CUDA_R_16BF)
        return std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(o.data)[at]) << 16);
    return static_cast<const float*>(o.data)[at];
}

void store(const Operand& o, std::int64_t at, double x) {
    if (o.type == CUDA_R_64F)
        static_cast<double*>(o.data)[at] = x;
    else if (o.type == CUDA_R_16BF)
        static_cast<std::uint16_t*>(o.data)[at] =
            static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(rounded(static_cast<float>(x), 7)) >> 16);
    else
        static_cast<float*>(o.data)[at] = static_cast<float>(x);
}

constexpr int tf32_bits = 10;
int mantissa_bits(cublasComputeType_t compute) {
    return compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? tf32_bits : compute == CUBLAS_COMPUTE_32F_FAST_16BF ? 7 : 23;
}

/// op(o) of one matrix of the stack, dense.
template <typename T>
std::vector<T> dense(const Operand& o, bool transposed, std::int64_t layer, int bits) {
    const bool truncated = bits == tf32_bits && Device::instance().truncates_tf32;
    std::vector<T> all(static_cast<std::size_t>(o.rows * o.cols));
    for (std::int64_t j = 0; j < o.cols; ++j)
        for (std::int64_t i = 0; i < o.rows; ++i) {
            T x = static_cast<T>(load(o, layer * o.stride + j * o.ld + i));
            if constexpr (sizeof(T) == 4)
                if (bits < 23) x = rounded(x, bits, truncated);
            all[static_cast<std::size_t>(transposed ? i * o.cols + j : j * o.rows + i)] = x;
        }
    return all;
}

void multiply(const std::vector<float>& A, const std::vector<float>& B, std::vector<float>& C, int m, int n, int k) {
    blas_gemm(BlasTrans::no, BlasTrans::no, m, n, k, 1.0f, A.data(), m, B.data(), k, 0, C.data(), m);
}
void multiply(const std::vector<double>& A, const std::vector<double>& B, std::vector<double>& C, int m, int n, int k) {
    blas_gemm(BlasTrans::no, BlasTrans::no, m, n, k, 1.0, A.data(), m, B.data(), k, 0, C.data(), m);
}

bool in_memory(const Device& device, const Operand& o, std::int64_t batch) {
    if (o.rows == 0 || o.cols == 0 || batch == 0) return true;
    const std::int64_t elements = (batch - 1) * o.stride + (o.cols - 1) * o.ld + o.rows;
    return device.memory.contains(o.data, static_cast<std::size_t>(elements) * size_of(o.type));
}

}  // namespace

Factor Product::factor(const void* at, bool on_device) const {
    if (on_device) return {0, at};
    return {in_double() ? *static_cast<const double*>(at) : static_cast<double>(*static_cast<const float*>(at)),
            nullptr};
}

bool Product::valid() const {
    const std::int64_t k = ta ? A.rows : A.cols;
    if ((ta ? A.cols : A.rows) != D.rows || (tb ? B.cols : B.rows) != k || (tb ? B.rows : B.cols) != D.cols ||
        batch < 0)
        return false;
    for (const Operand* o : {&A, &B, &C, &D}) {
        if (o->rows < 0 || o->cols < 0 || o->ld < std::max<std::int64_t>(1, o->rows)) return false;
        if ((o->type == CUDA_R_64F) != in_double()) return false;
    }
    return A.type == B.type && C.type == D.type && C.rows == D.rows && C.cols == D.cols;
}

template <typename T>
void Product::multiply() const {
    const auto m = static_cast<int>(D.rows), n = static_cast<int>(D.cols), k = static_cast<int>(ta ? A.rows : A.cols);
    const auto read = [](const Factor& f) {
        return f.device ? *static_cast<const T*>(f.device) : static_cast<T>(f.value);
    };
    const T a = read(alpha), b = read(beta);
    std::vector<T> result(static_cast<std::size_t>(D.rows * D.cols));
    for (std::int64_t layer = 0; layer < batch; ++layer) {
        if (k > 0 && a != 0)
            emulation::multiply(dense<T>(A, ta, layer, mantissa_bits(compute)),
                                dense<T>(B, tb, layer, mantissa_bits(compute)), result, m, n, k);
        for (std::int64_t j = 0; j < D.cols; ++j)
            for (std::int64_t i = 0; i < D.rows; ++i) {
                T x = k > 0 && a != 0 ? a * result[static_cast<std::size_t>(j * D.rows + i)] : T(0);
                if (b != 0) x += b * static_cast<T>(load(C, layer * C.stride + j * C.ld + i));
                store(D, layer * D.stride + j * D.ld + i, x);
            }
    }
}

/// Who keeps something in a workspace loses it, but for what lies far behind its beginning: all 32 MB before each
/// product were most of what a run took.
constexpr std::size_t most_spoiled = 256 << 10;

void Product::run(Device& device) const {
    const bool factors = (!alpha.device || device.memory.contains(alpha.device, in_double() ? 8 : 4)) &&
                         (!beta.device || device.memory.contains(beta.device, in_double() ? 8 : 4));
    if (!factors) return device.fault("product: a factor is not in device memory", cudaErrorIllegalAddress);
    if (!in_memory(device, A, batch) || !in_memory(device, B, batch) || !in_memory(device, C, batch) ||
        !in_memory(device, D, batch))
        return device.fault("product: a matrix is not within an allocation", cudaErrorIllegalAddress);
    if (batch > 1 && D.stride < (D.cols - 1) * D.ld + D.rows)
        return device.fault("product: matrices of the result overlap");
    if (workspace && !device.memory.contains(workspace, workspace_bytes))
        return device.fault("product: no such workspace", cudaErrorIllegalAddress);
    if (workspace) std::memset(workspace, 0xFF, std::min(workspace_bytes, most_spoiled));
    if (in_double())
        multiply<double>();
    else
        multiply<float>();
}

cublasStatus_t Product::submit(cudaStream_t stream) const {
    if (D.rows == 0 || D.cols == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
    const cudaError_t status = call([&](Device& device) {
        return device.submit(stream, "product", [product = *this, &device] { product.run(device); });
    });
    return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace emulation
