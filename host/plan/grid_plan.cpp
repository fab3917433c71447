// Grids by counting (host/plan/grid_plan.hpp).
#include "host/plan/grid_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace pdadmm {
namespace {

constexpr double worth_naming = 0.01;  // of an iteration

double reals(double count) { return count * sizeof(real); }
double doubles(double count) { return count * sizeof(double); }
double weights_of(const NetworkShape& s, int layer) {
    return static_cast<double>(s.rows(layer)) * static_cast<double>(s.cols(layer));
}

/// What the ranks of one layer exchange: sums, and `gathers` times a matrix over all nodes.
struct Exchanged {
    double sums = 0, gathered = 0;  // bytes
    int gathers = 0;

    double seconds(const SumCosts& costs) const {
        return costs.seconds(sums) + (gathers > 0 ? gathers * costs.gather_seconds(gathered) : 0);
    }
    double sent(const SumCosts& costs) const { return costs.sent(sums) + gathers * costs.gathered(gathered); }
    double sent_between(const SumCosts& costs) const {
        return costs.sent_between(sums) + gathers * costs.gathered_between(gathered);
    }
};

/// G, sums of r and of its change, and of gradient steps that of H²; of closed forms behind the first layer also means
/// of p and its Gram matrix, or where W is formed from nodes p_c itself and means of y. In node space r takes the place
/// of G, or y and y F, or R and E of every step.
Exchanged exchanged_of(const NetworkShape& s, int layer) {
    const double n = static_cast<double>(s.rows(layer)), m = static_cast<double>(s.cols(layer)),
                 N = static_cast<double>(s.nodes);
    const FirstLayerForm first = first_layer_form(s);
    const LayerForm form = layer_form(s, layer);
    if (layer == 1 && first.node_space)
        return {doubles(first.centred() ? 3 * n + 1 : 2 * n + 1), reals(n * N),
                first.closed ? 2 : std::max(1, 2 * first.conjugate_steps)};
    const double G = reals(weights_of(s, layer)), sums = doubles(2 * n + (s.rule == StepRule::block ? 0 : 1));
    if (form.W_from_nodes) return {G + sums + doubles(m + n), reals(m * N), 1};
    return {G + sums + (form.closed ? reals(m * m) + doubles(m) : 0)};
}

/// Passes over what has the size of W, of a rank that holds `ranges` node ranges: a partial sum of each is written and
/// added, G and W are stepped by three readings or writings each, and behind an exchange the others' sums are added.
double weight_bytes(const NetworkShape& s, int layer, Index ranges, bool exchanged) {
    if (layer == 1 && first_layer_form(s).node_space) return 0;
    return reals(weights_of(s, layer)) * (6 + (ranges > 1 ? 2 * static_cast<double>(ranges) : 0) + (exchanged ? 2 : 0));
}

/// What a block of layers does on one of its ranks, the one with the most nodes.
class BlockWork {
public:
    BlockWork(const GridProblem& problem, LayerRange layers, int node_parts) : problem_(problem), layers_(layers) {
        Index columns = 0, held = 0;
        for (int part = 0; part < node_parts; ++part) {
            const NodeBlock own{part, node_parts};
            columns = std::max(columns, own.nodes_of(problem.ranges).count);
            held = std::max(held, own.ranges_of(problem.ranges).count);
        }
        for (int layer = layers.first; layer <= layers.last; ++layer) {
            LayerWork work = layer_work(problem.shape, layer, columns, problem.p.codec != Codec::none);
            work.move_W.bytes += weight_bytes(problem.shape, layer, held, node_parts > 1);
            work_.push_back(work);
        }
    }

