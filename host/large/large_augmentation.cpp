// Steps of an augmentation on disk, and what of them is done (host/large/large_augmentation.hpp).
#include "host/large/large_augmentation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "host/console/printable.hpp"
#include "host/data/augmented_folder.hpp"
#include "host/data/block_chains.hpp"
#include "host/data/split.hpp"
#include "host/large/assembly.hpp"
#include "host/large/manifest.hpp"
#include "host/large/slab_multiplication.hpp"
#include "host/large/work_folder.hpp"
#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

using Devices = std::vector<std::unique_ptr<SlabDevice>>;

Devices opened(const std::vector<int>& numbers) {
    Devices devices;
    for (const int device : numbers) devices.push_back(make_cuda_slab_device(device));
    return devices;
}

DeviceSize device_size(const Devices& devices, Index block_entries) {
    DeviceSize size{static_cast<int>(devices.size()), devices.empty() ? 0 : UINT64_MAX, block_entries};
    for (const auto& device : devices) size.free = std::min(size.free, device->free_memory());
    return size;
}

std::string identity_of(const GraphSource& source, const LargeOptions& o, const std::vector<std::int32_t>& nodes,
                        const Split& split) {
    std::string text = fmt::format("{}\n{}\n{}\n", source.identity(), to_string(o.augment), sizeof(real));
    if (o.stored == StoredAs::bf16) text += "bf16\n";
    for (const auto* part : {&nodes, &split.train, &split.val, &split.test})
        text += digest_hex(std::as_bytes(std::span(*part))) + "\n";
    return digest_hex(text);
}

LargeSize size_of(const GraphSource& source, Index kept, std::uint64_t entries, const DeviceSize& devices,
                  const LargeOptions& o) {
    const Dataset& d = source.description();
    const auto bytes = [](const auto& values) { return values.size() * sizeof(values[0]); };
    LargeSize size{d.nodes, d.features.count, kept, entries, source.weighted(), 0, source.opening_bytes(), o.threads};
    size.value_bytes = bytes_of(o.stored);
    size.devices = devices;
    size.describing = 3 * bytes(d.labels) + bytes(d.adjacency.offsets) + bytes(d.adjacency.columns) +
                      bytes(d.adjacency.values) + bytes(d.features.dense) + bytes(d.features.sparse.offsets) +
                      bytes(d.features.sparse.columns) + bytes(d.features.sparse.values);
    return size;
}

class DiskAugmentation {
public:
    DiskAugmentation(const GraphSource& source, const Split& split, const LargeOptions& options,
                     const LargeWatch& watch)
        : source_(source),
          split_(split),
          options_(options),
          watch_(watch),
          live_(watch.live),
          chains_(block_chains(options.augment.operators, options.augment.hops)),
          nodes_(kept_nodes(source.description(), split, options.nodes)),
          places_(rows_of_nodes(nodes_, split, options.nodes)),
          pool_(options.threads),
          devices_(opened(options.devices)),
          device_size_(device_size(devices_, options.block_entries)) {
        result_.rows = static_cast<Index>(nodes_.size());
        result_.inputs = augmented_inputs(options.augment, source.description().features.count);
    }

    LargeResult run() {
        if (nodes_.empty()) throw UsageError("--nodes: none of the graph, expected some; give labels, or --nodes all");
        const std::string identity = identity_of(source_, options_, nodes_, split_);
        const Folder folder = Folder::open_or_make(options_.folder);
        if (!holds_result(folder, identity)) {
            const WorkFolder held(folder);
            const Folder& work = held.folder();
            begin(work, identity);
            try {
                if (!manifest_.multiplied) {
                    take_graph(folder, work);
                    multiply(work);
                    leave_kept(work);
                }
                finish(folder, work);
            } catch (const Stopped&) {
                result_.stopped = true;
                return result_;
            }
        } else {
            watch_.note(fmt::format("{}: there already, whole", printable(options_.folder, 400)));
        }
        remove_work(folder);
        return result_;
    }

private:
    void require_memory(const LargePlan& plan) const {
        if (!plan.fits())
            throw DeviceError(fmt::format("--memory: {}, expected at least {} for {} nodes; give more, or fewer --hops",
                                          readable_bytes(plan.memory), readable_bytes(plan.least_memory),
                                          plan.size.nodes));
        if (!plan.fits_devices())
            throw DeviceError(fmt::format(
                "CUDA memory: {} free, expected at least {} for {} nodes; free some, or augment with --backend cpu",
                readable_bytes(plan.size.devices.free), readable_bytes(plan.least_on_device), plan.size.nodes));
    }

