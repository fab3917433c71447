// pdadmm plan: what pdadmm train would do with the same options, without training: placement, messages, memory,
// refusals.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "host/admm/quantisers.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/owners.hpp"
#include "host/cli/plan_grids.hpp"
#include "host/cli/rank_session.hpp"
#include "host/cli/train_arguments.hpp"
#include "host/console/console.hpp"
#include "host/data/augmented_folder.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/run/trainers.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

struct Plan {
    NetworkShape shape;                 // of the last stage
    std::vector<Placement> placements;  // of each stage
    std::vector<double> costs;          // of the last stage's layers, counted
    std::vector<std::size_t> memory;    // of each rank while it trains
    std::size_t features = 0;  // that the first rank holds beside it, and train has taken before it counts what is free
    bool mapped = false;       // they stay in their file
    bool shared_memory = true;  // by all ranks; else each has a device
    std::size_t free = 0;
    std::uint64_t p_bytes = 0, q_bytes = 0;  // of a message

    const Placement& placement() const { return placements.back(); }
    int borders() const { return placement().active() - 1; }
    std::uint64_t border_bytes() const { return p_bytes + q_bytes; }
    /// Of the memory whose free bytes are known: that of all ranks, or of one device.
    std::size_t needed() const {
        return shared_memory ? std::accumulate(memory.begin(), memory.end(), std::size_t{0})
                             : *std::max_element(memory.begin(), memory.end());
    }
};

Plan make_plan(const Backend& backend, const NodeData& data, const SolverOptions& options, int ranks) {
    Plan plan;
    for (std::size_t stage = 0; stage < options.stages.size(); ++stage)
        plan.placements.push_back(place_layers(options.placement, stage_shape(options, data, stage), ranks, {}));
    plan.shape = stage_shape(options, data, options.stages.size() - 1);
    plan.costs = CostModel().of(plan.shape);
    plan.memory = memory_of_ranks(backend, data, options, ranks);
    plan.features = static_cast<std::size_t>(data.inputs() * data.nodes()) * sizeof(real);
    plan.free = backend.free_memory();
    const BorderQuantizers quantizers = border_quantizers(options, nullptr);
    plan.p_bytes = ranges_message_bytes(plan.shape.hidden, data.ranges(), 0, data.ranges().count, quantizers.p);
    plan.q_bytes = ranges_message_bytes(plan.shape.hidden, data.ranges(), 0, data.ranges().count, quantizers.q);
    return plan;
}

/// Layers of each rank that has any: "1-3 | 4-5".
std::string layers_text(const Placement& placement) {
    std::vector<std::string> blocks;
    for (int rank = 0; rank < placement.active(); ++rank) blocks.push_back(range_text(placement.of(rank)));
    return fmt::format("{}", fmt::join(blocks, " | "));
}

std::string text_of(const Plan& plan) {
    const auto mebibytes = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    std::string text =
        fmt::format("{} layers of {} neurons, {} inputs, {} classes, {} training nodes\n", plan.shape.layers,
                    plan.shape.hidden, plan.shape.inputs, plan.shape.classes, plan.shape.nodes);
    for (const Placement& placement : plan.placements)
        text += fmt::format("stage with layers {}\n", layers_text(placement));
    text += placement_table(plan.placement(), plan.costs, plan.memory) + "\n";
    if (plan.borders() > 0) text += "border  layers  bytes of p  bytes of q  bytes an iteration (2 messages)\n";
    for (int border = 0; border < plan.borders(); ++border) {
        const int last = plan.placement().of(border).last;
        text += fmt::format("{:<6}  {:<6}  {:>10}  {:>10}  {:>10}\n", fmt::format("{}-{}", border, border + 1),
                            fmt::format("{}-{}", last, last + 1), plan.p_bytes, plan.q_bytes, plan.border_bytes());
    }
    text += fmt::format("all borders: {} bytes an iteration\n",
                        static_cast<std::uint64_t>(plan.borders()) * plan.border_bytes());
    text += fmt::format("memory: {:.1f} MiB of {}, of {:.1f} MiB that are free; {:.1f} MiB of augmented features {}\n",
                        mebibytes(plan.needed()), plan.shared_memory ? "all ranks" : "the largest rank",
                        mebibytes(plan.free), mebibytes(plan.features),
                        plan.mapped ? "are read from their file" : "come before it on rank 0");
    return text;
}

