// Where backends meet: names to backends. The only file that knows them all.
#include "host/cpu/cpu_backend.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options) {
    if (name == "cpu" || name == "auto") return std::make_unique<CpuBackend>(options.threads);
    if (name == "cuda") throw DeviceError("backend cuda: not in this program, expected cpu or auto; use --backend cpu");
    throw UsageError("backend " + name + ": unknown, expected auto, cpu or cuda");
}

}  // namespace pdadmm
