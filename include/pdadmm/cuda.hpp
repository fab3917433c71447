// The seam between host/registry.cpp and the CUDA parts; implemented in cuda/ where PDADMM_CUDA is on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pdadmm/backend.hpp"

namespace pdadmm {

struct CudaDevice {
    std::string name;             // "NVIDIA H200"
    int major = 0, minor = 0;     // compute capability
    std::size_t memory_bytes = 0;
    int processors = 0;           // streaming multiprocessors
};

/// The devices that the driver shows, in its order. Throws DeviceError with the driver's own words where there is none, the
/// driver is too old, or the program was built without CUDA ("built without CUDA: configure with -DPDADMM_CUDA=ON").
std::vector<CudaDevice> cuda_devices();

/// The backend on device `options.device`. Throws DeviceError as cuda_devices(), or where the device cannot run this build.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

}  // namespace pdadmm
