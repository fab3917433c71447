// Where backends meet: names to backends. The only file that knows them all.
#include <fmt/format.h>

#include "host/cpu/cpu_backend.hpp"
#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

#ifndef PDADMM_WITH_CUDA
namespace {
[[noreturn]] void built_without() {
    throw DeviceError("CUDA: built without CUDA, expected a build with it; configure with -DPDADMM_CUDA=ON");
}
}  // namespace
std::vector<CudaDevice> cuda_devices() { built_without(); }
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions&, Index) { built_without(); }
std::unique_ptr<SlabDevice> make_cuda_slab_device(int) { built_without(); }
#endif

namespace {

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
    if (options.math != Math::fp32) throw UsageError("--math: tf32 and bf16 need a GPU, expected fp32 on the CPU");
    return std::make_unique<CpuBackend>(options.threads);
}

std::unique_ptr<Backend> make_best_backend(const BackendOptions& options) {
#ifdef PDADMM_WITH_CUDA
    try {
        return make_cuda_backend(options);
    } catch (const DeviceError& error) {
        if (options.notice) options.notice(fmt::format("backend auto: the CPU, because {}", error.what()));
    }
#endif
    return make_cpu_backend(options);
}

}  // namespace

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options) {
    if (name == "auto") return make_best_backend(options);
    if (name == "cuda") return make_cuda_backend(options);
    if (name == "cpu") return make_cpu_backend(options);
    throw UsageError(fmt::format("backend '{}': unknown, expected auto, cpu or cuda", name));
}

}  // namespace pdadmm
