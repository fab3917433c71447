// The control channel between processes: TCP between rank 0 and every other rank, served by one thread a process.
//
// Collectives go through rank 0. The service thread exchanges heartbeats and watches: a rank that is gone, stopped,
// silent or without progress ends the job on EVERY rank, with one line that names it and exit code 75, within the peer
// limit. MPI and NCCL cannot do this: neither reports a stopped process, and NCCL no dead one on the same machine. So
// under mpirun the ranks use this channel too, and MPI only tells them its address (host/transport/mpi.hpp): one
// watchdog, tested once.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/transport/environment.hpp"
#include "host/transport/link.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// Why a rank cannot go on.
struct PeerFailure {
    std::string line;
    ExitCode code = ExitCode::peer;  // what the rank that failed ends with, where it said so
    bool known_to_first = false;     // this is another rank than 0, which has heard of it
};

/// Prints "pdadmm: error: <line>", the first time only.
void say_failure(const std::string& line);
/// say_failure, then leaves with _exit(code), without destructors: those of NCCL, MPI or CUDA may wait for the
/// lost rank for ever. Threads that come later wait for the end.
[[noreturn]] void leave_after_peer_failure(const PeerFailure& failure);
/// The same, but a rank is silent where rank 0 has heard of the failure and prints it: one line in all.
[[noreturn]] void leave_job(const PeerFailure& failure);

struct ControlOptions {
    double peer_timeout_s = 60;       // without a sign of life
    double connect_timeout_s = 120;   // for all ranks to meet
    double progress_timeout_s = 600;  // between two ticks of a rank, see Control::tick
    /// Called by the service thread, once. Where it returns (tests), waits of this rank end in PeerError.
    std::function<void(const PeerFailure& failure)> on_failure = leave_after_peer_failure;
    /// On rank 0, before that: before the others hear of it, whose end may make a launcher kill this process.
    std::function<void(const std::string& line)> before_others = [](const std::string&) {};
};

class TcpControl final : public Control {
public:
    /// Meets the other ranks of `launch`: rank 0 listens (with `listener`, where there is one), the others try until it
    /// does. Throws PeerError where ranks stay away, UsageError where they are not of one run, or the address cannot be
    /// used.
    TcpControl(const Launch& launch, const ControlOptions& options, Listener listener = {});
    /// Without close() the other ranks are told that this one ended early.
    ~TcpControl() override;

    void tick() noexcept override;
    void rest() noexcept override;
    bool known_to_first() const noexcept override { return known_to_first_.load(); }

private:
    enum class Phase { working, closing, closed };

    void all_gather(Operation operation, std::span<const std::byte> own,
                    std::vector<std::vector<std::byte>>& all) override;
    void tell_failure(const std::string& line, ExitCode code) noexcept override;
    void end() override;

    void serve();
    void stop_serving() noexcept;
    void wake() noexcept;

    // With mutex_ held.
    void note_failure(const std::string& line, ExitCode code = ExitCode::peer);
    void read_link(Link& link, int peer);
    void take_frame(Frame&& frame, int peer);
    void contribute(int from, std::uint8_t operation, std::uint64_t sequence, std::span<const std::byte> bytes);
    void take_result(const Frame& frame);
    void beat(Clock::time_point now);
    void watch(Clock::time_point now);
    void spread_failure();
    void hear_answer(Link& link);
    std::string rank_name(int rank) const;

    const ControlOptions options_;
    Descriptor wake_;  // eventfd
    std::thread service_;

    std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Link>> links_;  // rank 0: to rank k + 1; others: to rank 0
    Phase phase_ = Phase::working;
    bool stopping_ = false, quiet_ = false, failure_told_ = false;
    std::string failure_;
    ExitCode failure_code_ = ExitCode::peer;
    std::atomic<bool> known_to_first_{false};
    Clock::time_point last_beat_{};

    std::uint64_t sequence_ = 0, result_sequence_ = 0;  // of the collective that this rank is in, and that has ended
    std::vector<std::vector<std::byte>> result_;
    // Rank 0: the collective under way.
    std::vector<std::optional<std::vector<std::byte>>> given_;
    std::uint8_t operation_ = 0;
    int given_count_ = 0;

    struct Progress {
        std::uint64_t steps = 0;  // 0: at rest
        Clock::time_point since{};
    };
    std::vector<Progress> progress_;  // rank 0: of every rank; others: own in [0]
};

/// The first steps of TcpControl: links to every other rank (rank 0) or to rank 0 (others), all of one run.
std::vector<std::unique_ptr<Link>> meet_ranks(const Launch& launch, const ControlOptions& options, Listener listener);

/// The control channel of `launch`: TCP, or none where there is one rank.
std::unique_ptr<Control> make_control(const Launch& launch, const ControlOptions& options, Listener listener = {});

}  // namespace pdadmm
