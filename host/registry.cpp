// Where backends meet: names to backends. The only file that knows them all.
#include <fmt/format.h>

#include "host/cpu/cpu_backend.hpp"
#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

#ifndef PDADMM_WITH_CUDA
namespace {
[[noreturn]] void built_without() { throw DeviceError("CUDA: built without CUDA, expected a build with it; configure with -DPDADMM_CUDA=ON"); }
}  // namespace
std::vector<CudaDevice> cuda_devices() { built_without(); }
std::unique_ptr<Backend> make_cuda_backend(int) { built_without(); }
#endif

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options) {
    // The CUDA backend compiles and links but has never run on a GPU: it is taken only when it is asked for by name.
    if (name == "cpu" || name == "auto") return std::make_unique<CpuBackend>(options.threads);
    if (name == "cuda") return make_cuda_backend(options.device);
    throw UsageError(fmt::format("backend '{}': unknown, expected auto, cpu or cuda", name));
}

}  // namespace pdadmm
