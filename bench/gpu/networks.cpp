// Whole iterations through the solver (no evaluation; the refresh of the residual every 25 iterations is included),
// beside the sum of their products alone and their passes at the speed of a device copy, both measured in this run.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/gpu/session.hpp"
#include "bench/gpu/traffic.hpp"
#include "bench/rounds.hpp"
#include "host/admm/quantisers.hpp"
#include "host/admm/solver.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm::bench {
namespace {

struct NetworkCase {
    std::string name;
    NetworkShape shape;
    Math math = Math::fp32;
    Quantize quantize = Quantize::none;
    int bits = 8;
    Codec codec = Codec::difference;
    enum class Form { graph, eager, fused } form = Form::graph;
    bool rebuild_q = false;
    int lanes = 0;  // NetworkOptions
};
using Form = NetworkCase::Form;

/// Products alone, stacked where all operands of the stack are small (as the solver stacks them), and passes at copy
/// speed.
double floor_seconds(Session& s, const NetworkCase& c) {
    constexpr double small_stack = 1e9;  // bytes; beyond, one layer fills the device
    double seconds = 0;
    for (const LayerWork& work : iteration_work(c.shape, c.quantize, c.codec, c.rebuild_q)) {
        seconds += work.pass_bytes / s.copy_bytes_per_second;
        for (const Product& p : work.products) {
            const double bytes = static_cast<double>((p.m * p.k + p.k * p.n + p.m * p.n) * work.count) * sizeof(real);
            const Index at_once = bytes < small_stack ? work.count : 1;
            seconds += s.product_seconds(p.ta, p.tb, p.m, p.n, p.k, at_once, c.math) *
                       static_cast<double>(work.count / at_once);
        }
    }
    return seconds;
}

SolverOptions solver_options(const NetworkCase& c) {
    SolverOptions options;
    const double rho = 1e-4;  // paper, Table V: Cora, Flickr and arxiv
    options.stages = {{c.shape.layers, 1 << 30, rho, rho, 0.01, ZInit::forward, LastInit::carry}};
    options.hidden = c.shape.hidden;
    options.step.rule = c.shape.rule;
    options.quantize = c.quantize;
    options.codec = c.codec;
    options.bits = c.bits;
    options.rebuild_q = c.rebuild_q;
    options.lanes = c.lanes;
    if (c.codec == Codec::grid) options.levels = uniform_levels(-1, 20, 22);
    options.eval_every = 1 << 30;
    return options;
}

/// Median over rounds of the seconds an iteration takes, figures read as in training; fewer rounds of slow ones.
double iteration_seconds(Session& s, Solver& solver) {
    const double round_seconds = s.quick ? 0.01 : 0.1, enough_seconds = 4;
    constexpr std::size_t least_rounds = 3;
    for (int i = 0; i < 3; ++i) solver.advance(2);  // eager, recorded, and how long one takes
    std::vector<double> each;
    const auto all_began = Clock::now();
    for (int round = 0; round < s.rounds(); ++round) {
        if (each.size() >= least_rounds &&
            std::chrono::duration<double>(Clock::now() - all_began).count() > enough_seconds)
            break;
        Index done = 0;
        const auto began = Clock::now();
        double seconds = 0;
        while (done == 0 || seconds < round_seconds) {
            done += static_cast<Index>(solver.advance(64).size());
            seconds = std::chrono::duration<double>(Clock::now() - began).count();
        }
        each.push_back(seconds / static_cast<double>(done));
    }
    return median(each);
}

/// Adds the figure in `unit_scale` of a second; returns seconds, or NaN where it is missing.
double measure(Session& s, const NetworkCase& c, const char* unit, double unit_scale, std::optional<Target> target) {
    double seconds = NAN;
    s.attempt("iteration", c.name, target, [&] {
        const double floor = floor_seconds(s, c);
        const auto backend = open_backend(c.math, c.form != Form::eager, c.form == Form::fused);
        const std::size_t free_before = backend->free_memory();
        const AugmentedNodes nodes = random_nodes(c.shape);
        const NodeData data(*backend, nodes);
        Solver solver(*backend, data, solver_options(c));
        Network& net = solver.network();
        std::string notes;
        if (c.form == Form::fused) {
            const auto fused = backend->fuse(net.groups(), net.controls(), solver.options().step,
                                             History{nullptr, nullptr, nullptr, 1, c.shape.layers});
            if (!fused) throw DeviceError("the backend has no fused form of this network");
            notes = "; " + fused->description();
        }
        seconds = iteration_seconds(s, solver);
        const auto gib = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
        const std::size_t free_now = backend->free_memory();
        const NetworkPlan& plan = net.plan();
        for (const std::string& line : backend->product_algorithms())
            if (line.find("layer by layer") != std::string::npos || line.find("call by call") != std::string::npos ||
                line.find("there is none") != std::string::npos)
                notes += "; " + line;
        s.report.add({"iteration", c.name, seconds * unit_scale, unit, floor * unit_scale,
                      "its products alone + its passes at copy speed", target,
                      fmt::format("{:.2f} GiB used (plan {:.2f}), {:.2f} left of {:.2f}; stacks of {}, {} lanes{}",
                                  gib(free_before - std::min(free_now, free_before)), gib(plan.bytes), gib(free_now),
                                  gib(device_memory()), plan.stacked, plan.lanes, notes)});
    });
    return seconds;
}

NetworkShape cora(const Session& s, int layers) {
    return {layers, s.quick ? 200 : 7165, s.quick ? 20 : 100, 7, s.quick ? 30 : 140};
}

}  // namespace

