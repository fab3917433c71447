// Slabs on a device (host/large/slab_worker.hpp). Rows of the graph go there in blocks, by two turns; columns of X and
// Y come and go in ranges of whole records of a state, by two turns of their own: one is written to disk while the
// other is on its way.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "host/large/slab_worker.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

struct Range {
    Index first, last;
    int turn;
};

class SlabsOnDevice final : public SlabWorker {
public:
    SlabsOnDevice(const SlabInput& input, SlabDevice& device, const SlabRoom& room, int threads)
        : input_(input), device_(device), room_(room), pool_(threads) {
        if (room_.holds_graph) hold_graph();
    }

    void load_features(Index first, Index width) override {
        put(width, [&](Index from, Index to, real* x) {
            pdadmm::load_features(input_.panels, input_.features, first, width, from, to, x, pool_);
        });
    }

    void load_state(const PartReader& state, Index width) override {
        put(width, [&](Index from, Index to, real* x) { read_state(state, from, to, width, x, pool_); });
    }

    void keep(std::span<const std::int32_t> kept, PartWriter& out) override {
        std::optional<Range> before;
        each_range([&](const Range& range) {
            if (!has_kept(kept, range)) return;
            device_.get_X(range.turn, range.first, range.last);
            if (before) write(*before, kept, {nullptr, &out});
            before = range;
        });
        if (before) write(*before, kept, {nullptr, &out});
    }

    void hop(const DiskOperator& a, const HopRows& rows, HopOutput out, HopWatch& watch) override {
        if (operator_ != &a) device_.set_operator(a.options, a.scale);
        operator_ = &a;
        if (!rows.reach.empty() && reach_ != rows.reach.data()) device_.set_reach(rows.reach);
        reach_ = rows.reach.data();
        device_.begin_hop(rows.most);
        std::optional<Range> before;
        bool stopped = false;
        each_range([&](const Range& range) {
            stopped = stopped || (watch.stopped && watch.stopped());
            if (stopped) return;
            multiply(range, rows, watch);
            if (out.state || has_kept(rows.kept, range)) {
                device_.get_Y(range.turn, range.first, range.last);
                if (before) write(*before, rows.kept, out);
                before = range;
            }
            watch.rows_done += range.last - range.first;
        });
        if (before && !stopped) write(*before, rows.kept, out);
    }

    void advance(const PartReader&) override { device_.advance(); }

private:
    Index nodes() const { return input_.features.nodes; }

    /// Turns alternate over the ranges.
    template <typename Visit>
    void each_range(const Visit& visit) {
        int turn = 0;
        for (Index first = 0; first < nodes(); first += room_.range_rows, turn ^= 1)
            visit(Range{first, std::min(nodes(), first + room_.range_rows), turn});
    }

    static bool has_kept(std::span<const std::int32_t> kept, const Range& range) {
        const auto [from, to] = kept_within(kept, range.first, range.last);
        return from < to;
    }

    template <typename Load>
    void put(Index width, const Load& load) {
        width_ = width;
        device_.begin_slab(width);
        each_range([&](const Range& range) {
            load(range.first, range.last, device_.range(range.turn));
            device_.put(range.turn, range.first, range.last);
        });
    }

    /// Waits for the range to arrive. Its columns go where `out` says.
    void write(const Range& range, std::span<const std::int32_t> kept, HopOutput out) {
        const real* columns = device_.range(range.turn);
        const auto record = static_cast<Index>(state_record(width_) / sizeof(real));
        const Index values = (range.last - range.first) * width_;
        if (out.state)
            each_row_block(pool_, values, record, {}, [&](Index from, Index to) {
                out.state->write(
                    static_cast<std::uint64_t>(range.first * width_ + from) * sizeof(real),
                    std::as_bytes(std::span<const real>(columns + from, static_cast<std::size_t>(to - from))));
            });
        if (out.kept) write_kept(columns, range.first, range.last, width_, kept, *out.kept);
    }

