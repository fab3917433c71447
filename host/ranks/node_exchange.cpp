// The tree over ranges of several ranks (host/ranks/node_exchange.hpp).
#include "host/ranks/node_exchange.hpp"

#include <algorithm>
#include <cstring>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

template <typename T>
void add_to(T* to, const T* from, Index count) {
    for (Index e = 0; e < count; ++e) to[e] += from[e];
}

/// Values of type T at the front of `bytes`, at least `count` of them.
template <typename T>
T* values_in(std::vector<std::byte>& bytes, Index count) {
    bytes.resize(std::max(bytes.size(), static_cast<std::size_t>(count) * sizeof(T)));
    return reinterpret_cast<T*>(bytes.data());
}

Index sum_of(const std::vector<std::vector<Subtree>>& subtrees) {
    Index sum = 0;
    for (const std::vector<Subtree>& of_block : subtrees) sum += static_cast<Index>(of_block.size());
    return sum;
}

}  // namespace

std::vector<Subtree> maximal_subtrees(Index ranges, NodeRange held) {
    std::vector<Subtree> found;
    const Index end = held.first + held.count;
    for (Index first = held.first; first < end; first += found.back().count) {
        const auto last_of = [&](Index size) { return std::min(first + size, ranges); };
        Index size = 1;
        while (first % (2 * size) == 0 && last_of(2 * size) <= end && last_of(size) < ranges) size *= 2;
        found.push_back({first, last_of(size) - first});
    }
    return found;
}

NodeExchange::NodeExchange(Transport& transport, Grid grid, const NodeRanges& ranges)
    : transport_(transport), grid_(grid), ranges_(ranges), own_(grid.node_block(transport.rank())) {
    for (int block = 0; block < grid.nodes; ++block)
        subtrees_.push_back(maximal_subtrees(ranges.count, NodeBlock{block, grid.nodes}.ranges_of(ranges)));
}

template <typename T>
void NodeExchange::finish_tree(T* values, Index count) const {
    std::vector<Index> place(static_cast<std::size_t>(ranges_.count), -1);  // of a subtree's part, by its first range
    Index next = 0;
    for (const std::vector<Subtree>& of_block : subtrees_)
        for (const Subtree& subtree : of_block) place[static_cast<std::size_t>(subtree.first)] = next++;
    add_along_tree(ranges_.count, [&](Index i, Index j) {
        const Index from = place[static_cast<std::size_t>(j)];
        if (from >= 0) add_to(values + place[static_cast<std::size_t>(i)] * count, values + from * count, count);
    });
}

template <typename T>
T* NodeExchange::exchange_slices(const T* parts, Index count, const std::vector<NodeRange>& slices) {
    const std::vector<Subtree>& own = subtrees_[static_cast<std::size_t>(own_)];
    const Index held_first = own.front().first, length = slices[static_cast<std::size_t>(own_)].count;
    Index to_send = 0;
    for (const NodeRange& slice : slices) to_send += slice.count * static_cast<Index>(own.size());
    T *out = values_in<T>(sent_, to_send), *in = values_in<T>(received_, sum_of(subtrees_) * length), *all = in;
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        const NodeRange slice = slices[static_cast<std::size_t>(block)];
        const auto theirs = static_cast<Index>(subtrees_[static_cast<std::size_t>(block)].size());
        T* packed = block == own_ ? in : out;
        for (std::size_t s = 0; s < own.size(); ++s)
            std::copy_n(parts + (own[s].first - held_first) * count + slice.first, slice.count,
                        packed + static_cast<Index>(s) * slice.count);
        if (block != own_) {
            const auto bytes = [](Index values) { return static_cast<std::size_t>(values) * sizeof(T); };
            messages.push_back(Message::send(peer(block), out, bytes(slice.count * static_cast<Index>(own.size()))));
            messages.push_back(Message::receive(peer(block), in, bytes(theirs * length)));
            out += slice.count * static_cast<Index>(own.size());
        }
        in += theirs * length;
    }
    transport_.exchange(messages);
    return all;
}

template <typename T>
void NodeExchange::complete_parts(T* parts, Index count) {
    const std::vector<Subtree>& own = subtrees_[static_cast<std::size_t>(own_)];
    for (const Subtree& subtree : own) {
        T* first = parts + (subtree.first - own.front().first) * count;
        add_along_tree(subtree.count, [&](Index i, Index j) { add_to(first + i * count, first + j * count, count); });
    }
    std::vector<NodeRange> slices;
    for (int block = 0; block < grid_.nodes; ++block)
        slices.push_back(count <= few ? NodeRange{0, count} : NodeRange::share(count, block, grid_.nodes));
    T* values = exchange_slices(parts, count, slices);
    const NodeRange slice = slices[static_cast<std::size_t>(own_)];
    finish_tree(values, slice.count);
    std::copy_n(values, slice.count, parts + slice.first);
    if (count <= few) return;
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        if (block == own_) continue;
        const NodeRange theirs = slices[static_cast<std::size_t>(block)];
        messages.push_back(
            Message::send(peer(block), parts + slice.first, static_cast<std::size_t>(slice.count) * sizeof(T)));
        messages.push_back(
            Message::receive(peer(block), parts + theirs.first, static_cast<std::size_t>(theirs.count) * sizeof(T)));
    }
    transport_.exchange(messages);
}

void NodeExchange::gather(const std::byte* own, std::byte* all, std::size_t bytes) {
    if (ranges_.bounds)
        throw Error(ExitCode::internal, "columns of nodes were asked for that must not leave their owner");
    const auto size = [bytes](Index nodes) { return static_cast<std::size_t>(nodes) * bytes; };
    const std::size_t held = size(nodes_of(own_).count);
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        const NodeRange theirs = nodes_of(block);
        std::byte* to = all + size(theirs.first);
        if (block == own_) {
            std::memcpy(to, own, held);
            continue;
        }
        messages.push_back(Message::send(peer(block), own, held));
        messages.push_back(Message::receive(peer(block), to, size(theirs.count)));
    }
    transport_.exchange(messages);
}

template void NodeExchange::complete_parts(float*, Index);
template void NodeExchange::complete_parts(double*, Index);

}  // namespace pdadmm
