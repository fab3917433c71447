// The seam between host/ (registry.cpp, transport/nccl.cpp) and the CUDA parts; implemented in cuda/ where PDADMM_CUDA
// is on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pdadmm/backend.hpp"
#include "pdadmm/slab_device.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

struct CudaDevice {
    std::string name;          // "NVIDIA H200"
    int major = 0, minor = 0;  // compute capability
    std::size_t memory_bytes = 0;
    int processors = 0;  // streaming multiprocessors
};

/// The devices that the driver shows, in its order. Throws DeviceError with the driver's own words where there is none,
/// the driver is too old, or the program was built without CUDA ("built without CUDA: configure with
/// -DPDADMM_CUDA=ON").
std::vector<CudaDevice> cuda_devices();

/// Under --math bf16 a product whose sides are all as long gets operands rounded beforehand (cuda/narrow_operands.cu):
/// from here on the passes that round cost less than tensor cores gain.
inline constexpr Index usual_narrow_side = 768;

/// The backend on device `options.device`; a test lowers `least_narrow_side`. Throws DeviceError as cuda_devices(), or
/// where the device cannot run this build.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options, Index least_narrow_side = usual_narrow_side);

/// Slabs of graphs larger than memory on device `device`. Throws DeviceError as make_cuda_backend.
std::unique_ptr<SlabDevice> make_cuda_slab_device(int device);

/// host/transport/nccl.hpp, where NCCL was found. `on_failure` gets the line of a call that failed, before PeerError is
/// thrown. Throws UsageError where `backend` is another one.
std::unique_ptr<Transport> make_nccl_transport(Backend& backend, Control& control,
                                               std::function<void(const PeerError&)> on_failure);

}  // namespace pdadmm