    /// Without sums where `sums` is null; the link is taken until `link_free` from the start of under_p.
    RankStages stages(const SumCosts* sums, double link_free) const {
        const int last = problem_.shape.layers;
        const bool right = layers_.last < last;
        const int front = layers_.first == 1 ? 0 : group_end(layers_.first), border = group_begin(layers_.last);
        std::array<SummedWork, 2> p{};
        std::vector<std::array<SummedWork, 2>> W;  // one after the other
        RankStages stages;
        double closing = 0;
        for (int layer = layers_.first; layer <= layers_.last; ++layer) {
            const auto i = static_cast<std::size_t>(layer - layers_.first);
            const LayerWork& work = work_[i];
            SummedWork &of_p = p[half_of(layer)], &of_W = next_W(W, layer);
            (layer <= front ? stages.begin : of_p.before) += seconds(work.begin_p);
            of_p.before += seconds(work.move_p);
            of_W.before += seconds(work.gradient_W);
            of_W.after += seconds(work.move_W);
            if (sums) of_W.sums += exchanged_of(problem_.shape, layer).seconds(*sums);
            (right && layer >= border ? stages.close : closing) += seconds(work.close);
        }
        const bool steps = problem_.shape.rule != StepRule::block;
        const double scalars = sums && steps ? sums->scalar_seconds() : 0;  // |g|^2 and |h|^2; |H|^2
        for (SummedWork& part : p) part.sums = part.before > 0 ? scalars : 0;
        stages.update_p = summed_seconds(p, 0);
        for (const auto& parts : W) stages.under_p += summed_seconds(parts, link_free - stages.under_p);
        stages.under_p += scalars + closing;
        return stages;
    }

private:
    double seconds(const Work& work) const { return problem_.rates.seconds(work); }
    /// 1 for the second half of the rank's layers, where sums of each half travel under the work of the other.
    std::size_t half_of(int layer) const {
        const auto i = static_cast<std::size_t>(layer - layers_.first);
        return problem_.sums == SumSchedule::by_machine && i >= (work_.size() + 1) / 2 ? 1 : 0;
    }
    /// Halves of all layers, or of each stack, the layer's stack last; where sums are waited for one part.
    SummedWork& next_W(std::vector<std::array<SummedWork, 2>>& W, int layer) const {
        const bool stacks = problem_.sums == SumSchedule::hidden;
        if (W.empty() || (stacks && layer == group_begin(layer))) W.emplace_back();
        const int begin = group_begin(layer), half = (group_end(layer) - begin + 1) / 2;
        return W.back()[stacks ? (half > 0 && layer >= begin + half ? 1 : 0) : half_of(layer)];
    }
    // Layers in one stack: the first, all hidden ones of the rank, the last.
    int group_begin(int layer) const {
        return layer == 1 || layer == problem_.shape.layers ? layer : std::max(2, layers_.first);
    }
    int group_end(int layer) const {
        return layer == 1 || layer == problem_.shape.layers ? layer : std::min(problem_.shape.layers - 1, layers_.last);
    }

    const GridProblem& problem_;
    LayerRange layers_;
    std::vector<LayerWork> work_;
};

/// Messages over the borders between blocks of layers.
class Borders {
public:
    Borders(const GridProblem& problem, const Grid& grid, int blocks) : problem_(problem), grid_(grid) {
        for (int border = 0; border + 1 < blocks; ++border)
            seconds_.push_back({of(border, most_bytes(problem.p)), of(border, most_bytes(problem.q))});
    }
    const std::vector<BorderSeconds>& seconds() const { return seconds_; }
    double sent() const { return static_cast<double>(seconds_.size()) * both(); }
    double sent_between() const {
        double ranks = 0;
        for (std::size_t border = 0; border < seconds_.size(); ++border) ranks += crossing(static_cast<int>(border));
        return ranks / grid_.nodes * both();
    }

private:
    double bytes(NodeRange held, const Quantizer& quantizer) const {
        return static_cast<double>(
            ranges_message_bytes(problem_.shape.hidden, problem_.ranges, held.first, held.count, quantizer));
    }
    /// p and q of all nodes over one border.
    double both() const {
        const NodeRange all{0, problem_.ranges.count};
        return bytes(all, problem_.p) + bytes(all, problem_.q);
    }
    double most_bytes(const Quantizer& quantizer) const {
        double most = 0;
        for (int part = 0; part < grid_.nodes; ++part)
            most = std::max(most, bytes(NodeBlock{part, grid_.nodes}.ranges_of(problem_.ranges), quantizer));
        return most;
    }
    /// Pairs of ranks over `border` that lie on different machines.
    double crossing(int border) const {
        double pairs = 0;
        for (int rank = border * grid_.nodes; rank < (border + 1) * grid_.nodes; ++rank)
            pairs += problem_.machines.of(rank) != problem_.machines.of(rank + grid_.nodes) ? 1 : 0;
        return pairs;
    }
    /// All ranks send to the same side at once, over every border; a machine's link is shared by those that leave it.
    double of(int border, double bytes) const {
        if (crossing(border) == 0) return problem_.machines.inside.seconds(bytes);
        double most = 0;
        for (int rank = border * grid_.nodes; rank < (border + 1) * grid_.nodes; ++rank) {
            const int machine = problem_.machines.of(rank);
            double leaving = 0;
            for (int other = 0; other + grid_.nodes < grid_.ranks(); ++other)
                leaving +=
                    problem_.machines.of(other) == machine && problem_.machines.of(other + grid_.nodes) != machine;
            most = std::max(most, leaving);
        }
        return problem_.machines.between.seconds(most * bytes);
    }