void measure_small_networks(Session& s) {
    const double us = 1e6;
    const auto of_form = [&](NetworkCase c, Form form) {
        c.form = form;
        return c;
    };
    measure(s, {"Cora 10 x 100, graph", cora(s, 10)}, "us", us, value_at_most(35));
    measure(s, of_form({"Cora 10 x 100, one persistent kernel", cora(s, 10)}, Form::fused), "us", us,
            value_at_most(20));
    measure(s, of_form({"Cora 10 x 100, eager", cora(s, 10)}, Form::eager), "us", us, {});
    measure(s, {"Cora 10 x 100, p 4 bits", cora(s, 10), Math::fp32, Quantize::p, 4}, "us", us, {});
    measure(s, {"Cora 10 x 100, pq 4 bits", cora(s, 10), Math::fp32, Quantize::pq, 4}, "us", us, {});
    measure(s, {"Cora 10 x 100, p on the grid -1..20", cora(s, 10), Math::fp32, Quantize::p, 8, Codec::grid}, "us", us,
            {});

    NetworkCase block{"Cora 10 x 100, closed forms", cora(s, 10)};
    block.shape.rule = StepRule::block;
    measure(s, block, "us", us, {});

    for (const auto& [form, name] :
         {std::pair{Form::graph, "graph"}, std::pair{Form::fused, "one persistent kernel"}}) {
        double before = NAN;
        for (const int layers : {4, 8, 16, 32}) {
            const double seconds = measure(
                s, of_form({fmt::format("Cora {} x 100, {}", layers, name), cora(s, layers)}, form), "us", us, {});
            if (layers > 4) {
                const std::string growth = fmt::format("{} layers beside {}, {}", layers, layers / 2, name);
                if (std::isfinite(seconds) && std::isfinite(before))
                    s.report.add(
                        {"depth", growth, us * seconds, "us", us * before, "half the layers", ratio_at_most(1.15)});
                else
                    s.report.missing("depth", growth, "one of the two has no figure", ratio_at_most(1.15));
            }
            before = seconds;
        }
    }
}

namespace {

struct LargeSizes {
    NetworkShape flickr{16, 2500, 4000, 7, 44625}, arxiv{16, 640, 4000, 40, 90941};
    explicit LargeSizes(const Session& s) {
        if (!s.quick) return;
        flickr = {5, 60, 48, 7, 400};
        arxiv = {5, 50, 48, 40, 800};
    }
    static std::string named(const NetworkShape& of, const char* rest) {
        return fmt::format("L {}, n {}, N {}, {}", of.layers, of.hidden, of.nodes, rest);
    }
};

constexpr double ms = 1e3;

}  // namespace

void measure_large_network(Session& s) {
    const LargeSizes sizes(s);
    measure(s, {sizes.named(sizes.flickr, "tf32"), sizes.flickr, Math::tf32}, "ms", ms, ratio_at_most(1.15));
    NetworkCase one_lane{sizes.named(sizes.flickr, "tf32, one lane"), sizes.flickr, Math::tf32};
    one_lane.lanes = 1;  // passes and products one behind the other
    measure(s, one_lane, "ms", ms, {});
}

void measure_larger_networks(Session& s) {
    const LargeSizes sizes(s);
    const NetworkShape &flickr = sizes.flickr, &arxiv = sizes.arxiv;
    measure(s, {sizes.named(arxiv, "tf32"), arxiv, Math::tf32}, "ms", ms, ratio_at_most(1.15));
    measure(s, {sizes.named(flickr, "bf16"), flickr, Math::bf16}, "ms", ms, {});
    measure(s, {sizes.named(flickr, "tf32, pq 8 bits"), flickr, Math::tf32, Quantize::pq, 8}, "ms", ms, {});
    NetworkCase four_arrays{sizes.named(arxiv, "tf32, q rebuilt"), arxiv, Math::tf32};
    four_arrays.rebuild_q = true;
    measure(s, four_arrays, "ms", ms, ratio_at_most(1.15));
    measure(s, {sizes.named(flickr, "tf32, p 8 bits"), flickr, Math::tf32, Quantize::p, 8}, "ms", ms, {});
    measure(s, {sizes.named(flickr, "fp32"), flickr, Math::fp32}, "ms", ms, {});
}

}  // namespace pdadmm::bench
