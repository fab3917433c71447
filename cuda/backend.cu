// CUDA backend: devices, memory and handles.
#include <algorithm>

#include "cuda/cuda_backend.cuh"
#include "cuda/device.cuh"
#include "pdadmm/cuda.hpp"

namespace pdadmm {
namespace cuda {

void fail(const char* call, const char* words, const std::source_location& where) {
    int device = -1;
    cudaGetDevice(&device);
    const std::string file = where.file_name();
    throw DeviceError("CUDA device " + std::to_string(device) + ": " + words + " in " + call + " (" +
                      file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line()) + ")");
}

std::string gibibytes(std::size_t bytes) {
    const auto hundredths = static_cast<unsigned long long>(static_cast<double>(bytes) * 100 / (1 << 30));
    const std::string cents = std::to_string(hundredths % 100);
    return std::to_string(hundredths / 100) + "." + (cents.size() < 2 ? "0" : "") + cents + " GiB";
}

}  // namespace cuda

namespace {

using cuda::gibibytes;
constexpr int least_major = 7, least_minor = 5;
constexpr int usual_lanes =
    3;  // first layer, hidden layers, last layer: taken at once, so that free memory is what is left for networks

struct DeviceMemory {
    std::size_t free = 0, total = 0;
};
DeviceMemory device_memory() {
    DeviceMemory m;
    PDADMM_CUDA_CHECK(cudaMemGetInfo(&m.free, &m.total));
    return m;
}

__global__ void nothing_kernel() {}

/// The build holds code for some architectures only: found out by asking for one kernel, before any work.
void require_kernels(int device) {
    cudaFuncAttributes attributes{};
    const cudaError_t status = cudaFuncGetAttributes(&attributes, nothing_kernel);
    if (status == cudaSuccess) return;
    cudaGetLastError();
    cudaDeviceProp p{};
    PDADMM_CUDA_CHECK(cudaGetDeviceProperties(&p, device));
    throw DeviceError(std::string("CUDA: ") + p.name + " of compute capability " + std::to_string(p.major) + "." +
                      std::to_string(p.minor) + ": " + cudaGetErrorString(status) +
                      ", expected a build for it; configure with -DCMAKE_CUDA_ARCHITECTURES=" +
                      std::to_string(p.major) + std::to_string(p.minor));
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
        devices.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem,
                           properties.multiProcessorCount});
    }
    return devices;
}

void cuda::take_device(int device) {
    const std::vector<CudaDevice> devices = cuda_devices();
    if (device < 0 || device >= static_cast<int>(devices.size()))
        throw DeviceError("CUDA: device " + std::to_string(device) + ", expected 0 to " +
                          std::to_string(devices.size() - 1));
    const CudaDevice& d = devices[static_cast<std::size_t>(device)];
    if (d.major < least_major || (d.major == least_major && d.minor < least_minor))
        throw DeviceError("CUDA: " + d.name + " has compute capability " + std::to_string(d.major) + "." +
                          std::to_string(d.minor) + ", expected 7.5 or newer; use --backend cpu");
    PDADMM_CUDA_CHECK(cudaSetDevice(device));
    require_kernels(device);
}

std::size_t cuda::plannable_memory() {
    const auto [free_bytes, total] = device_memory();
    constexpr std::size_t usual_reserve = std::size_t{512} << 20;
    const std::size_t reserve = std::min(std::max(usual_reserve, total / 100), total / 16);  // of small cards less
    return free_bytes - std::min(free_bytes, reserve);
}

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options, Index least_narrow_side) {
    cuda::take_device(options.device);
    return std::make_unique<CudaBackend>(options, least_narrow_side);
}

CudaBackend::CudaBackend(const BackendOptions& options, Index least_narrow_side)
    : device_(options.device),
      math_(options.math),
      graphs_(options.graphs),
      fused_(options.fused),
      fast_spmm_(options.fast_spmm),
      most_narrow_entries_(options.most_narrow_entries),
      least_narrow_side_(least_narrow_side) {
    load_loop_kernel();
    for (int lanes = 0; lanes < usual_lanes; ++lanes) add_lane();
    PDADMM_CUDA_CHECK(cublasLtCreate(blas_.out()));
    PDADMM_CUDA_CHECK(cusparseCreate(sparse_.out()));
}