    const GridProblem& problem_;
    Grid grid_;
    std::vector<BorderSeconds> seconds_;
};

std::vector<double> seconds_of_layers(const GridProblem& problem) {
    std::vector<double> seconds;
    for (int layer = 1; layer <= problem.shape.layers; ++layer)
        seconds.push_back(BlockWork(problem, {layer, layer}, 1).stages(nullptr, 0).sum());
    return seconds;
}

double sum_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum;
}

bool possible(const Grid& grid, const GridProblem& problem, int ranks) {
    const bool placed = problem.placement.kind != PlacementRule::Kind::listed ||
                        static_cast<int>(problem.placement.layers.size()) == grid.layers;
    return grid.ranks() == ranks && placed && grid.layers <= problem.shape.layers && grid.nodes <= problem.ranges.count;
}

}  // namespace

std::string GridSeconds::bound() const {
    const std::array<std::pair<double, const char*>, 4> losses{{{whole_layers, "whole layers"},
                                                                {node_ranges, "node ranges"},
                                                                {sums, "sums over nodes"},
                                                                {borders, "borders"}}};
    const auto most = std::max_element(losses.begin(), losses.end());
    return most->first < worth_naming * all() ? "work" : most->second;
}

std::string grid_fault(const Grid& grid, const GridProblem& problem, int ranks) {
    if (possible(grid, problem, ranks)) return "";
    const int layers = problem.shape.layers;
    const Index ranges = problem.ranges.count;
    const std::string found = fmt::format("{}: {} ranks, {} blocks of {} layers, {} blocks of {} node ranges",
                                          to_string(grid), grid.ranks(), grid.layers, layers, grid.nodes, ranges);
    std::vector<std::string> others;
    for (const Grid& other : possible_grids(problem, ranks)) others.push_back(to_string(other));
    std::string instead =
        others.empty() ? "take another number of ranks" : fmt::format("take {}", fmt::join(others, ", "));
    const Index wanted = ranges_to_ask_for(problem.shape.nodes, grid.nodes);
    if (grid.ranks() == ranks && grid.nodes > ranges && wanted > 0)
        instead += fmt::format(", or add --node-ranges {}, also to the runs that you compare with", wanted);
    return fmt::format("{}, expected {} ranks, at most {} and {} blocks; {}", found, ranks, layers, ranges, instead);
}

std::vector<Grid> possible_grids(const GridProblem& problem, int ranks) {
    std::vector<Grid> grids;
    for (int layers = 1; layers <= std::min(ranks, problem.shape.layers); ++layers)
        if (possible({layers, ranks / layers}, problem, ranks)) grids.push_back({layers, ranks / layers});
    return grids;
}

