// The CUDA devices of this machine (include/pdadmm/cuda.hpp). Asked before anything else touches the runtime: without a
// driver every other call would fail less clearly.
#include <cuda_runtime.h>

#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

void check(cudaError_t status, const char* what) {
    if (status != cudaSuccess)
        throw DeviceError(std::string("CUDA: ") + what + ": " + cudaGetErrorString(status) +
                          ", expected a usable NVIDIA GPU and driver; use --backend cpu");
}

}  // namespace

std::vector<CudaDevice> cuda_devices() {
    int count = 0;
    check(cudaGetDeviceCount(&count), "no device");
    std::vector<CudaDevice> devices;
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties{};
        check(cudaGetDeviceProperties(&properties, device), "device properties");
        devices.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem, properties.multiProcessorCount});
    }
    return devices;
}

}  // namespace pdadmm
