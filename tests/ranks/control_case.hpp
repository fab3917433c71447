// What tests of the control channel share: ranks as threads of the test over real sockets, and a peer that speaks the
// protocol by hand.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "host/transport/control.hpp"
#include "host/transport/packing.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

inline Launch launch_of(int rank, int size, int port) {
    Launch launch;
    launch.launcher = Launcher::variables;
    launch.rank = launch.local_rank = rank;
    launch.size = size;
    launch.host = "127.0.0.1";
    launch.port = port;
    launch.job = "test";
    return launch;
}

/// A failure only ends the waits of its rank, so that the test goes on.
inline ControlOptions quick_options() {
    ControlOptions options;
    options.peer_timeout_s = 2;
    options.connect_timeout_s = 60;
    options.on_failure = [](const PeerFailure&) {};
    return options;
}

/// body(control) for each rank in a thread of its own; what each rank threw, "" for nothing.
inline std::vector<std::string> run_ranks(int ranks, const ControlOptions& options,
                                          const std::function<void(Control&)>& body) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    std::vector<std::string> thrown(static_cast<std::size_t>(ranks));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            try {
                const auto control =
                    make_control(launch_of(rank, ranks, port), options, rank == 0 ? std::move(listener) : Listener());
                body(*control);
            } catch (const std::exception& error) {
                thrown[static_cast<std::size_t>(rank)] = error.what();
            }
        });
    for (std::thread& thread : threads) thread.join();
    return thrown;
}

inline Frame hello_frame(int rank, int size, const std::string& job = "test", std::uint32_t version = 1) {
    Frame frame{FrameKind::hello, 0, 0, {}};
    pack(frame.payload, version);
    pack(frame.payload, static_cast<std::int32_t>(rank));
    pack(frame.payload, static_cast<std::int32_t>(size));
    pack_text(frame.payload, job);
    return frame;
}

/// Waits up to `limit` for a frame; throws nothing but BadFrame.
inline std::optional<Frame> await_frame(Link& link, double limit) {
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit));
    while (Clock::now() < until) {
        if (std::optional<Frame> frame = link.next()) return frame;
        if (link.ended()) return std::nullopt;
        const Link* one[] = {&link};
        wait_for_links(one, -1, until);
        link.flush();
        link.receive();
    }
    return std::nullopt;
}

inline Descriptor connected(int port) {
    std::string why;
    return connect_to({"127.0.0.1", port}, Clock::now() + std::chrono::seconds(60), why);
}

/// A port that nobody listens at. Not one that the system would give to whoever asks for any (from 32768 on), and other
/// ones for tests that run beside this one.
inline int unused_port() {
    static int next = static_cast<int>(::getpid()) * 8;
    for (;; ++next) try {
            return Listener({"127.0.0.1", 20000 + next++ % 12000}, {}).port();
        } catch (const UsageError&) {  // in use
        }
}

}  // namespace pdadmm
