// Frames on a non-blocking socket (host/transport/link.hpp).
#include "host/transport/link.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "host/transport/packing.hpp"

namespace pdadmm {
namespace {

constexpr std::uint32_t magic = 0x6d644164;  // read by a machine of the other byte order, it is wrong: as it should be
constexpr std::size_t header_size = 24, checked_from = 8;

std::uint32_t checksum(std::span<const std::byte> bytes) {
    return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

std::vector<std::byte> encode(const Frame& frame) {
    std::vector<std::byte> out;
    out.reserve(header_size + frame.payload.size());
    pack(out, magic);
    pack(out, std::uint32_t{0});
    pack(out, static_cast<std::uint32_t>(frame.payload.size()));
    pack(out, static_cast<std::uint8_t>(frame.kind));
    pack(out, frame.operation);
    pack(out, std::uint16_t{0});
    pack(out, frame.sequence);
    append(out, frame.payload);
    const std::uint32_t sum = checksum(std::span<const std::byte>(out).subspan(checked_from));
    std::memcpy(out.data() + 4, &sum, sizeof sum);
    return out;
}

void Link::send(const Frame& frame) {
    if (ended_) return;
    const std::vector<std::byte> bytes = encode(frame);
    append(outgoing_, bytes);
    flush();
}

void Link::flush() {
    std::size_t sent = 0;
    while (sent < outgoing_.size()) {
        const ssize_t taken = ::send(socket_.get(), outgoing_.data() + sent, outgoing_.size() - sent, MSG_NOSIGNAL);
        if (taken < 0 && errno == EINTR) continue;
        if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (taken < 0) {  // why it ended is what receive() finds: the other end's last words may still be there
            outgoing_.clear();
            return;
        }
        sent += static_cast<std::size_t>(taken);
    }
    outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<std::ptrdiff_t>(sent));
}

void Link::receive() {
    std::array<std::byte, 16384> piece;
    while (!ended_ && incoming_.size() <= limit_ + header_size) {  // more stays in the socket until these are read
        const ssize_t got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (got <= 0) {
            ended_ = got == 0 ? -1 : errno;
            return;
        }
        append(incoming_, std::span<const std::byte>(piece).first(static_cast<std::size_t>(got)));
        heard_ = Clock::now();
    }
}

std::optional<Frame> Link::next() {
    if (incoming_.size() < header_size) return std::nullopt;
    Unpacking header(std::span<const std::byte>(incoming_).first(header_size));
    if (header.number<std::uint32_t>() != magic) throw BadFrame("bytes without this program's mark");
    const auto sum = header.number<std::uint32_t>(), length = header.number<std::uint32_t>();
    if (length > limit_) throw BadFrame(fmt::format("a message of {} bytes, more than {}", length, limit_));
    if (incoming_.size() < header_size + length) return std::nullopt;
    const std::size_t size = header_size + length;
    if (checksum(std::span<const std::byte>(incoming_).first(size).subspan(checked_from)) != sum)
        throw BadFrame("a message with a wrong checksum");
    Frame frame;
    const auto kind = header.number<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(FrameKind::goodbye))
        throw BadFrame(fmt::format("a message of unknown kind {}", kind));
    frame.kind = static_cast<FrameKind>(kind);
    frame.operation = header.number<std::uint8_t>();
    header.number<std::uint16_t>();
    frame.sequence = header.number<std::uint64_t>();
    frame.payload.assign(incoming_.begin() + header_size, incoming_.begin() + static_cast<std::ptrdiff_t>(size));
    incoming_.erase(incoming_.begin(), incoming_.begin() + static_cast<std::ptrdiff_t>(size));
    return frame;
}

void Link::discard() {
    incoming_.clear();
    receive();
    incoming_.clear();
}

void Link::finish_sending() { ::shutdown(socket_.get(), SHUT_WR); }

std::vector<pollfd> poll_list(std::span<const Link* const> links, int wake) {
    std::vector<pollfd> list;
    if (wake >= 0) list.push_back({wake, POLLIN, 0});
    for (const Link* link : links)
        if (!link->ended())
            list.push_back({link->get(), static_cast<short>(link->flushed() ? POLLIN : POLLIN | POLLOUT), 0});
    return list;
}

void poll_until(std::vector<pollfd>& list, Clock::time_point until) {
    ::poll(list.data(), list.size(), milliseconds_until(until));
}

}  // namespace pdadmm
