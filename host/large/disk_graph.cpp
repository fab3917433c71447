// Reading a graph on disk (host/large/disk_graph.hpp). By pread into windows, not by mapping: what is read then never
// counts as memory of this process, and an address space limit does not meet it.
#include "host/large/disk_graph.hpp"

#include <algorithm>

namespace pdadmm {
namespace {

template <typename T>
std::span<std::byte> writable(std::vector<T>& values) {
    return std::as_writable_bytes(std::span(values));
}

}  // namespace

RowWindow::Entries RowWindow::from(Index first, Index end, Index last) {
    const auto held = static_cast<Index>(columns_.size());
    if (first < begin_ || first >= begin_ + held) {
        begin_ = first;
        const auto count = static_cast<std::size_t>(std::min<Index>(last - first, window_entries));
        columns_.resize(count);
        columns_part_.read(static_cast<std::uint64_t>(first) * sizeof(std::int32_t), writable(columns_));
        if (weights_part_) {
            weights_.resize(count);
            weights_part_->read(static_cast<std::uint64_t>(first) * sizeof(float), writable(weights_));
        }
        if (bytes_read_) *bytes_read_ += count * (weights_part_ ? 8 : 4);
    }
    const auto at = static_cast<std::size_t>(first - begin_), at_hand = columns_.size() - at,
               count = std::min(at_hand, static_cast<std::size_t>(end - first));
    return {std::span(columns_).subspan(at, count),
            weights_part_ ? std::span<const float>(weights_).subspan(at, count) : std::span<const float>(),
            at_hand - count};
}

GraphReader::GraphReader(const Folder& folder, const DiskGraph& graph)
    : graph_(graph), offsets_(folder, graph.offsets), columns_(folder, graph.columns) {
    if (graph.weights) weights_.emplace(folder, *graph.weights);
}

std::vector<Index> GraphReader::offsets(Index first, Index last) const {
    std::vector<Index> values(static_cast<std::size_t>(last - first) + 1);
    offsets_.read(static_cast<std::uint64_t>(first) * sizeof(Index), writable(values));
    return values;
}

void GraphReader::entries(Index first, std::span<std::int32_t> columns, std::span<float> weights) const {
    columns_.read(static_cast<std::uint64_t>(first) * sizeof(std::int32_t), std::as_writable_bytes(columns));
    if (weights_) weights_->read(static_cast<std::uint64_t>(first) * sizeof(float), std::as_writable_bytes(weights));
}

}  // namespace pdadmm
