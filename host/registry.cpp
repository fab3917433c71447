// Where backends meet: names to backends. The only file that knows them all.
#include <fmt/format.h>

#include "host/cpu/cpu_backend.hpp"
#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

#ifndef PDADMM_WITH_CUDA
std::vector<CudaDevice> cuda_devices() { throw DeviceError("CUDA: built without CUDA: configure with -DPDADMM_CUDA=ON"); }
#endif

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options) {
    if (name == "cpu" || name == "auto") return std::make_unique<CpuBackend>(options.threads);
    if (name == "cuda")
        throw DeviceError(fmt::format("backend cuda: {} found, but this version trains on the CPU only, expected cpu or auto; use --backend cpu",
                                      cuda_devices().at(0).name));
    throw UsageError(fmt::format("backend '{}': unknown, expected auto, cpu or cuda", name));
}

}  // namespace pdadmm
