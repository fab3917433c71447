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
#include "host/large/hop_line.hpp"
#include "host/large/manifest.hpp"
#include "host/large/slab.hpp"
#include "host/large/slab_product.hpp"
#include "host/large/work_folder.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Clock = std::chrono::steady_clock;

struct Stopped {};

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

std::string time_left(double share, double seconds) {
    const double left = share > 0 ? seconds * (1 - share) / share : 0;
    return left < 90 ? fmt::format("{:.0f} s", left) : fmt::format("{:.0f} min", left / 60);
}

std::string identity_of(const GraphSource& source, const LargeOptions& o, const std::vector<std::int32_t>& nodes,
                        const Split& split) {
    std::string text = fmt::format("{}\n{}\n{}\n", source.identity(), to_string(o.augment), sizeof(real));
    if (o.stored == StoredAs::bf16) text += "bf16\n";
    for (const auto* part : {&nodes, &split.train, &split.val, &split.test})
        text += digest_hex(std::as_bytes(std::span(*part))) + "\n";
    return digest_hex(text);
}

LargeSize size_of(const GraphSource& source, Index kept, std::uint64_t entries, const LargeOptions& o) {
    const Dataset& d = source.description();
    const auto bytes = [](const auto& values) { return values.size() * sizeof(values[0]); };
    LargeSize size{d.nodes, d.features.count, kept, entries, source.weighted(), 0, source.opening_bytes(), o.threads};
    size.value_bytes = bytes_of(o.stored);
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
          pool_(options.threads) {
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
                                std::min(manifest_.features_done, source_.description().features.count),
                                source_.description().features.count));
    }

    LargePlan plan_with(Index entries) const {
        return plan_large(size_of(source_, result_.rows, static_cast<std::uint64_t>(entries), options_),
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
        const LargePlan plan = plan_with(manifest_.graph->entries);
        require_memory(plan);
        const Index padded = manifest_.features->padded();
        if (manifest_.features_done >= padded) return;
        const GraphReader graph(work, *manifest_.graph);
        const PartReader features(work, manifest_.features->part);
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
        if (manifest_.state && manifest_.state->width > plan.widest) manifest_.state.reset();
        const Index begun = manifest_.state ? manifest_.state->width : 0;  // of the slab that goes on
        std::vector<Index> widths = slab_widths(padded - manifest_.features_done - begun, plan.widest);
        if (begun > 0) widths.insert(widths.begin(), begun);
        Slab x(static_cast<std::size_t>(plan.size.nodes * *std::max_element(widths.begin(), widths.end())));
        for (const Index width : widths) {
            const Index first = manifest_.features_done;
            if (!manifest_.state) {  // nothing of a slab that was begun counts
                std::erase_if(manifest_.kept, [&](const SlabPower& one) { return one.first >= first; });
                write_manifest(work, manifest_);
            }
            for (Index chain = manifest_.state ? manifest_.state->chain : 0; chain < static_cast<Index>(chains_.size());
                 ++chain)
                follow_chain(work, graph, features, operators[static_cast<std::size_t>(chain)], reach,
                             {first, width, chain, 0, {}}, x.data());
            manifest_.features_done = first + width;
            manifest_.state.reset();
            write_manifest(work, manifest_);
        }
    }

    bool has_kept(const SlabPower& at) const {
        return std::any_of(manifest_.kept.begin(), manifest_.kept.end(), [&](const SlabPower& one) {
            return one.first == at.first && one.chain == at.chain && one.power == at.power;
        });
    }

    static std::string part_name(const char* kind, const SlabPower& at) {
        return fmt::format("{}-{}-{}-{}", kind, at.first, at.chain, at.power);
    }

    /// All powers of one operator over one slab, from the last one that the manifest has.
    void follow_chain(const Folder& work, const GraphReader& graph, const PartReader& features, const DiskOperator& a,
                      std::span<const std::uint8_t> reach, SlabPower at, real* x) {
        const BlockChain& chain = chains_[static_cast<std::size_t>(at.chain)];
        const Index nodes = manifest_.graph->nodes, last = static_cast<Index>(chain.powers) - 1;
        const std::uint64_t kept_record = static_cast<std::uint64_t>(at.width) * sizeof(real);
        if (manifest_.state && manifest_.state->chain == at.chain) {
            at.power = manifest_.state->power;
            load_state(PartReader(work, manifest_.state->part), at.width, nodes, x, pool_);
        } else {
            load_slab(features, *manifest_.features, at.first, at.width, x, pool_);
            if (chain.takes(0) && !has_kept(at)) {
                PartWriter kept(work, part_name("kept", at), kept_record);
                keep_columns(x, at.width, nodes, nodes_, kept, pool_);
                at.part = kept.commit();
                manifest_.kept.push_back(at);
            }
        }
        while (++at.power <= last) {
            const bool takes = chain.takes(static_cast<std::size_t>(at.power));
            if (at.power == last && has_kept(at)) return;
            std::optional<PartWriter> kept, state;
            if (takes) kept.emplace(work, part_name("kept", at), kept_record);
            if (at.power < last) state.emplace(work, part_name("state", at), state_record(at.width));
            hop(graph, a, {nodes_, reach, static_cast<int>(last - at.power)},
                {state ? &*state : nullptr, kept ? &*kept : nullptr}, at, x);
            SlabPower done = at;
            if (kept) {
                done.part = kept->commit();
                manifest_.kept.push_back(done);
            }
            if (state) {
                done.part = state->commit();
                manifest_.state = done;
            }
            write_manifest(work, manifest_);
            if (state) load_state(PartReader(work, manifest_.state->part), at.width, nodes, x, pool_);
        }
    }

    void hop(const GraphReader& graph, const DiskOperator& a, const HopRows& rows, HopOutput out, const SlabPower& at,
             const real* x) {
        const auto began = Clock::now();
        const Index nodes = graph.graph().nodes;
        HopWatch watch;
        const auto text = [&](double share) {
            const double seconds = seconds_since(began);
            return fmt::format(
                "features {} to {}: hop {}, {:.0f} %, {:.2f} GB/s of graph, {:.2f} GB/s gathered", at.first,
                at.first + at.width - 1, at.power, 100 * share, static_cast<double>(watch.bytes_read) / 1e9 / seconds,
                static_cast<double>(watch.entries) * static_cast<double>(at.width) * sizeof(real) / 1e9 / seconds);
        };
        watch.stopped = [&] {
            const double share = static_cast<double>(watch.rows_done) / static_cast<double>(nodes);
            live_.tick([&] {
                return fmt::format("{}, {} left of this hop", text(share), time_left(share, seconds_since(began)));
            });
            return watch_.stopped();
        };
        slab_product(graph, a, x, at.width, rows, out, watch, pool_);
        require_going();
        watch_.note(fmt::format("{}, {:.1f} s", text(1), seconds_since(began)));
    }

    /// The graph, the features and the last state give their room to X.
    void leave_kept(const Folder& work) {
        manifest_.multiplied = true;
        manifest_.graph.reset();
        manifest_.features.reset();
        manifest_.state.reset();
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

LargePlan plan_of(const GraphSource& source, const Split& split, const LargeOptions& options) {
    const std::uint64_t edges = source.stored_edges();
    const auto kept = static_cast<Index>(kept_nodes(source.description(), split, options.nodes).size());
    return plan_large(
        size_of(source, kept, source.symmetric() || options.augment.graph.directed ? edges : 2 * edges, options),
        options.augment, options.memory);
}

LargeResult augment_on_disk(const GraphSource& source, const Split& split, const LargeOptions& options,
                            const LargeWatch& watch) {
    return DiskAugmentation(source, split, options, watch).run();
}

}  // namespace pdadmm
