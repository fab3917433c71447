// TCP sockets of the control channel: addresses, listening, connecting. All sockets are non-blocking and closed on
// exec.
#pragma once

#include <chrono>
#include <string>

#include "host/store/folder.hpp"

namespace pdadmm {

using Clock = std::chrono::steady_clock;  // time limits do not follow the wall clock

struct Address {
    std::string host;
    int port = 0;
};

/// "host:port" or "[IPv6 address]:port". `what` names the option or variable. Throws UsageError.
Address parse_address(const std::string& what, const std::string& text);

/// A listening socket; its owner is rank 0, or the launcher that hands it to rank 0.
class Listener {
public:
    Listener() = default;
    /// Listens at `address`: on the loopback interface only where the host is it, else on all, since what a cluster's
    /// name means on its own machine may not be what it means on others. Port 0 takes a free one. An address in use is
    /// tried again for up to `patience`, as a run that just ended may still hold it. Throws UsageError.
    Listener(const Address& address, std::chrono::milliseconds patience);
    /// Takes over a socket that listens already (inherited from a launcher). Throws UsageError where it is none.
    static Listener adopt(int descriptor);

    explicit operator bool() const { return static_cast<bool>(socket_); }
    int get() const { return socket_.get(); }
    int port() const;
    /// The next connection; none where nobody is waiting.
    Descriptor accept() const;

private:
    Descriptor socket_;
};

/// One attempt to connect. Empty, with the system's words in `why`, where it fails or is not done by `deadline`.
Descriptor connect_to(const Address& address, Clock::time_point deadline, std::string& why);

/// Milliseconds from now to `time` for poll(), at least 0 and rounded up.
int milliseconds_until(Clock::time_point time);

}  // namespace pdadmm
