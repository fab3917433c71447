// Counting (host/large/large_plan.hpp).
#include "host/large/large_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>

#include "host/data/block_chains.hpp"
#include "host/large/disk_graph.hpp"
#include "host/large/features_on_disk.hpp"
#include "host/large/slab_product.hpp"
#include "host/machine/processors.hpp"

namespace pdadmm {
namespace {

constexpr std::uint64_t program_bytes = std::uint64_t{64} << 20;  // the program, and buffers of fixed sizes

std::uint64_t unsigned_of(Index value) { return static_cast<std::uint64_t>(value); }

/// What stays beside a slab: factors of nodes for every operator, reach, kept nodes and their rows.
std::uint64_t beside_slab(const LargeSize& s, const std::vector<BlockChain>& chains) {
    std::uint64_t bytes = s.describing + program_bytes + 2 * unsigned_of(s.kept) * sizeof(std::int32_t);
    for (const BlockChain& chain : chains)
        if (chain.powers > 1) bytes += unsigned_of(s.nodes) * sizeof(double);
    return bytes + (s.kept < s.nodes ? unsigned_of(s.nodes) : 0);
}

std::uint64_t slab_bytes(const LargeSize& s, Index width) {
    return unsigned_of(s.nodes * width) * sizeof(real) +
           unsigned_of(s.threads) * product_bytes_a_thread(width, s.weighted);
}

/// The room of a GPU for slabs of so many features; ranges are about as large as blocks, in whole records of a state.
SlabRoom room_of(const LargeSize& s, const AugmentOptions& options, Index width, bool holds_graph) {
    const Index records = std::max<Index>(1, s.devices.block_entries * static_cast<Index>(sizeof(std::int32_t)) /
                                                 static_cast<Index>(state_record(width)));
    SlabRoom room;
    room.nodes = s.nodes;
    room.width = width;
    room.range_rows = std::min((s.nodes + rows_of_task - 1) / rows_of_task, records) * rows_of_task;
    room.block_entries = s.devices.block_entries;
    room.weighted = s.weighted;
    for (const BlockChain& chain : block_chains(options.operators, options.hops))
        room.scaled |= (chain.walk ? walk_options(options.graph) : options.graph).norm != Norm::none;
    room.limited = s.kept < s.nodes;
    room.holds_graph = holds_graph;
    room.entries = holds_graph ? static_cast<Index>(s.entries) : 0;
    return room;
}

/// The widest slab, of `padded` features at most, that every(width) allows; 0: none.
template <typename Fits>
Index widest_of(Index padded, const Fits& fits) {
    for (Index width = padded; width >= panel_features; width -= panel_features)
        if (fits(width)) return width;
    return 0;
}

/// The widest slab of GPUs, and where the graph lies: on each of them unless that makes slabs so narrow that memory is
/// read in pieces of less than a cache line.
void plan_devices(const LargeSize& s, const AugmentOptions& options, std::uint64_t host_memory, Index padded,
                  LargePlan& plan) {
    constexpr Index cache_line = 128 / sizeof(real);
    const Index panels = padded / panel_features, share = (panels + s.devices.count - 1) / s.devices.count,
                most = share * panel_features;
    const auto widest = [&](bool holds_graph) {
        return widest_of(most, [&](Index width) {
            const SlabRoom room = room_of(s, options, width, holds_graph);
            return room.device_bytes() <= s.devices.free &&
                   unsigned_of(s.devices.count) * room.locked_bytes() <= host_memory;
        });
    };
    const Index beside_graph = widest(true);
    const bool holds = beside_graph > 0 && beside_graph >= std::min(most, cache_line);
    plan.widest = holds ? beside_graph : widest(false);
    plan.room = room_of(s, options, std::max(plan.widest, panel_features), holds);
    plan.least_on_device = room_of(s, options, panel_features, false).device_bytes();
}

}  // namespace

std::vector<Index> slab_widths(Index padded, Index widest) {
    if (widest < panel_features) return {};
    const Index slabs = (padded + widest - 1) / widest, panels = padded / panel_features;
    std::vector<Index> widths;
    for (Index slab = 0; slab < slabs; ++slab)
        widths.push_back((panels * (slab + 1) / slabs - panels * slab / slabs) * panel_features);
    return widths;
}

LargePlan plan_large(const LargeSize& s, const AugmentOptions& options, std::uint64_t memory) {
    const std::vector<BlockChain> chains = block_chains(options.operators, options.hops);
    LargePlan plan;
    plan.size = s;
    plan.memory = memory;
    const std::uint64_t beside = beside_slab(s, chains), base = s.describing + program_bytes,
                        least_range = std::uint64_t{1} << 20;
    const bool on_devices = s.devices.count > 0;
    const std::uint64_t least_slab =
        on_devices ? unsigned_of(s.devices.count) * room_of(s, options, panel_features, false).locked_bytes()
                   : slab_bytes(s, panel_features);
    plan.least_memory =
        std::max({program_bytes + s.opening, beside + least_slab, base + counting_bytes(s.nodes) + least_range,
                  base + feature_writing_bytes(s.nodes, s.features)});
    plan.build_memory = memory > base ? memory - base : 0;
    plan.build_passes = build_passes(s.nodes, s.entries, s.weighted, plan.build_memory);
    const Index padded = (s.features + panel_features - 1) / panel_features * panel_features;
    const std::uint64_t for_slabs = memory - std::min(memory, beside);
    if (on_devices)
        plan_devices(s, options, for_slabs, padded, plan);
    else
        plan.widest = widest_of(padded, [&](Index width) { return slab_bytes(s, width) <= for_slabs; });
    plan.widths = slab_widths(padded, plan.widest);
    std::uint64_t powers_kept = 0, states = 0;
    for (const BlockChain& chain : chains) {
        plan.hops += static_cast<Index>(chain.powers) - 1;
        states += chain.powers > 2 ? chain.powers - 2 : 0;
        for (std::size_t k = 0; k < chain.powers; ++k) powers_kept += chain.takes(k) ? 1 : 0;
    }
    const std::uint64_t nodes = unsigned_of(s.nodes), row = unsigned_of(padded) * sizeof(real);
    const Index widest_slab = plan.widths.empty() ? 0 : *std::max_element(plan.widths.begin(), plan.widths.end());
    plan.graph_bytes = s.entries * (s.weighted ? 8 : 4) + counting_bytes(s.nodes);
    plan.features_bytes = disk_features_bytes(s.nodes, s.features);
    const std::uint64_t at_once = unsigned_of(std::max(1, s.devices.count));
    plan.state_bytes =
        states > 0 ? at_once * (states > 1 ? 2 : 1) * nodes * unsigned_of(widest_slab) * sizeof(real) : 0;
    plan.kept_bytes = unsigned_of(s.kept) * row * powers_kept;
    plan.result_bytes = unsigned_of(s.kept * augmented_inputs(options, s.features)) * s.value_bytes;
    plan.disk = std::max(plan.graph_bytes + plan.features_bytes + plan.state_bytes + plan.kept_bytes,
                         plan.kept_bytes + plan.result_bytes);
    plan.graph_read =
        (plan.room.holds_graph ? at_once : plan.widths.size() * unsigned_of(plan.hops)) * plan.graph_bytes;
    plan.states_moved = (on_devices ? 1 : 2) * states * nodes * row;  // a device goes on with the Y that it has
    plan.gathered = unsigned_of(plan.hops) * s.entries * row;
    return plan;
}

std::string readable_bytes(std::uint64_t bytes) {
    const double mebibytes = static_cast<double>(bytes) / (1 << 20);
    return mebibytes < 100 ? fmt::format("{:.1f} MiB", mebibytes) : fmt::format("{:.2f} GiB", mebibytes / 1024);
}

double measured_copy_rate(int threads) {
    constexpr std::size_t bytes = std::size_t{32} << 20;
    const int busy = std::min(threads, available_processors());
    std::vector<double> rates(static_cast<std::size_t>(busy));
    std::vector<std::thread> workers;
    for (double& rate : rates)
        workers.emplace_back([&rate] {
            const std::vector<char> from(bytes, 1);
            std::vector<char> to(bytes, 2);
            const auto began = std::chrono::steady_clock::now();
            double copied = 0, seconds = 0;
            while (seconds < 0.2) {
                std::memcpy(to.data(), from.data(), bytes);
                copied += 2.0 * bytes;
                seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
            }
            rate = copied / seconds;
        });
    for (std::thread& worker : workers) worker.join();
    return std::accumulate(rates.begin(), rates.end(), 0.0);
}

std::string text_of(const LargePlan& p, double copy_rate, double disk_rate) {
    const LargeSize& s = p.size;
    const auto minutes = [](double bytes, double rate) { return bytes / rate / 60; };
    const std::uint64_t disk_traffic =
        p.graph_read + p.states_moved + 2 * p.features_bytes + p.graph_bytes + 2 * p.kept_bytes + p.result_bytes;
    std::string text;
    text += fmt::format("graph     {} nodes, {} entries at most, {} features; X of {} nodes\n", s.nodes, s.entries,
                        s.features, s.kept);
    text += fmt::format("memory    {}, at least {}\n", readable_bytes(p.memory), readable_bytes(p.least_memory));
    if (s.devices.count > 0)
        text += fmt::format("GPUs      {} with {} free; {} of it, at least {}; the graph is {}\n", s.devices.count,
                            readable_bytes(s.devices.free), readable_bytes(p.room.device_bytes()),
                            readable_bytes(p.least_on_device),
                            p.room.holds_graph ? "held there" : "streamed there, in every hop of a slab");
    text += fmt::format("build     {} passes over the edges\n", p.build_passes);
    text += fmt::format("slabs     {} of {} features, {} hops each: {} passes over the graph\n", p.widths.size(),
                        fmt::join(p.widths, ", "), p.hops, static_cast<Index>(p.widths.size()) * p.hops);
    text += fmt::format("disk      {}: graph {}, features {}, slabs between hops {}, kept nodes {}, X {}\n",
                        readable_bytes(p.disk), readable_bytes(p.graph_bytes), readable_bytes(p.features_bytes),
                        readable_bytes(p.state_bytes), readable_bytes(p.kept_bytes), readable_bytes(p.result_bytes));
    text += fmt::format("read      {} of graph, {} moved of slabs, {} gathered in memory\n",
                        readable_bytes(p.graph_read), readable_bytes(p.states_moved), readable_bytes(p.gathered));
    const double disk_minutes = minutes(static_cast<double>(disk_traffic), disk_rate);
    if (s.devices.count > 0)
        text +=
            fmt::format("time      of GPUs: not known, none was measured; {:.1f} min of disk at {:.1f} GB/s (assumed)",
                        disk_minutes, disk_rate / 1e9);
    else
        text += fmt::format(
            "time      about {:.1f} min in memory at {:.1f} GB/s (measured, {} threads), {:.1f} min of disk at {:.1f} "
            "GB/s "
            "(assumed)",
            minutes(static_cast<double>(p.gathered), copy_rate), copy_rate / 1e9,
            std::min(s.threads, available_processors()), disk_minutes, disk_rate / 1e9);
    text += "; reading and sorting the edges comes before\n";
    return text;
}

}  // namespace pdadmm
