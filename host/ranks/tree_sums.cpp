// The tree over ranges of several ranks (host/ranks/tree_sums.hpp).
#include "host/ranks/tree_sums.hpp"

#include <algorithm>
#include <span>

namespace pdadmm {
namespace {

std::size_t bytes_of(Index values, std::size_t each) { return static_cast<std::size_t>(values) * each; }

PartSum part_sum(Index to, Index from) { return {static_cast<std::int16_t>(to), static_cast<std::int16_t>(from)}; }

std::vector<std::vector<Subtree>> subtrees_of(Index ranges, Index blocks) {
    std::vector<std::vector<Subtree>> all;
    for (Index block = 0; block < blocks; ++block)
        all.push_back(maximal_subtrees(ranges, NodeRange::share(ranges, block, blocks)));
    return all;
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

TreeSums::TreeSums(Backend& backend, Grid grid, int rank, Index ranges)
    : backend_(backend),
      grid_(grid),
      own_(grid.node_block(rank)),
      layer_block_(grid.layer_block(rank)),
      subtrees_(subtrees_of(ranges, grid.nodes)) {
    std::vector<Index> place(static_cast<std::size_t>(ranges), -1);  // of a subtree's part, by its first range
    Index next = 0;
    for (const std::vector<Subtree>& of_block : subtrees_)
        for (const Subtree& subtree : of_block) place[static_cast<std::size_t>(subtree.first)] = next++;
    add_along_tree(ranges, [&](Index i, Index j) {
        const Index from = place[static_cast<std::size_t>(j)];
        if (from >= 0) across_.push_back(part_sum(place[static_cast<std::size_t>(i)], from));
    });
    for (const Subtree& subtree : own()) {
        const Index first = subtree.first - own().front().first;
        add_along_tree(subtree.count, [&](Index i, Index j) { within_.push_back(part_sum(first + i, first + j)); });
    }
}

template <typename T>
void TreeSums::add(const std::vector<PartSum>& sums, Index count, T* parts) const {
    for (std::size_t first = 0; first < sums.size(); first += NodeParts::most_sums)
        backend_.add_parts(std::span(sums).subspan(first, std::min(sums.size() - first, NodeParts::most_sums)), count,
                           parts);
}

// With one subtree its slices go from where they are.
template <typename T>
void TreeSums::scatter(T* parts, Index count, std::vector<Message>& messages) {
    add(within_, count, parts);
    if (grid_.nodes == 1) return;
    const Index held_first = own().front().first, length = slice(count, own_).count;
    const auto held = static_cast<Index>(own().size());
    Index to_send = 0;
    for (int block = 0; block < grid_.nodes; ++block) to_send += slice(count, block).count * held;
    T* out = held > 1 ? sent_.at_least<T>(backend_, to_send) : nullptr;
    T* in = received_.at_least<T>(backend_, sum_of(subtrees_) * length);
    const auto pack = [&](NodeRange some, T* to) {
        for (const Subtree& subtree : own()) {
            backend_.copy_bytes(parts + (subtree.first - held_first) * count + some.first, to,
                                bytes_of(some.count, sizeof(T)));
            to += some.count;
        }
    };
    for (int block = 0; block < grid_.nodes; ++block) {
        const NodeRange some = slice(count, block);
        const auto theirs = static_cast<Index>(subtrees_[static_cast<std::size_t>(block)].size());
        if (block == own_) {
            pack(some, in);
        } else {
            const T* from = parts + some.first;
            if (held > 1) {
                pack(some, out);
                from = out;
                out += some.count * held;
            }
            messages.push_back(Message::send(peer(block), from, bytes_of(some.count * held, sizeof(T))));
            messages.push_back(Message::receive(peer(block), in, bytes_of(theirs * length, sizeof(T))));
        }
        in += theirs * length;
    }
}

template <typename T>
void TreeSums::add_up(const T* parts, Index count, T* sum) {
    const NodeRange some = slice(count, own_);
    if (grid_.nodes > 1) {
        T* values = received_.at_least<T>(backend_, sum_of(subtrees_) * some.count);
        add(across_, some.count, values);
        backend_.copy_bytes(values, sum + some.first, bytes_of(some.count, sizeof(T)));
    } else if (parts != sum) {
        backend_.copy_bytes(parts, sum, bytes_of(count, sizeof(T)));
    }
}

template <typename T>
void TreeSums::gather(T* sum, Index count, std::vector<Message>& messages) const {
    if (grid_.nodes == 1 || count <= few) return;
    const NodeRange some = slice(count, own_);
    for (int block = 0; block < grid_.nodes; ++block) {
        if (block == own_) continue;
        const NodeRange theirs = slice(count, block);
        messages.push_back(Message::send(peer(block), sum + some.first, bytes_of(some.count, sizeof(T))));
        messages.push_back(Message::receive(peer(block), sum + theirs.first, bytes_of(theirs.count, sizeof(T))));
    }
}

std::uint64_t TreeSums::values_sent(Index blocks, Index ranges, Index count) {
    if (blocks == 1) return 0;
    const auto subtrees = subtrees_of(ranges, blocks);
    Index sent = count <= few ? 0 : (blocks - 1) * count;  // back
    for (Index block = 0; block < blocks; ++block) {
        const auto held = static_cast<Index>(subtrees[static_cast<std::size_t>(block)].size());
        sent += held * (count <= few ? (blocks - 1) * count : count - slice(count, block, blocks).count);
    }
    return static_cast<std::uint64_t>(sent);
}

Index TreeSums::staging(Index blocks, Index ranges, Index count, Index block) {
    if (blocks == 1) return 0;
    const auto subtrees = subtrees_of(ranges, blocks);
    const auto held = static_cast<Index>(subtrees[static_cast<std::size_t>(block)].size());
    return sum_of(subtrees) * slice(count, block, blocks).count +
           (held > 1 ? held * (count <= few ? blocks * count : count) : 0);
}

template void TreeSums::scatter(float*, Index, std::vector<Message>&);
template void TreeSums::scatter(double*, Index, std::vector<Message>&);
template void TreeSums::add_up(const float*, Index, float*);
template void TreeSums::add_up(const double*, Index, double*);
template void TreeSums::gather(float*, Index, std::vector<Message>&) const;
template void TreeSums::gather(double*, Index, std::vector<Message>&) const;

}  // namespace pdadmm