GridPlan plan_grid(const GridProblem& problem, const Grid& grid) {
    GridPlan plan{grid, place_layers(problem.placement, problem.shape, grid.layers, {}), {}, 0, 0, 0};
    const int blocks = plan.placement.active();
    const Borders borders(problem, grid, blocks);
    const std::vector<BorderSeconds> free(borders.seconds().size());
    std::vector<RankStages> bare, summed, all;
    std::vector<double> layers = seconds_of_layers(problem);
    double in_costliest = 0, on_costliest = 0;
    for (int block = 0; block < blocks; ++block) {
        const LayerRange own = plan.placement.of(block);
        const BlockWork work(problem, own, grid.nodes);
        const SumCosts sums(grid, block, problem.ranges, problem.machines, problem.sums);
        const SumCosts* exchanged = grid.nodes > 1 ? &sums : nullptr;
        const double p_leaves = block > 0 ? borders.seconds()[static_cast<std::size_t>(block - 1)].p : 0;
        bare.push_back(work.stages(nullptr, 0));
        summed.push_back(work.stages(exchanged, 0));
        all.push_back(work.stages(exchanged, p_leaves));
        in_costliest = std::max(in_costliest, block_cost(plan.placement, block, layers));
        on_costliest = std::max(on_costliest, bare.back().sum());
        for (int layer = own.first; exchanged && layer <= own.last; ++layer) {
            const Exchanged exchange = exchanged_of(problem.shape, layer);
            plan.node_bytes += exchange.sent(sums);
            plan.machine_bytes += exchange.sent_between(sums);
        }
    }
    plan.layer_bytes = borders.sent();
    plan.machine_bytes += borders.sent_between();
    plan.seconds.even = sum_of(layers) / grid.ranks();
    plan.seconds.whole_layers = in_costliest / grid.nodes - plan.seconds.even;
    plan.seconds.node_ranges = on_costliest - in_costliest / grid.nodes;
    const double with_sums = iteration_seconds(summed, free);
    plan.seconds.sums = with_sums - on_costliest;
    plan.seconds.borders = iteration_seconds(all, borders.seconds()) - with_sums;
    return plan;
}

double one_device_seconds(const GridProblem& problem) { return sum_of(seconds_of_layers(problem)); }

AdamSeconds adam_seconds(const GridProblem& problem, int ranks, double epoch_s) {
    NetworkShape s = problem.shape;
    const double by_graph = sum_of(gradient_costs(s));  // on one device alone
    s.graph_entries = 0;
    std::vector<double> layers = gradient_costs(s);
    double parameters = 0;
    for (int layer = 1; layer <= s.layers; ++layer)
        parameters += weights_of(s, layer) + static_cast<double>(s.rows(layer));
    const double flops_per_s = epoch_s > 0 ? by_graph / epoch_s : problem.rates.flops_per_s;
    for (double& cost : layers) cost /= flops_per_s;
    AdamSeconds adam;
    adam.one_device = by_graph / flops_per_s;
    const double work = sum_of(layers) / ranks;
    NodeRanges parts(s.nodes);  // a sum a rank
    parts.count = ranks;
    const SumCosts all({1, ranks}, 0, parts, problem.machines, SumSchedule::by_machine);
    const double sums = ranks > 1 ? all.seconds(reals(parameters)) : 0;
    adam.data_parallel = work + std::max(0.0, sums - work * 2 / 3);
    if (ranks > s.layers) return adam;
    constexpr int micro_batches = 4;  // a rank, as --micro-batches has it
    const int batches = ranks > 1 ? micro_batches * ranks : 1;
    const Placement placement = Placement::balanced(layers, ranks);
    std::vector<double> shares, messages;
    for (int rank = 0; rank < ranks; ++rank) {
        shares.push_back(block_cost(placement, rank, layers));
        const bool near = problem.machines.of(rank) == problem.machines.of(rank + 1);
        messages.push_back((near ? problem.machines.inside : problem.machines.between)
                               .seconds(reals(static_cast<double>(s.hidden * s.nodes)) / batches));
    }
    adam.pipeline = pipeline_seconds(shares, messages, batches);
    return adam;
}

}  // namespace pdadmm
