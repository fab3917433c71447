// The backend's options (host/cli/backend_choice.hpp).
#include "host/cli/backend_choice.hpp"

#include <CLI/CLI.hpp>

#include <map>

namespace pdadmm {

void declare_backend_options(CLI::App& app, BackendChoice& c, const std::string& group) {
    const auto add = [&](const char* name, auto& value, const char* help) {
        return app.add_option(name, value, help)->capture_default_str()->take_last()->group(group);
    };
    add("--backend", c.name, "where to compute; auto: a GPU where one is usable, else the CPU")
        ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
    add("--threads", c.threads, "threads of the CPU backend; 0: all processors")->check(CLI::Range(0, 1024));
    add("--device", c.device, "number of the GPU")->check(CLI::Range(0, 1023));
    add("--math", c.math, "GPU: precision of an iteration's products; what is carried stays fp32")
        ->check(CLI::IsMember({"fp32", "tf32", "bf16"}));
    app.add_flag(
           "--fused", c.fused,
           "GPU: small networks run in one persistent kernel, with other rounding (new: not measured on a GPU yet)")
        ->take_last()
        ->group(group);
    app.add_flag("--deterministic-spmm", c.deterministic_spmm,
                 "GPU: the augmentation's sparse products add in a fixed order")
        ->take_last()
        ->group(group);
    app.add_flag("--no-graphs", c.no_graphs,
                 "GPU: launch every kernel by itself instead of replaying an iteration as a graph")
        ->take_last()
        ->group(group);
}

std::unique_ptr<Backend> make_backend(const BackendChoice& c, const std::function<void(const std::string&)>& note) {
    static const std::map<std::string, Math> maths{{"fp32", Math::fp32}, {"tf32", Math::tf32}, {"bf16", Math::bf16}};
    BackendOptions options{c.threads, c.device, maths.at(c.math), !c.no_graphs, c.fused, note};
    options.deterministic_spmm = c.deterministic_spmm;
    return make_backend(c.name, options);
}

}  // namespace pdadmm
