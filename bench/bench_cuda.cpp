// Every figure of the CUDA backend as a ratio to a ceiling measured in the same run:
//   bench_cuda [--quick] [--json FILE] [--seconds S] [--parts a,b,..] [--commit TEXT]
//   bench_cuda --model                             what the counts of an iteration allow; needs no device
// Parts: products, passes, small (networks), large (one network), larger (the others), hops; the ceilings always come
// first, and alone with --parts ceilings. With --seconds, cases that would begin later are reported as missing. Prints
// a table; the JSON object has the same figures.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "bench/gpu/model.hpp"
#include "bench/gpu/session.hpp"
#include "pdadmm/error.hpp"

namespace {

using namespace pdadmm;
using namespace pdadmm::bench;

struct Options {
    bool quick = false;
    std::string json, commit = "unknown", parts = "products,passes,small,large,larger,hops";
    double seconds = 1e9;
};

Options parse(int argc, char** argv) {
    Options o;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--quick") {
            o.quick = true;
            continue;
        }
        if (i + 1 == argc) throw UsageError(fmt::format("bench_cuda: option {} without its value, or unknown", name));
        const char* value = argv[++i];
        if (name == "--json")
            o.json = value;
        else if (name == "--commit")
            o.commit = value;
        else if (name == "--parts")
            o.parts = value;
        else if (name == "--seconds")
            o.seconds = std::atof(value);
        else
            throw UsageError(
                fmt::format("bench_cuda: option {}, expected --quick, --json, --seconds, --parts or --commit", name));
    }
    return o;
}

void run(const Options& o) {
    const auto first = open_backend(Math::fp32);  // says at once where there is no device
    fmt::print("{}\n", first->description());
    Report report(o.json);
    for (const auto& [name, value] : device_facts()) report.fact(name, value);
    report.fact("commit", o.commit);
    report.fact("sizes", o.quick ? "quick: for trying the benchmark out, no figures to quote" : "full");
    report.fact("began", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))));
    Session session(report, o.quick, o.seconds);
    measure_ceilings(session);
    report.write();
    const std::pair<const char*, void (*)(Session&)> parts[] = {
        {"products", measure_products},   {"passes", measure_passes},          {"small", measure_small_networks},
        {"large", measure_large_network}, {"larger", measure_larger_networks}, {"hops", measure_hops}};
    for (const auto& [name, measure] : parts) {
        if (("," + o.parts + ",").find(fmt::format(",{},", name)) == std::string::npos) continue;
        measure(session);
        report.write();
    }
    report.write();
    int met = 0, held = 0;
    for (const Figure& f : report.figures())
        if (const auto is = f.met()) {
            ++held;
            met += *is ? 1 : 0;
        }
    fmt::print("{} of {} targets met\n", met, held);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc == 2 && std::strcmp(argv[1], "--model") == 0) return print_model(), 0;
        run(parse(argc, argv));
        return 0;
    } catch (const Error& error) {
        fmt::print(stderr, "pdadmm: error: {}\n", error.what());
        return static_cast<int>(error.code());
    } catch (const std::exception& error) {
        fmt::print(stderr, "pdadmm: error: {}\n", error.what());
        return 1;
    }
}