Json json_of(const Plan& plan) {
    const NetworkShape& s = plan.shape;
    Json json{{"layers", s.layers}, {"hidden", s.hidden}, {"inputs", s.inputs}, {"training_nodes", s.nodes}};
    json.update({{"features_bytes", plan.features}, {"needed_bytes", plan.needed()}, {"free_bytes", plan.free}});
    if (plan.mapped) json["features_mapped"] = true;
    const double all = std::accumulate(plan.costs.begin(), plan.costs.end(), 0.0);
    for (const Placement& placement : plan.placements) {
        Json counts = Json::array();
        for (int rank = 0; rank < placement.ranks(); ++rank) counts.push_back(placement.of(rank).count());
        json["stages"].push_back(counts);
    }
    for (int rank = 0; rank < plan.placement().ranks(); ++rank)
        json["ranks"].push_back({{"layers", plan.placement().of(rank).count()},
                                 {"cost", block_cost(plan.placement(), rank, plan.costs) / all},
                                 {"memory_bytes", plan.memory[static_cast<std::size_t>(rank)]}});
    json["borders"] = Json::array();
    for (int border = 0; border < plan.borders(); ++border)
        json["borders"].push_back({{"after_layer", plan.placement().of(border).last},
                                   {"p_bytes", plan.p_bytes},
                                   {"q_bytes", plan.q_bytes},
                                   {"bytes", plan.border_bytes()}});
    return json;
}

}  // namespace

int plan_command(const std::vector<std::string>& arguments) {
    const Command line{
        "pdadmm plan",
        "Show what pdadmm train would do with these options, without training: layers, memory and messages of each "
        "rank",
        "pdadmm plan --dataset cora --ranks 4 --quantize pq --bits 4", "pdadmm train"};
    PlanOptions own;
    const std::optional<TrainArguments> parsed = parse_train(line, arguments, plan_table(own));
    if (!parsed) return 0;
    const TrainOptions& o = parsed->options;
    if (o.optimizer != "admm")
        throw UsageError(
            fmt::format("--optimizer: {}, expected admm; backpropagation has nothing to plan", o.optimizer));
    require_no_owners(o, "plan");
    if (parsed->launch.rank > 0) return 0;  // one process of several speaks for all
    if (!o.ranks.grid.empty()) {
        plan_grids(*parsed, own, arguments);
        return 0;
    }
    PlanOptions defaults;
    for (const Option& option : plan_table(defaults))
        if (parsed->has(option.long_name()))
            throw UsageError(fmt::format("{}: without --grid, expected a grid; add --grid auto", option.long_name()));
    const SolverOptions options = solver_options(o);
    const std::vector<int> devices = device_list(o.ranks.devices);
    const int ranks = rank_count(o.ranks);
    require_ranks(options, ranks);
    BackendChoice choice = o.backend;
    if (!devices.empty()) {  // taken to be alike
        choice.name = "cuda";
        choice.device = devices.front();
    }
    const std::unique_ptr<Backend> backend = make_backend(choice, put_note);
    const Dataset dataset = load_dataset(o.dataset, load_options(o));
    const Split split = make_split(dataset, o.split, o.split_seed);
    const AugmentedNodes nodes = describe_split(dataset, split, augment_options(o));
    const NodeData data(*backend, nodes, false, {0, 1, options.node_ranges});
    Plan plan = make_plan(*backend, data, options, ranks);
    plan.shared_memory = devices.empty();
    plan.mapped = plan.shared_memory && lie_ready(dataset, nodes_in(split));
    put_result(o.json ? json_of(plan).dump(2) + "\n" : text_of(plan));
    require_memory(*backend, plan.needed(), plan.shape);
    return 0;
}

}  // namespace pdadmm
