// The tree over ranges of several ranks (host/ranks/node_exchange.hpp).
#include "host/ranks/node_exchange.hpp"

#include <algorithm>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

std::size_t bytes_of(Index values, std::size_t each) { return static_cast<std::size_t>(values) * each; }

PartSum part_sum(Index to, Index from) { return {static_cast<std::int16_t>(to), static_cast<std::int16_t>(from)}; }

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

NodeExchange::NodeExchange(Backend& backend, Transport& transport, Grid grid, const NodeRanges& ranges)
    : backend_(backend), transport_(transport), grid_(grid), ranges_(ranges), own_(grid.node_block(transport.rank())) {
    std::vector<Index> place(static_cast<std::size_t>(ranges.count), -1);  // of a subtree's part, by its first range
    Index next = 0;
    for (int block = 0; block < grid.nodes; ++block) {
        subtrees_.push_back(maximal_subtrees(ranges.count, NodeBlock{block, grid.nodes}.ranges_of(ranges)));
        for (const Subtree& subtree : subtrees_.back()) place[static_cast<std::size_t>(subtree.first)] = next++;
    }
    add_along_tree(ranges.count, [&](Index i, Index j) {
        const Index from = place[static_cast<std::size_t>(j)];
        if (from >= 0) across_.push_back(part_sum(place[static_cast<std::size_t>(i)], from));
    });
    const std::vector<Subtree>& own = subtrees_[static_cast<std::size_t>(own_)];
    for (const Subtree& subtree : own) {
        const Index first = subtree.first - own.front().first;
        add_along_tree(subtree.count, [&](Index i, Index j) { within_.push_back(part_sum(first + i, first + j)); });
    }
}

NodeRange NodeExchange::slice_of(int block, Index count) const {
    return count <= few ? NodeRange{0, count} : NodeRange::share(count, block, grid_.nodes);
}

// With one subtree its slices go from where they are.
template <typename T>
T* NodeExchange::start_slices(const T* parts, Index count) {
    const std::vector<Subtree>& own = subtrees_[static_cast<std::size_t>(own_)];
    const Index held_first = own.front().first, length = slice_of(own_, count).count;
    const auto held = static_cast<Index>(own.size());
    Index to_send = 0;
    for (int block = 0; block < grid_.nodes; ++block) to_send += slice_of(block, count).count * held;
    T* out = held > 1 ? sent_.at_least<T>(backend_, to_send) : nullptr;
    T *in = received_.at_least<T>(backend_, sum_of(subtrees_) * length), *all = in;
    const auto pack = [&](NodeRange slice, T* to) {
        for (const Subtree& subtree : own) {
            backend_.copy_bytes(parts + (subtree.first - held_first) * count + slice.first, to,
                                bytes_of(slice.count, sizeof(T)));
            to += slice.count;
        }
    };
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        const NodeRange slice = slice_of(block, count);
        const auto theirs = static_cast<Index>(subtrees_[static_cast<std::size_t>(block)].size());
        if (block == own_) {
            pack(slice, in);
        } else {
            const T* from = parts + slice.first;
            if (held > 1) {
                pack(slice, out);
                from = out;
                out += slice.count * held;
            }
            messages.push_back(Message::send(peer(block), from, bytes_of(slice.count * held, sizeof(T))));
            messages.push_back(Message::receive(peer(block), in, bytes_of(theirs * length, sizeof(T))));
        }
        in += theirs * length;
    }
    transport_.start(messages);
    return all;
}

template <typename T>
void NodeExchange::begin_parts(T* parts, Index count) {
    backend_.add_parts(within_, count, parts);
    end();
    T* values = start_slices(parts, count);
    returns_ = count > few;
    arrived_ = [this, parts, values, count] { finish_slice(parts, values, count); };
}

template <typename T>
void NodeExchange::finish_slice(T* parts, T* values, Index count) {
    const NodeRange slice = slice_of(own_, count);
    backend_.add_parts(across_, slice.count, values);
    backend_.copy_bytes(values, parts + slice.first, bytes_of(slice.count, sizeof(T)));
    if (count <= few) return;
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        if (block == own_) continue;
        const NodeRange theirs = slice_of(block, count);
        messages.push_back(Message::send(peer(block), parts + slice.first, bytes_of(slice.count, sizeof(T))));
        messages.push_back(Message::receive(peer(block), parts + theirs.first, bytes_of(theirs.count, sizeof(T))));
    }
    transport_.start(messages);
}

void NodeExchange::end() {
    if (arrived_) take_round();
    transport_.finish();
}

void NodeExchange::gather(const std::byte* own, std::byte* all, std::size_t bytes) {
    end();
    if (ranges_.bounds)
        throw Error(ExitCode::internal, "columns of nodes were asked for that must not leave their owner");
    const std::size_t held = bytes_of(nodes_of(own_).count, bytes);
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        const NodeRange theirs = nodes_of(block);
        std::byte* to = all + bytes_of(theirs.first, bytes);
        if (block == own_) {
            backend_.copy_bytes(own, to, held);
            continue;
        }
        messages.push_back(Message::send(peer(block), own, held));
        messages.push_back(Message::receive(peer(block), to, bytes_of(theirs.count, bytes)));
    }
    transport_.exchange(messages);
}

template void NodeExchange::begin_parts(float*, Index);
template void NodeExchange::begin_parts(double*, Index);

}  // namespace pdadmm
