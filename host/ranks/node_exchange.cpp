// Sums over nodes and columns of several ranks (host/ranks/node_exchange.hpp).
#include "host/ranks/node_exchange.hpp"

#include "pdadmm/error.hpp"

namespace pdadmm {

NodeExchange::NodeExchange(Backend& backend, Transport& transport, Grid grid, const NodeRanges& ranges)
    : backend_(backend),
      transport_(transport),
      grid_(grid),
      ranges_(ranges),
      own_(grid.node_block(transport.rank())),
      sums_(backend, grid, transport.rank(), ranges.count) {}

template <typename T>
void NodeExchange::begin_parts(T* parts, Index count) {
    end();
    std::vector<Message> messages;
    sums_.scatter(parts, count, messages);
    transport_.start(messages);
    returns_ = count > TreeSums::few;
    arrived_ = [this, parts, count] {
        std::vector<Message> back;
        sums_.add_up(parts, count, parts);
        sums_.gather(parts, count, back);
        if (!back.empty()) transport_.start(back);
    };
}

void NodeExchange::end() {
    if (arrived_) take_round();
    transport_.finish();
}

void NodeExchange::gather(const std::byte* own, std::byte* all, std::size_t bytes) {
    end();
    if (ranges_.bounds)
        throw Error(ExitCode::internal, "columns of nodes were asked for that must not leave their owner");
    const auto bytes_of = [bytes](Index columns) { return static_cast<std::size_t>(columns) * bytes; };
    const std::size_t held = bytes_of(nodes_of(own_).count);
    std::vector<Message> messages;
    for (int block = 0; block < grid_.nodes; ++block) {
        const NodeRange theirs = nodes_of(block);
        std::byte* to = all + bytes_of(theirs.first);
        if (block == own_) {
            backend_.copy_bytes(own, to, held);
            continue;
        }
        messages.push_back(Message::send(peer(block), own, held));
        messages.push_back(Message::receive(peer(block), to, bytes_of(theirs.count)));
    }
    transport_.exchange(messages);
}

template void NodeExchange::begin_parts(float*, Index);
template void NodeExchange::begin_parts(double*, Index);

}  // namespace pdadmm
