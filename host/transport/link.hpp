// One connection of the control channel: whole frames in, whole frames out, never waiting.
//
// A frame is 24 bytes of header (magic, CRC-32 of all that follows it, length of the payload, kind, operation,
// sequence) and the payload. TCP delivers bytes rightly; magic, CRC and limits are there for what is not one of our
// ranks.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "host/transport/socket.hpp"

namespace pdadmm {

enum class FrameKind : std::uint8_t { hello, welcome, refusal, contribution, result, heartbeat, failure, goodbye };

struct Frame {
    FrameKind kind = FrameKind::heartbeat;
    std::uint8_t operation = 0;  // of a collective
    std::uint64_t sequence = 0;  // of a collective; heartbeat: steps of work done
    std::vector<std::byte> payload;
};

/// What came is no frame; the text says what is wrong with it.
struct BadFrame : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr std::size_t largest_payload = std::size_t{64} << 20;
constexpr std::size_t largest_hello = 4096;  // all that a stranger may make us keep

std::vector<std::byte> encode(const Frame& frame);

class Link {
public:
    Link(Descriptor socket, std::size_t payload_limit)
        : socket_(std::move(socket)), limit_(payload_limit), heard_(Clock::now()) {}

    /// Queues a frame and sends what the socket takes.
    void send(const Frame& frame);
    void flush();
    bool flushed() const { return outgoing_.empty(); }
    /// Takes what has arrived.
    void receive();
    /// Takes what has arrived and forgets it.
    void discard();
    /// The next whole frame. Throws BadFrame, after which nothing more can be read from this link.
    std::optional<Frame> next();

    /// The other end has closed, or the connection broke: 0 while open, -1 closed, or errno.
    int ended() const { return ended_; }
    /// When bytes came last.
    Clock::time_point heard() const { return heard_; }
    void set_heard(Clock::time_point time) { heard_ = time; }
    void set_payload_limit(std::size_t limit) { limit_ = limit; }
    int get() const { return socket_.get(); }
    /// No more is sent; the other end reads what is under way, then an end.
    void finish_sending();

private:
    Descriptor socket_;
    std::size_t limit_;
    Clock::time_point heard_;
    int ended_ = 0;
    std::vector<std::byte> incoming_, outgoing_;
};

/// What poll() waits for: that a link which is open can be read, or written where something is queued, or that `wake`
/// (a descriptor, -1: none) can be read.
std::vector<pollfd> poll_list(std::span<const Link* const> links, int wake);
/// Waits for one of them, or for the time. Any error only means another look.
void poll_until(std::vector<pollfd>& list, Clock::time_point until);
inline void wait_for_links(std::span<const Link* const> links, int wake, Clock::time_point until) {
    std::vector<pollfd> list = poll_list(links, wake);
    poll_until(list, until);
}

}  // namespace pdadmm
