// Tables, JSON and command lines of planned grids (host/cli/plan_grids_text.hpp).
#include "host/cli/plan_grids_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pdadmm {
namespace {

using Json = nlohmann::json;

std::string bytes_text(double bytes) {
    if (bytes < 1e6) return fmt::format("{:.0f} B", bytes);
    return bytes < 1e9 ? fmt::format("{:.1f} MB", bytes / 1e6) : fmt::format("{:.2f} GB", bytes / 1e9);
}

std::string memory_text(std::size_t bytes) {
    const double mebibytes = static_cast<double>(bytes) / (1 << 20);
    return mebibytes < 1024 ? fmt::format("{:.1f} MiB", mebibytes) : fmt::format("{:.2f} GiB", mebibytes / 1024);
}

/// "2,2,3"; of many alike "2 each".
std::string layers_text(const Placement& placement) {
    std::vector<int> counts;
    bool alike = placement.active() > 4;
    for (int block = 0; block < placement.active(); ++block) {
        counts.push_back(placement.of(block).count());
        alike = alike && counts.back() == counts.front();
    }
    return alike ? fmt::format("{} each", counts.front()) : fmt::format("{}", fmt::join(counts, ","));
}

std::string setting_text(const PlannedGrids& planned) {
    const GridProblem& p = planned.problem;
    const NetworkShape& s = p.shape;
    const auto link = [](const LinkRate& of) {
        return fmt::format("{:g} GB/s and {:g} us", of.bytes_per_s / 1e9, 1e6 * of.latency_s);
    };
    std::string text =
        fmt::format("{} layers of {} neurons, {} inputs, {} classes, {} training nodes in {} of {}\n", s.layers,
                    s.hidden, s.inputs, s.classes, s.nodes,
                    p.ranges.count == 1 ? "one range" : fmt::format("{} ranges", p.ranges.count), p.ranges.length);
    text += fmt::format("{} devices, {} a machine; {} inside, {} for a machine to others\n", planned.devices,
                        p.machines.devices, link(p.machines.inside), link(p.machines.between));
    text += fmt::format("a device: {:.4g} TFLOP/s in products, {:.4g} GB/s in passes, {}\n", p.rates.flops_per_s / 1e12,
                        p.rates.bytes_per_s / 1e9, planned.measured ? "as measured here" : "as given");
    text +=
        fmt::format("sums over nodes: {}\n", p.sums == SumSchedule::waiting ? "waited for, as by train on GPUs"
                                             : p.sums == SumSchedule::hidden
                                                 ? "under products of the same stack, as by train on processors"
                                                 : "inside machines first, under products, which train does not do");
    return text + fmt::format("modelled, no such ranks have run; one device alone: {:.4g} ms an iteration\n\n",
                              1e3 * planned.one_device);
}

}  // namespace

std::string text_of(const PlannedGrids& planned) {
    std::string text = setting_text(planned);
    text += fmt::format("{:<8}{:<14}{:>11}{:>10}{:>13}{:>14}{:>13}{:>18}  {}\n", "grid", "layers", "ms", "times one",
                        "memory/rank", "over borders", "over nodes", "between machines",
                        "lost to: layers, ranges, sums, borders");
    for (std::size_t i = 0; i < planned.grids.size(); ++i) {
        const GridPlan& g = planned.grids[i];
        const GridSeconds& t = g.seconds;
        const auto share = [&](double seconds) { return 100 * seconds / t.all(); };
        text += fmt::format(
            "{:<8}{:<14}{:>11.4g}{:>10.2f}{:>13}{:>14}{:>13}{:>18}  {:.1f} + {:.1f} + {:.1f} + {:.1f} %: {}\n",
            to_string(g.grid), layers_text(g.placement), 1e3 * t.all(), planned.one_device / t.all(),
            memory_text(planned.memory[i]), bytes_text(g.layer_bytes), bytes_text(g.node_bytes),
            bytes_text(g.machine_bytes), share(t.whole_layers), share(t.node_ranges), share(t.sums), share(t.borders),
            t.bound());
    }
    const AdamSeconds& adam = planned.adam;
    text += fmt::format("\nAdam, nodes on devices: {:.4g} ms an epoch, {:.2f} times one device ({:.4g} ms)\n",
                        1e3 * adam.data_parallel, adam.one_device / adam.data_parallel, 1e3 * adam.one_device);
    if (adam.pipeline > 0)
        text += fmt::format("Adam, layers on devices (GPipe): {:.4g} ms an epoch, {:.2f} times one device\n",
                            1e3 * adam.pipeline, adam.one_device / adam.pipeline);
    text += fmt::format("\nchoice: {}; start it with one of\n", to_string(planned.grids[planned.choice].grid));
    for (const std::string& line : planned.start) text += fmt::format("    {}\n", line);
    return text;
}

