// The backend's options (host/cli/backend_choice.hpp).
#include "host/cli/backend_choice.hpp"

#include <map>

#include "host/blas/blas_library.hpp"

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

std::unique_ptr<Backend> make_backend(const BackendChoice& c, const std::function<void(const std::string&)>& note) {
    static const std::map<std::string, Math> maths{{"fp32", Math::fp32}, {"tf32", Math::tf32}, {"bf16", Math::bf16}};
    if (!c.blas.empty()) use_blas(c.blas);
    BackendOptions options{c.threads, c.device, maths.at(c.math), !c.no_graphs, c.fused, note};
    options.fast_spmm = c.fast_spmm;
    return make_backend(c.name, options);
}

}  // namespace pdadmm
