// Hops over a graph on disk (host/large/slab_product.hpp).
#include "host/large/slab_product.hpp"

#include <algorithm>

#include "host/cpu/row_product.hpp"
#include "pdadmm/slab_device.hpp"

namespace pdadmm {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(std::span<const T> values) {
    return std::as_bytes(values);
}

/// visit(column, weight) of a row's entries in order of columns, with self loops as the options say.
/// `ahead(column)` of entries that come soon.
template <typename Visit, typename Ahead>
void each_entry(RowWindow& window, SelfLoops loops, Index row, Index begin, Index end, Index last, const Visit& visit,
                const Ahead& ahead) {
    bool placed = loops != SelfLoops::add;
    for (Index e = begin; e < end;) {
        const RowWindow::Entries entries = window.from(e, end, last);
        constexpr auto ahead_by = static_cast<std::size_t>(fetched_ahead);
        const std::size_t at_hand = entries.columns.size() + entries.ahead;
        for (std::size_t k = 0; k < entries.columns.size(); ++k) {
            if (k + ahead_by < at_hand) ahead(entries.columns.data()[k + ahead_by]);
            const std::int32_t column = entries.columns[k];
            if (column >= row && loops != SelfLoops::keep) {
                if (!placed) visit(static_cast<std::int32_t>(row), loop_weight);
                placed = true;
                if (column == row) continue;
            }
            visit(column, entries.weights.empty() ? 1.0f : entries.weights[k]);
        }
        e += static_cast<Index>(entries.columns.size());
    }
    if (!placed) visit(static_cast<std::int32_t>(row), loop_weight);
}

}  // namespace

std::pair<Index, Index> kept_within(std::span<const std::int32_t> kept, Index first, Index last) {
    const auto from = std::lower_bound(kept.begin(), kept.end(), first), to = std::lower_bound(from, kept.end(), last);
    return {from - kept.begin(), to - kept.begin()};
}

void write_kept(const real* block, Index first, Index last, Index width, std::span<const std::int32_t> kept,
                PartWriter& out) {
    const auto [from, to] = kept_within(kept, first, last);
    if (from == to) return;
    std::vector<real> columns(static_cast<std::size_t>((to - from) * width));
    for (Index k = from; k < to; ++k)
        std::copy_n(block + (kept[static_cast<std::size_t>(k)] - first) * width, width,
                    columns.data() + (k - from) * width);
    out.write(static_cast<std::uint64_t>(from * width) * sizeof(real), bytes_of(std::span<const real>(columns)));
}

std::uint64_t state_record(Index width) { return static_cast<std::uint64_t>(rows_of_task * width) * sizeof(real); }

void read_state(const PartReader& state, Index first, Index last, Index width, real* x, ThreadPool& pool) {
    each_row_block(pool, last - first, rows_of_task, {}, [&](Index begin, Index end) {
        state.read(
            static_cast<std::uint64_t>((first + begin) * width) * sizeof(real),
            std::as_writable_bytes(std::span(x + begin * width, static_cast<std::size_t>((end - begin) * width))));
    });
}

std::uint64_t product_bytes_a_thread(Index width, bool weighted) {
    return 2 * state_record(width) + RowWindow::window_entries * (weighted ? 8 : 4);
}

DiskOperator disk_operator(const GraphReader& graph, const GraphOptions& options, ThreadPool& pool) {
    DiskOperator a{options, {}};
    if (options.norm == Norm::none) return a;
    a.scale.resize(static_cast<std::size_t>(graph.graph().nodes));
    const bool counted =
        !graph.graph().weights && (options.self_loops == SelfLoops::keep || graph.graph().self_loops == 0);
    each_row_block(pool, graph.graph().nodes, rows_of_task, {}, [&](Index first, Index last) {
        const std::vector<Index> offsets = graph.offsets(first, last);
        RowWindow window = graph.window();
        for (Index row = first; row < last; ++row) {
            const Index begin = offsets[static_cast<std::size_t>(row - first)],
                        end = offsets[static_cast<std::size_t>(row - first) + 1];
            double degree = 0;
            if (counted)  // a sum of ones
                degree = static_cast<double>(end - begin + (options.self_loops == SelfLoops::add ? 1 : 0));
            else
                each_entry(
                    window, options.self_loops, row, begin, end, offsets.back(),
                    [&](std::int32_t, float weight) { degree += static_cast<double>(weight); }, [](std::int32_t) {});
            a.scale[static_cast<std::size_t>(row)] = degree_scale(options.norm, degree);
        }
    });
    return a;
}