void CudaBackend::add_lane() {
    lanes_.emplace_back(*this);
    PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(lanes_.back().stream.out(), cudaStreamNonBlocking));
    PDADMM_CUDA_CHECK(cudaStreamCreateWithFlags(lanes_.back().loop.out(), cudaStreamNonBlocking));
    PDADMM_CUDA_CHECK(cudaEventCreateWithFlags(lanes_.back().done.out(), cudaEventDisableTiming));
    lanes_.back().blas_workspace.at_least(cuda::blas_workspace_bytes);
    lanes_.back().others = others_;
}

std::string CudaBackend::description() const {
    cudaDeviceProp p{};
    int driver = 0, runtime = 0;
    PDADMM_CUDA_CHECK(cudaGetDeviceProperties(&p, device_));
    PDADMM_CUDA_CHECK(cudaDriverGetVersion(&driver));
    PDADMM_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
    return std::string("cuda, device ") + std::to_string(device_) + ", " + p.name + ", " + gibibytes(p.totalGlobalMem) +
           ", driver " + version(driver) + ", runtime " + version(runtime) + ", cuBLASLt " +
           std::to_string(cublasLtGetVersion());
}

std::size_t CudaBackend::free_memory() const { return cuda::plannable_memory(); }

void* CudaBackend::allocate(std::size_t bytes) {
    void* memory = nullptr;
    const std::size_t wanted = std::max<std::size_t>(bytes, 256);
    const cudaError_t status = cudaMalloc(&memory, wanted);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();  // not sticky: forget it
        throw DeviceError("CUDA memory: " + gibibytes(device_memory().free) + " free, expected " + gibibytes(bytes) +
                          "; use fewer layers, neurons or nodes");
    }
    cuda::check(status, "cudaMalloc");
    PDADMM_CUDA_CHECK(cudaMemsetAsync(memory, 0, wanted, lane().stream));
    return memory;
}

// The first failure is kept: later calls fail of the same cause, and say so.
void CudaBackend::release(void* memory) noexcept {
    const cudaError_t status = cudaFree(memory);
    if (status != cudaSuccess && release_failed_ == cudaSuccess) release_failed_ = status;
}

void CudaBackend::synchronize(cudaStream_t stream, const std::source_location& where) {
    const cudaError_t status = cudaStreamSynchronize(stream);
    if (status == cudaSuccess) return;
    std::string words = cudaGetErrorString(status);
    for (const auto& plan : stalls_)
        if (const auto stall = plan.lock(); stall && stall->happened()) words = cuda::words_of(*stall);
    if (release_failed_ != cudaSuccess) words += "; memory could not be given back before";
    cuda::fail("cudaStreamSynchronize", words.c_str(), where);
}

void CudaBackend::upload(const void* host, void* device, std::size_t bytes) {
    if (bytes == 0) return;
    PDADMM_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, lane().stream));
    synchronize(lane().stream);
}

void CudaBackend::download(const void* device, void* host, std::size_t bytes) {
    if (bytes == 0) return;
    PDADMM_CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, lane().stream));
    synchronize(lane().stream);
}

void CudaBackend::copy(CMat from, Mat to) {
    if (from.rows != to.rows || from.cols != to.cols || from.batch != to.batch)
        throw Error(ExitCode::internal, "copy: shapes differ");
    const auto bytes = [](Index count) { return static_cast<std::size_t>(count) * sizeof(real); };
    if (from.contiguous() && to.contiguous() && from.stride == from.size() && to.stride == to.size()) {
        PDADMM_CUDA_CHECK(
            cudaMemcpyAsync(to.data, from.data, bytes(to.size() * to.batch), cudaMemcpyDeviceToDevice, lane().stream));
        return;
    }
    for (Index l = 0; l < to.batch; ++l)
        PDADMM_CUDA_CHECK(cudaMemcpy2DAsync(to.layer(l).data, bytes(to.ld), from.layer(l).data, bytes(from.ld),
                                            bytes(to.rows), static_cast<std::size_t>(to.cols), cudaMemcpyDeviceToDevice,
                                            lane().stream));
}

void CudaBackend::zero(void* memory, std::size_t bytes) {
    if (bytes) PDADMM_CUDA_CHECK(cudaMemsetAsync(memory, 0, bytes, lane().stream));
}

}  // namespace pdadmm
