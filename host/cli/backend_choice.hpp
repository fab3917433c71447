// Options that choose the backend, the same in every command that computes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/cli/option.hpp"
#include "pdadmm/backend.hpp"

namespace pdadmm {

/// As typed.
struct BackendChoice {
    std::string name = "auto", math = "fp32", blas;
    int threads = 0, device = 0;
    bool no_graphs = false, fused = false, fast_spmm = false;
};

/// Records of --backend, --threads, --blas, --device, --math, --no-graphs, --fused and --fast-spmm under
/// `group`.
Options backend_options(BackendChoice& choice, const std::string& group);

/// The backend; `note` gets a line where auto falls back to the CPU, and where an option means nothing there. Throws
/// UsageError, also where --backend cpu has an option of GPUs, or DeviceError.
std::unique_ptr<Backend> make_backend(const BackendChoice& choice, const std::function<void(const std::string&)>& note);

}  // namespace pdadmm