    /// Rows first .. in blocks of at most so many entries: visit(rows, offsets of those rows).
    template <typename Visit>
    void each_block(Index first, Index last, const Visit& visit) {
        const std::vector<Index> offsets = input_.graph.offsets(first, last);
        for (auto begin = offsets.begin(); begin + 1 < offsets.end();) {
            const auto end = std::upper_bound(begin + 1, offsets.end(), *begin + room_.block_entries) - 1;
            if (end == begin) throw Error(ExitCode::internal, "a row of the graph is longer than a block");
            visit(GraphRows{first + (begin - offsets.begin()), first + (end - offsets.begin()), *begin, *end},
                  std::span(begin, end + 1));
            begin = end;
        }
    }

    /// The block's rows from disk into page-locked memory of the present turn.
    void read(const GraphRows& rows, std::span<const Index> offsets) {
        constexpr Index entries_of_task = Index{1} << 20;
        const SlabDevice::Block block = device_.block(turn_);
        std::copy(offsets.begin(), offsets.end(), block.offsets);
        each_row_block(pool_, rows.end - rows.begin, entries_of_task, {}, [&](Index from, Index to) {
            const auto count = static_cast<std::size_t>(to - from);
            input_.graph.entries(rows.begin + from, {block.columns + from, count},
                                 block.weights ? std::span<float>(block.weights + from, count) : std::span<float>());
        });
    }

    void hold_graph() {
        for (Index first = 0; first < nodes(); first += room_.range_rows)
            each_block(first, std::min(nodes(), first + room_.range_rows),
                       [&](const GraphRows& rows, std::span<const Index> offsets) {
                           read(rows, offsets);
                           device_.hold(turn_, rows);
                           turn_ ^= 1;
                       });
    }

    void multiply(const Range& range, const HopRows& wanted, HopWatch& watch) {
        each_block(range.first, range.last, [&](GraphRows rows, std::span<const Index> offsets) {
            Index entries = 0;
            for (Index row = rows.first; row < rows.last; ++row)
                if (wanted.computes(row)) {
                    const auto k = static_cast<std::size_t>(row - rows.first);
                    entries += offsets[k + 1] - offsets[k];
                }
            if (!room_.holds_graph) {
                if (entries == 0 && !wanted.reach.empty()) rows.end = rows.begin;
                read(rows, offsets);
                watch.bytes_read += static_cast<std::uint64_t>(rows.end - rows.begin) * (room_.weighted ? 8 : 4);
            }
            device_.multiply(turn_, rows);
            turn_ ^= 1;
            watch.entries += static_cast<std::uint64_t>(entries);
        });
    }

    SlabInput input_;
    SlabDevice& device_;
    SlabRoom room_;
    ThreadPool pool_;
    Index width_ = 0;
    int turn_ = 0;  // of blocks
    const DiskOperator* operator_ = nullptr;
    const std::uint8_t* reach_ = nullptr;
};

}  // namespace

std::unique_ptr<SlabWorker> slabs_on_device(const SlabInput& input, SlabDevice& device, SlabRoom room, int threads,
                                            const std::function<void(const std::string&)>& note) {
    if (room.holds_graph) {
        try {
            device.reserve(room);
            return std::make_unique<SlabsOnDevice>(input, device, room, threads);
        } catch (const DeviceError& error) {
            note(fmt::format("{}: the graph is streamed, because {}", device.name(), error.what()));
            room.holds_graph = false;
        }
    }
    device.reserve(room);
    return std::make_unique<SlabsOnDevice>(input, device, room, threads);
}

Index longest_row(const GraphReader& graph, ThreadPool& pool) {
    std::atomic<Index> longest{0};
    each_row_block(pool, graph.graph().nodes, rows_of_task, {}, [&](Index first, Index last) {
        const std::vector<Index> offsets = graph.offsets(first, last);
        Index here = 0;
        for (std::size_t k = 1; k < offsets.size(); ++k) here = std::max(here, offsets[k] - offsets[k - 1]);
        for (Index seen = longest; seen < here && !longest.compare_exchange_weak(seen, here);) {
        }
    });
    return longest;
}

}  // namespace pdadmm
