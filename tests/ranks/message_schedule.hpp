// Random rounds of messages between ranks, the same on every rank for one seed, and what a transport must have done
// after them: every byte in place, guard bytes untouched, counters as the schedule says.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "pdadmm/transport.hpp"

namespace pdadmm {

struct ScheduledMessage {
    int from, to;
    std::size_t bytes;
};
using MessageRound = std::vector<ScheduledMessage>;

/// Neighbours in both directions as in an iteration, and now and then any two ranks and several messages on one way.
/// Sizes: empty, one byte, odd ones, up to `largest`.
inline std::vector<MessageRound> make_schedule(std::uint64_t seed, int ranks, int rounds, std::size_t largest) {
    std::mt19937_64 random(seed);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    const auto size = [&] {
        switch (below(5)) {
            case 0:
                return below(3);
            case 1:
                return largest - below(2);
            case 2:
                return below(largest + 1);
            default:
                return 1 + below(5000);
        }
    };
    std::vector<MessageRound> schedule(static_cast<std::size_t>(rounds));
    for (MessageRound& round : schedule) {
        const std::size_t kind = below(4);
        for (int rank = 0; rank + 1 < ranks; ++rank) {
            if (kind != 1) round.push_back({rank, rank + 1, size()});
            if (kind != 2) round.push_back({rank + 1, rank, size()});
        }
        if (kind == 3 && ranks > 1)
            for (int extra = 0; extra < 4; ++extra) {
                const int from = static_cast<int>(below(static_cast<std::size_t>(ranks))),
                          step = 1 + static_cast<int>(below(static_cast<std::size_t>(ranks) - 1));
                round.push_back({from, (from + step) % ranks, size() / 8});
            }
    }
    return schedule;
}

/// Plays the schedule as one rank; empty, or what is wrong.
inline std::string play_schedule(Transport& transport, std::uint64_t seed, const std::vector<MessageRound>& schedule) {
    constexpr std::size_t guard = 16;
    constexpr auto untouched = std::byte{0xA5};
    const auto fill = [&](std::vector<std::byte>& out, std::uint64_t number) {
        std::uint64_t state = seed + number * 0x9E3779B97F4A7C15u;
        for (std::byte& byte : out)
            byte = static_cast<std::byte>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
    };
    const int rank = transport.rank();
    std::vector<Traffic> sent(static_cast<std::size_t>(transport.size())), received(sent);
    std::uint64_t number = 0;
    for (std::size_t r = 0; r < schedule.size(); ++r) {
        std::vector<Message> messages;
        std::vector<std::vector<std::byte>> buffers, expected;
        buffers.reserve(schedule[r].size());
        for (const ScheduledMessage& one : schedule[r]) {
            ++number;
            if (one.from != rank && one.to != rank) continue;
            const bool sends = one.from == rank;
            std::vector<std::byte>& buffer = buffers.emplace_back(sends ? one.bytes : one.bytes + 2 * guard, untouched);
            std::vector<std::byte>& content = expected.emplace_back(one.bytes);
            fill(content, number);
            if (sends) {
                buffer = content;
                messages.push_back(Message::send(one.to, buffer.data(), one.bytes));
            } else {
                messages.push_back(Message::receive(one.from, buffer.data() + guard, one.bytes));
            }
            Traffic& count =
                (sends ? sent[static_cast<std::size_t>(one.to)] : received[static_cast<std::size_t>(one.from)]);
            ++count.messages;
            count.bytes += one.bytes;
        }
        transport.start(messages);
        volatile std::uint64_t work = 0;
        for (std::uint64_t k = 0; k < (seed >> (r % 32)) % 20000; ++k)
            work = work + k;  // ranks reach finish() at different times
        transport.finish();
        for (std::size_t i = 0; i < messages.size(); ++i) {
            if (messages[i].direction == Direction::send) {
                buffers[i].assign(buffers[i].size(), untouched);  // may be overwritten now
                continue;
            }
            std::vector<std::byte> whole(guard, untouched);
            whole.insert(whole.end(), expected[i].begin(), expected[i].end());
            whole.resize(whole.size() + guard, untouched);
            if (buffers[i] != whole)
                return "round " + std::to_string(r) + ": message " + std::to_string(i) + " from rank " +
                       std::to_string(messages[i].peer) + " has wrong bytes";
        }
    }
    for (int peer = 0; peer < transport.size(); ++peer) {
        const auto place = static_cast<std::size_t>(peer);
        const Traffic out = transport.traffic(peer, Direction::send), in = transport.traffic(peer, Direction::receive);
        if (out.messages != sent[place].messages || out.bytes != sent[place].bytes ||
            in.messages != received[place].messages || in.bytes != received[place].bytes)
            return "counters of peer " + std::to_string(peer) + " differ from the schedule";
    }
    return "";
}

}  // namespace pdadmm
