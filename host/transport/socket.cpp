// POSIX sockets, non-blocking from the start so that no call can wait without a limit.
#include "host/transport/socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <thread>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses look_up(const char* host, int port, int flags, std::string& why) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int failed = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &list);
    if (failed == 0) return Addresses(list);
    why = failed == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(failed);
    return nullptr;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0; }

void send_small_messages_at_once(int socket) {
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // only slower where it fails
}

/// Whether a socket talks to itself: on one machine, a connect to a port that nobody listens at may pick that very port
/// as its own, and TCP then joins the two ends.
bool connected_to_itself(int socket) {
    sockaddr_storage own{}, peer{};
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    return ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
           ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 && own_size == peer_size &&
           std::memcmp(&own, &peer, own_size) == 0;
}

Descriptor open_listener(const addrinfo& at, int& error_number) {
    Descriptor socket(::socket(at.ai_family, at.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at.ai_protocol));
    const int yes = 1, no = 0;
    if (socket) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (socket && at.ai_family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (!socket || ::bind(socket.get(), at.ai_addr, at.ai_addrlen) != 0 || ::listen(socket.get(), SOMAXCONN) != 0) {
        error_number = errno;
        return {};
    }
    return socket;
}

}  // namespace

Address parse_address(const std::string& what, const std::string& text) {
    const auto wrong = [&] {
        return UsageError(
            fmt::format("{}: '{}', expected host:port with a port from 1 to 65535", what, printable(text)));
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) throw wrong();
    Address address{text.substr(0, colon), 0};
    const char* end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    if (error != std::errc() || last != end || address.port < 1 || address.port > 65535) throw wrong();
    if (address.host.size() >= 2 && address.host.front() == '[' && address.host.back() == ']')
        address.host = address.host.substr(1, address.host.size() - 2);
    else if (address.host.find(':') != std::string::npos)
        throw wrong();  // an IPv6 address without brackets: where its port begins is a guess
    if (address.host.empty()) throw wrong();
    return address;
}

int milliseconds_until(Clock::time_point time) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

Listener::Listener(const Address& address, std::chrono::milliseconds patience) {
    const auto deadline = Clock::now() + patience;
    const std::string shown = fmt::format("{}:{}", printable(address.host), address.port);
    for (;;) {
        std::string why;
        int error_number = 0;
        const Addresses list = is_loopback(address.host) ? look_up(address.host.c_str(), address.port, 0, why)
                                                         : look_up(nullptr, address.port, AI_PASSIVE, why);
        for (const int family : {AF_INET6, AF_INET})  // one IPv6 socket also takes IPv4
            for (const addrinfo* at = list.get(); at && !socket_; at = at->ai_next)
                if (at->ai_family == family) socket_ = open_listener(*at, error_number);
        if (socket_) return;
        if (why.empty()) why = std::strerror(error_number);
        if (error_number != EADDRINUSE || Clock::now() >= deadline)
            throw UsageError(fmt::format(
                "rendezvous {}: rank 0 cannot listen there: {}, expected a free port of its machine; choose another "
                "with --rendezvous or PDADMM_PORT",
                shown, why));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

Listener Listener::adopt(int descriptor) {
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
        throw UsageError(fmt::format(
            "PDADMM_LISTEN_FD: {} is no listening socket, expected that of the launcher; unset it", descriptor));
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    Listener adopted;
    adopted.socket_ = Descriptor(descriptor);
    return adopted;
}

int Listener::port() const {
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return 0;
    if (own.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(own).sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in&>(own).sin_port);
}

Descriptor Listener::accept() const {
    Descriptor peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (peer) send_small_messages_at_once(peer.get());
    return peer;  // a failure belongs to that one connection, which then tries again
}

Descriptor connect_to(const Address& address, Clock::time_point deadline, std::string& why) {
    const Addresses list = look_up(address.host.c_str(), address.port, 0, why);
    for (const addrinfo* at = list.get(); at; at = at->ai_next) {
        Descriptor socket(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
        if (!socket) {
            why = std::strerror(errno);
            continue;
        }
        int error_number = 0;
        if (::connect(socket.get(), at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS && errno != EINTR)
            error_number = errno;
        pollfd ready{socket.get(), POLLOUT, 0};
        while (error_number == 0) {
            const int found = ::poll(&ready, 1, milliseconds_until(deadline));
            if (found < 0 && errno == EINTR) continue;
            socklen_t size = sizeof error_number;
            if (found < 0)
                error_number = errno;
            else if (found == 0)
                error_number = ETIMEDOUT;
            else if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error_number, &size) != 0)
                error_number = errno;
            break;
        }
        if (error_number == 0 && connected_to_itself(socket.get())) error_number = ECONNREFUSED;
        if (error_number == 0) {
            send_small_messages_at_once(socket.get());
            return socket;
        }
        why = std::strerror(error_number);
    }
    return {};
}

}  // namespace pdadmm
