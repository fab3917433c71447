// The backend's options (host/cli/backend_choice.hpp).
#include "host/cli/backend_choice.hpp"

#include <fmt/format.h>

#include <map>

#include "host/blas/blas_library.hpp"
#include "host/console/words.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

Options backend_options(BackendChoice& c, const std::string& group) {
    return grouped(
        group,
        {{"--backend",
          &c.name,
          "where to compute; auto: a GPU where one is usable, else the CPU",
          {.choices = {"auto", "cpu", "cuda"}}},
         {"--threads",
          &c.threads,
          "threads of the CPU backend; 0: all processors",
          {.range = Range{0, 1024}, .identity = Identity::none}},
         {"--blas",
          &c.blas,
          "OpenBLAS of the CPU backend: auto, as-is (its own choice of kernels), or a file; empty: what PDADMM_BLAS "
          "says",
          {.identity = Identity::none}},
         {"--device", &c.device, "number of the GPU", {.range = Range{0, 1023}, .identity = Identity::none}},
         {"--math",
          &c.math,
          "GPU: precision of an iteration's products; what is carried stays fp32",
          {.choices = {"fp32", "tf32", "bf16"}}},
         {"--fused", &c.fused,
          "GPU: small networks run in one persistent kernel, with other rounding (new: not measured on a GPU yet)"},
         {"--fast-spmm", &c.fast_spmm,
          "GPU: the augmentation's sparse products add in any order, which may not give the same bits twice"},
         {"--no-graphs",
          &c.no_graphs,
          "GPU: launch every kernel by itself instead of replaying an iteration as a graph",
          {.identity = Identity::none, .agreed = true}}});
}

namespace {

/// The first option that means nothing to the CPU; "" where there is none.
std::string of_gpu_alone(const BackendChoice& c) {
    return c.device != 0      ? "--device"
           : c.math != "fp32" ? "--math"
           : c.fused          ? "--fused"
           : c.fast_spmm      ? "--fast-spmm"
           : c.no_graphs      ? "--no-graphs"
                              : "";
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendChoice& c, const std::function<void(const std::string&)>& note) {
    static const std::map<std::string, Math> maths{{"fp32", Math::fp32}, {"tf32", Math::tf32}, {"bf16", Math::bf16}};
    const std::string idle = of_gpu_alone(c);
    if (c.name == "cpu" && !idle.empty())
        throw UsageError(fmt::format("{}: with --backend cpu, expected a GPU; leave it out", idle));
    if (!c.blas.empty()) use_blas(c.blas);
    BackendOptions options{c.threads, c.device, maths.at(c.math), !c.no_graphs, c.fused, note};
    options.fast_spmm = c.fast_spmm;
    std::unique_ptr<Backend> backend = make_backend(c.name, options);
    if (backend->name() == "cpu" && !idle.empty() && note)
        note(warning_line(fmt::format("{}: means nothing to the CPU, where this runs", idle)));
    return backend;
}

}  // namespace pdadmm