    /// The manifest of this work, and all that it lists checked. Before there is a graph nothing is lost by another
    /// one.
    void begin(const Folder& work, const std::string& identity) {
        manifest_ = read_manifest(work);
        const bool goes_on = manifest_.graph || manifest_.multiplied;
        if (goes_on && manifest_.identity != identity)
            throw UsageError(
                fmt::format("--out: {} holds a beginning with another graph or other options, expected the same "
                            "command; name another folder or remove it",
                            printable(options_.folder, 400)));
        manifest_.identity = identity;
        // Before the graph is built its entries are not known; memory does not depend on them.
        require_memory(plan_with(0));
        write_manifest(work, manifest_);
        if (!goes_on) return;
        for (const Part& part : manifest_.parts()) {
            live_.tick([&] { return fmt::format("checking {}", part.name); });
            verify_part(PartReader(work, part), pool_);
        }
        watch_.note(fmt::format("going on in {}: {} of {} features are done", printable(options_.folder, 400),
                                std::min(manifest_.features_done(), source_.description().features.count),
                                source_.description().features.count));
    }

    LargePlan plan_with(Index entries) const {
        return plan_large(size_of(source_, result_.rows, static_cast<std::uint64_t>(entries), device_size_, options_),
                          options_.augment, options_.memory);
    }

    void require_room(const Folder& work, std::uint64_t bytes, const std::string& what) const {
        if (const std::uint64_t free = work.free_bytes(); free < bytes)
            throw OutputError(
                fmt::format("{}: {} free, expected {} for {}; free some and give the same command again, which goes on",
                            printable(options_.folder, 400), readable_bytes(free), readable_bytes(bytes), what));
    }

    /// Graph and features, on disk. Files that are refused leave no beginning: mended, they are another graph.
    void take_graph(const Folder& folder, const Folder& work) {
        try {
            make_graph(work);
            make_features(work);
        } catch (const DataError&) {
            remove_work(folder);
            throw;
        }
    }

    void make_graph(const Folder& work) {
        if (manifest_.graph) return;
        const LargePlan plan = plan_with(0);
        const auto began = Clock::now();
        manifest_.graph = build_graph(source_, work, options_.augment.graph.directed, plan.build_memory, pool_,
                                      [&](std::uint64_t done, std::uint64_t total) {
                                          require_going();
                                          live_.tick([&] {
                                              return total == 0
                                                         ? fmt::format("edges: {} counted", done)
                                                         : fmt::format("edges: {} of {} in all passes", done, total);
                                          });
                                      });
        write_manifest(work, manifest_);
        watch_.note(fmt::format(
            "graph: {} nodes, {} entries, {} on disk, {:.1f} s", manifest_.graph->nodes, manifest_.graph->entries,
            readable_bytes(manifest_.graph->columns.bytes + manifest_.graph->offsets.bytes), seconds_since(began)));
    }

    void make_features(const Folder& work) {
        const LargePlan plan = plan_with(manifest_.graph->entries);
        if (!manifest_.features) {
            require_room(work, plan.disk - std::min(plan.disk, plan.graph_bytes), "features, slabs and X");
            const auto began = Clock::now();
            manifest_.features =
                write_features(source_, work, options_.augment.feature_norm == FeatureNorm::row, [&](Index done) {
                    require_going();
                    live_.tick([&] { return fmt::format("features: {} of {} nodes", done, plan.size.nodes); });
                });
            write_manifest(work, manifest_);
            watch_.note(fmt::format("features: {} of {} nodes, {} on disk, {:.1f} s", plan.size.features,
                                    plan.size.nodes, readable_bytes(manifest_.features->part.bytes),
                                    seconds_since(began)));
        }
    }

    void require_going() const {
        if (watch_.stopped()) throw Stopped{};
    }

    void multiply(const Folder& work) {
        if (manifest_.features_done() >= manifest_.features->padded()) return;
        const GraphReader graph(work, *manifest_.graph);
        if (!devices_.empty()) device_size_.block_entries = std::max(options_.block_entries, longest_row(graph, pool_));
        const LargePlan plan = plan_with(manifest_.graph->entries);
        require_memory(plan);
        const PartReader panels(work, manifest_.features->part);
        std::vector<DiskOperator> operators;
        std::size_t powers = 0;
        for (const BlockChain& chain : chains_) {
            operators.push_back(
                chain.powers > 1
                    ? disk_operator(graph, chain.walk ? walk_options(options_.augment.graph) : options_.augment.graph,
                                    pool_)
                    : DiskOperator());
            powers = std::max(powers, chain.powers);
        }
        std::vector<std::uint8_t> reach;
        if (result_.rows < plan.size.nodes) reach = reach_of(graph, nodes_, static_cast<int>(powers) - 1, pool_);
        const std::vector<std::unique_ptr<SlabWorker>> workers =
            workers_for({graph, panels, *manifest_.features}, plan);
        multiply_slabs({work, manifest_, graph, chains_, operators, nodes_, reach, watch_, live_}, workers,
                       plan.widest);
    }

