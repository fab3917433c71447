// CUDA backend: devices, memory and handles.
#include <algorithm>

#include "cuda/cuda_backend.cuh"
#include "pdadmm/cuda.hpp"

namespace pdadmm {
namespace cuda {

void fail(const char* call, const char* words, const std::source_location& where) {
    int device = -1;
    cudaGetDevice(&device);
    const std::string file = where.file_name();
    throw DeviceError("CUDA device " + std::to_string(device) + ": " + words + " in " + call + " (" + file.substr(file.rfind('/') + 1) + ":" +
                      std::to_string(where.line()) + ")");
}

}  // namespace cuda

namespace {

constexpr std::size_t blas_workspace_bytes = std::size_t{32} << 20;  // what cuBLAS asks for on compute capability 9
constexpr int least_major = 7;

std::string gibibytes(std::size_t bytes) {
    const auto hundredths = static_cast<unsigned long long>(static_cast<double>(bytes) * 100 / (1 << 30));
    const std::string cents = std::to_string(hundredths % 100);
    return std::to_string(hundredths / 100) + "." + (cents.size() < 2 ? "0" : "") + cents + " GiB";
}

}  // namespace

std::vector<CudaDevice> cuda_devices() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        throw DeviceError(std::string("CUDA: ") + (status == cudaSuccess ? "no device" : cudaGetErrorString(status)) +
                          ", expected a usable NVIDIA GPU and driver; use --backend cpu");
    std::vector<CudaDevice> devices;
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties{};
        PDADMM_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
        devices.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem, properties.multiProcessorCount});
    }
    return devices;
}

std::unique_ptr<Backend> make_cuda_backend(int device) {
    const std::vector<CudaDevice> devices = cuda_devices();
    if (device < 0 || device >= static_cast<int>(devices.size()))
        throw DeviceError("CUDA: device " + std::to_string(device) + ", expected 0 to " + std::to_string(devices.size() - 1));
    const CudaDevice& d = devices[static_cast<std::size_t>(device)];
    if (d.major < least_major)
        throw DeviceError("CUDA: " + d.name + " has compute capability " + std::to_string(d.major) + "." + std::to_string(d.minor) +
                          ", expected 7.5 or newer; use --backend cpu");
    return std::make_unique<CudaBackend>(device);
}

CudaBackend::CudaBackend(int device) : device_(device) {
    PDADMM_CUDA_CHECK(cudaSetDevice(device));
    PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(stream_.out(), cudaStreamNonBlocking));
    blas_workspace_ = {*this, static_cast<Index>(blas_workspace_bytes)};
    PDADMM_CUDA_CHECK(cublasCreate(blas_.out()));
    PDADMM_CUDA_CHECK(cublasSetStream(blas_, stream_));  // before the workspace: it resets it
    PDADMM_CUDA_CHECK(cublasSetWorkspace(blas_, blas_workspace_.data(), blas_workspace_bytes));
    PDADMM_CUDA_CHECK(cublasSetMathMode(blas_, CUBLAS_DEFAULT_MATH));  // fp32 means fp32
    PDADMM_CUDA_CHECK(cusparseCreate(sparse_.out()));
    PDADMM_CUDA_CHECK(cusparseSetStream(sparse_, stream_));
    constants_ = Buffer<real>(*this, std::vector<real>{0, 1});
}

std::string CudaBackend::description() const {
    cudaDeviceProp p{};
    int driver = 0, runtime = 0, blas = 0;
    PDADMM_CUDA_CHECK(cudaGetDeviceProperties(&p, device_));
    PDADMM_CUDA_CHECK(cudaDriverGetVersion(&driver));
    PDADMM_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    PDADMM_CUDA_CHECK(cublasGetVersion(blas_, &blas));
    const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
    return std::string("cuda, device ") + std::to_string(device_) + ", " + p.name + ", " + gibibytes(p.totalGlobalMem) + ", driver " + version(driver) +
           ", runtime " + version(runtime) + ", cuBLAS " + std::to_string(blas);
}

std::size_t CudaBackend::free_memory() const {
    std::size_t free_bytes = 0, total = 0;
    PDADMM_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total));
    return free_bytes;
}

void* CudaBackend::allocate(std::size_t bytes) {
    void* memory = nullptr;
    const std::size_t wanted = std::max<std::size_t>(bytes, 256);
    if (cudaMalloc(&memory, wanted) != cudaSuccess) {
        cudaGetLastError();  // not sticky: forget it
        throw DeviceError("CUDA memory: " + gibibytes(free_memory()) + " free, expected " + gibibytes(bytes) + "; use fewer layers, neurons or nodes");
    }
    PDADMM_CUDA_CHECK(cudaMemsetAsync(memory, 0, wanted, stream_));
    return memory;
}

void CudaBackend::release(void* memory) noexcept { cudaFree(memory); }

void CudaBackend::upload(const void* host, void* device, std::size_t bytes) {
    if (bytes == 0) return;
    PDADMM_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_));
    PDADMM_CUDA_CHECK(cudaStreamSynchronize(stream_));
}

void CudaBackend::download(const void* device, void* host, std::size_t bytes) {
    if (bytes == 0) return;
    PDADMM_CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_));
    PDADMM_CUDA_CHECK(cudaStreamSynchronize(stream_));
}

void CudaBackend::copy(CMat from, Mat to) {
    if (from.rows != to.rows || from.cols != to.cols || from.batch != to.batch) throw Error(ExitCode::internal, "copy: shapes differ");
    const auto bytes = [](Index count) { return static_cast<std::size_t>(count) * sizeof(real); };
    for (Index l = 0; l < to.batch; ++l)
        PDADMM_CUDA_CHECK(cudaMemcpy2DAsync(to.layer(l).data, bytes(to.ld), from.layer(l).data, bytes(from.ld), bytes(to.rows),
                                            static_cast<std::size_t>(to.cols), cudaMemcpyDeviceToDevice, stream_));
}

double* CudaBackend::partials(Index count) {
    if (count > partials_.count()) {
        PDADMM_CUDA_CHECK(cudaStreamSynchronize(stream_));
        partials_ = {*this, count};
    }
    return partials_.data();
}

void CudaBackend::repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) {
    std::vector<std::int32_t> left(static_cast<std::size_t>(layers));
    for (int trial = 0; trial < most; ++trial) {
        download(pending, left.data(), left.size() * sizeof(std::int32_t));
        if (std::none_of(left.begin(), left.end(), [](std::int32_t trials) { return trials > 0; })) return;
        body();
    }
}

}  // namespace pdadmm