Json json_of(const PlannedGrids& planned) {
    const GridProblem& p = planned.problem;
    const NetworkShape& s = p.shape;
    const auto link = [](const LinkRate& of) {
        return Json{{"latency_s", of.latency_s}, {"bytes_per_s", of.bytes_per_s}};
    };
    Json json{
        {"layers", s.layers},
        {"hidden", s.hidden},
        {"inputs", s.inputs},
        {"classes", s.classes},
        {"training_nodes", s.nodes},
        {"node_ranges", {{"count", p.ranges.count}, {"length", p.ranges.length}}},
        {"devices", planned.devices},
        {"network",
         {{"per_machine", p.machines.devices},
          {"inside", link(p.machines.inside)},
          {"between", link(p.machines.between)}}},
        {"rates",
         {{"flops_per_s", p.rates.flops_per_s}, {"bytes_per_s", p.rates.bytes_per_s}, {"measured", planned.measured}}},
        {"sums", sum_schedule_names[static_cast<std::size_t>(p.sums)]},
        {"one_device_s", planned.one_device}};
    for (std::size_t i = 0; i < planned.grids.size(); ++i) {
        const GridPlan& g = planned.grids[i];
        const GridSeconds& t = g.seconds;
        Json counts = Json::array();
        for (int block = 0; block < g.placement.ranks(); ++block) counts.push_back(g.placement.of(block).count());
        json["grids"].push_back({{"grid", to_string(g.grid)},
                                 {"blocks", counts},
                                 {"iteration_s", t.all()},
                                 {"speedup", planned.one_device / t.all()},
                                 {"even_s", t.even},
                                 {"whole_layers_s", t.whole_layers},
                                 {"node_ranges_s", t.node_ranges},
                                 {"sums_s", t.sums},
                                 {"borders_s", t.borders},
                                 {"bound", t.bound()},
                                 {"memory_bytes", planned.memory[i]},
                                 {"layer_bytes", g.layer_bytes},
                                 {"node_bytes", g.node_bytes},
                                 {"machine_bytes", g.machine_bytes}});
    }
    json["choice"] = to_string(planned.grids[planned.choice].grid);
    json["adam"] = {{"one_device_s", planned.adam.one_device}, {"data_s", planned.adam.data_parallel}};
    if (planned.adam.pipeline > 0) json["adam"]["pipeline_s"] = planned.adam.pipeline;
    json["start"] = planned.start;
    return json;
}

std::vector<std::string> launch_lines(const std::string& train, int devices, int per_machine, bool gpus) {
    const int machines = (devices + per_machine - 1) / per_machine, each = std::min(devices, per_machine);
    std::vector<std::string> lines;
    if (gpus && machines == 1)
        lines.push_back(fmt::format("torchrun --no-python --nproc-per-node {} {}", each, train));
    else if (gpus && devices % per_machine == 0)
        lines.push_back(fmt::format(
            "torchrun --no-python --nnodes {} --nproc-per-node {} --rdzv-backend c10d --rdzv-endpoint HOST:29400 {}",
            machines, each, train));
    lines.push_back(fmt::format("srun --nodes {} --ntasks {} --ntasks-per-node {} {} {}", machines, devices, each,
                                gpus ? fmt::format("--gpus-per-node {}", each) : "--mpi=pmix", train));
    lines.push_back(fmt::format("mpirun -n {} --map-by ppr:{}:node {}", devices, each, train));
    return lines;
}

}  // namespace pdadmm