    std::vector<std::unique_ptr<SlabWorker>> workers_for(const SlabInput& input, const LargePlan& plan) {
        std::vector<std::unique_ptr<SlabWorker>> workers;
        if (devices_.empty()) workers.push_back(slabs_in_memory(input, plan.widest, pool_));
        for (const auto& device : devices_) {
            const int threads = std::max(1, options_.threads / static_cast<int>(devices_.size()));
            workers.push_back(slabs_on_device(input, *device, plan.room, threads, watch_.note));
        }
        return workers;
    }

    /// The graph, the features and the last states give their room to X.
    void leave_kept(const Folder& work) {
        manifest_.multiplied = true;
        manifest_.graph.reset();
        manifest_.features.reset();
        manifest_.states.clear();
        write_manifest(work, manifest_);
    }

    void finish(const Folder& folder, const Folder& work) {
        const std::string digest =
            assemble_X(folder, work, manifest_.kept, places_, source_.description().features.count, options_.augment,
                       options_.stored, [&](Index done) {
                           require_going();
                           live_.tick([&] { return fmt::format("X: {} of {} rows", done, result_.rows); });
                       });
        const Dataset& d = source_.description();
        write_rows(folder, d, split_, nodes_, places_);
        const AugmentedRecord record{manifest_.identity, d.name,           to_string(options_.augment),
                                     options_.arguments, digest,           result_.rows,
                                     result_.inputs,     d.features.count, d.classes,
                                     d.class_ids,        d.class_names};
        const std::string text = text_of(record);
        write_file_atomically(folder.path_of(augmented_record_name), std::as_bytes(std::span(text)));
    }

    const GraphSource& source_;
    const Split& split_;
    const LargeOptions& options_;
    const LargeWatch& watch_;
    HopLine live_;
    std::vector<BlockChain> chains_;
    std::vector<std::int32_t> nodes_, places_;  // that are kept, and their rows of X
    ThreadPool pool_;
    Devices devices_;  // none: the processor multiplies
    DeviceSize device_size_;
    SlabManifest manifest_;
    LargeResult result_;
};

}  // namespace

std::vector<std::int32_t> kept_nodes(const Dataset& d, const Split& split, KeptNodes choice) {
    std::vector<std::int32_t> nodes;
    if (choice == KeptNodes::split)
        nodes = nodes_in(split);
    else
        for (Index i = 0; i < d.nodes; ++i)
            if (choice == KeptNodes::all || d.labels[static_cast<std::size_t>(i)] >= 0)
                nodes.push_back(static_cast<std::int32_t>(i));
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

std::vector<std::int32_t> rows_of_nodes(std::span<const std::int32_t> nodes, const Split& split, KeptNodes choice) {
    std::vector<std::int32_t> rows(nodes.size());
    if (choice != KeptNodes::split) {
        std::iota(rows.begin(), rows.end(), 0);
        return rows;
    }
    std::int32_t row = 0;
    for (const std::int32_t node : nodes_in(split))
        rows[static_cast<std::size_t>(std::lower_bound(nodes.begin(), nodes.end(), node) - nodes.begin())] = row++;
    return rows;
}

DeviceSize size_of_devices(const std::vector<int>& devices) {
    return device_size(opened(devices), usual_block_entries);
}

LargePlan plan_of(const GraphSource& source, const Split& split, const LargeOptions& options) {
    const std::uint64_t edges = source.stored_edges();
    const auto kept = static_cast<Index>(kept_nodes(source.description(), split, options.nodes).size());
    return plan_large(size_of(source, kept, source.symmetric() || options.augment.graph.directed ? edges : 2 * edges,
                              device_size(opened(options.devices), options.block_entries), options),
                      options.augment, options.memory);
}

LargeResult augment_on_disk(const GraphSource& source, const Split& split, const LargeOptions& options,
                            const LargeWatch& watch) {
    return DiskAugmentation(source, split, options, watch).run();
}

}  // namespace pdadmm