std::vector<std::uint8_t> reach_of(const GraphReader& graph, std::span<const std::int32_t> wanted, int hops,
                                   ThreadPool& pool) {
    std::vector<std::uint8_t> reach(static_cast<std::size_t>(graph.graph().nodes), 255);
    for (const std::int32_t node : wanted) reach[static_cast<std::size_t>(node)] = 0;
    for (int hop = 1; hop < hops; ++hop)
        each_row_block(pool, graph.graph().nodes, rows_of_task, {}, [&](Index first, Index last) {
            const auto at = [&](Index node) { return std::atomic_ref(reach[static_cast<std::size_t>(node)]); };
            std::vector<Index> offsets;
            RowWindow window = graph.window();
            for (Index row = first; row < last; ++row) {
                if (at(row).load(std::memory_order_relaxed) != hop - 1) continue;
                if (offsets.empty()) offsets = graph.offsets(first, last);
                each_entry(
                    window, SelfLoops::keep, row, offsets[static_cast<std::size_t>(row - first)],
                    offsets[static_cast<std::size_t>(row - first) + 1], offsets.back(),
                    [&](std::int32_t column, float) {
                        std::uint8_t far = 255;  // whoever comes first: all write the same
                        at(column).compare_exchange_strong(far, static_cast<std::uint8_t>(hop),
                                                           std::memory_order_relaxed);
                    },
                    [](std::int32_t) {});
            }
        });
    return reach;
}

void slab_product(const GraphReader& graph, const DiskOperator& a, const real* X, Index width, const HopRows& rows,
                  HopOutput out, HopWatch& watch, ThreadPool& pool) {
    const GraphOptions& options = a.options;
    const double* scale = a.scale.data();
    const auto ahead = [&](std::int32_t column) {
        const auto* x = reinterpret_cast<const char*>(X + column * width);
        for (std::size_t byte = 0; byte < static_cast<std::size_t>(width) * sizeof(real); byte += 64)
            __builtin_prefetch(x + byte);
        if (options.norm == Norm::sym) __builtin_prefetch(scale + column);
    };
    each_row_block(pool, graph.graph().nodes, rows_of_task, watch.stopped, [&](Index first, Index last) {
        std::vector<real> y(static_cast<std::size_t>((last - first) * width));
        std::vector<Index> offsets;
        RowWindow window = graph.window(&watch.bytes_read);
        std::uint64_t entries = 0;
        for (Index row = first; row < last; ++row) {
            if (!rows.computes(row)) continue;
            if (offsets.empty()) offsets = graph.offsets(first, last);
            real* to = y.data() + (row - first) * width;
            const Index begin = offsets[static_cast<std::size_t>(row - first)],
                        end = offsets[static_cast<std::size_t>(row - first) + 1];
            entries += static_cast<std::uint64_t>(end - begin);
            each_entry(
                window, options.self_loops, row, begin, end, offsets.back(),
                [&](std::int32_t column, float weight) {
                    add_scaled(operator_value(options.norm, scale, row, column, weight), X + column * width, to, width);
                },
                ahead);
        }
        if (out.state)
            out.state->write(static_cast<std::uint64_t>(first * width) * sizeof(real),
                             bytes_of(std::span<const real>(y)));
        if (out.kept) write_kept(y.data(), first, last, width, rows.kept, *out.kept);
        watch.rows_done += last - first;
        watch.entries += entries;
    });
}

}  // namespace pdadmm
