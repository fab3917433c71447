// Collectives of the control channel, and its end (host/transport/control.hpp). The service thread is in watchdog.cpp.
#include "host/transport/control.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host/console/console.hpp"
#include "host/transport/local.hpp"
#include "host/transport/packing.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

namespace {

[[noreturn]] void leave(const PeerFailure& failure, bool speaks) {
    static std::atomic_flag leaving;
    if (leaving.test_and_set())
        for (;;) ::pause();
    if (speaks) say_failure(failure.line);
    ::_exit(static_cast<int>(failure.code));
}

}  // namespace

void say_failure(const std::string& line) {
    static std::atomic_flag said;
    if (!said.test_and_set()) put_note("pdadmm: error: " + line);
}

void leave_after_peer_failure(const PeerFailure& failure) { leave(failure, true); }
void leave_job(const PeerFailure& failure) { leave(failure, !failure.known_to_first); }

TcpControl::TcpControl(const Launch& launch, const ControlOptions& options, Listener listener)
    : Control(launch.rank, launch.size),
      options_(options),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      links_(meet_ranks(launch, options, std::move(listener))),
      given_(static_cast<std::size_t>(launch.size)),
      progress_(launch.rank == 0 ? static_cast<std::size_t>(launch.size) : 1) {
    if (!wake_)
        throw DeviceError(
            fmt::format("descriptors: {}, expected a free one; raise the limit (ulimit -n)", std::strerror(errno)));
    service_ = std::thread([this] { serve(); });
}

TcpControl::~TcpControl() {
    fail("ended before the others, expected it to work on; see its own message, restart with --resume");
    stop_serving();
}

void TcpControl::stop_serving() noexcept {
    if (!service_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake();
    service_.join();
}

void TcpControl::wake() noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_.get(), &one, sizeof one));  // a full counter has woken the thread already
}

void TcpControl::tick() noexcept {
    const std::lock_guard lock(mutex_);
    ++progress_[0].steps;
    progress_[0].since = Clock::now();
}

void TcpControl::rest() noexcept {
    const std::lock_guard lock(mutex_);
    progress_[0].steps = 0;
}

void TcpControl::tell_failure(const std::string& line, ExitCode code) noexcept {
    std::unique_lock lock(mutex_);
    if (phase_ != Phase::working || !failure_.empty()) return;
    quiet_ = true;  // this rank has a message of its own
    note_failure(line, code);
    wake();
    changed_.wait(lock, [&] { return failure_told_; });
}

std::string TcpControl::rank_name(int rank) const { return fmt::format("rank {}", rank); }

void TcpControl::note_failure(const std::string& line, ExitCode code) {
    if (!failure_.empty() || phase_ != Phase::working) return;  // the first one is the cause
    failure_ = line;
    failure_code_ = code;
}

void TcpControl::all_gather(Operation operation, std::span<const std::byte> own,
                            std::vector<std::vector<std::byte>>& all) {
    // The frame of the result holds all parts with their sizes.
    if (own.size() > largest_payload / 2)
        throw Error(ExitCode::internal, fmt::format("control: {} bytes in one {}, expected at most {}", own.size(),
                                                    name_of(operation), largest_payload / 2));
    std::unique_lock lock(mutex_);
    if (phase_ != Phase::working)
        throw Error(ExitCode::internal, fmt::format("control: {} after close", name_of(operation)));
    if (failure_told_) throw PeerError(failure_, failure_code_);  // not completed by what lost ranks gave before
    const std::uint64_t sequence = ++sequence_;
    const auto code = static_cast<std::uint8_t>(operation);
    if (rank() == 0)
        contribute(0, code, sequence, own);
    else
        links_[0]->send({FrameKind::contribution, code, sequence, {own.begin(), own.end()}});
    if (!failure_.empty() ||
        std::any_of(links_.begin(), links_.end(), [](const auto& link) { return !link->flushed(); }))
        wake();
    changed_.wait(lock, [&] { return result_sequence_ == sequence || failure_told_; });
    if (result_sequence_ != sequence) throw PeerError(failure_, failure_code_);
    all = std::move(result_);
}

// Rank 0: the last contribution completes the collective, whichever thread brings it.
void TcpControl::contribute(int from, std::uint8_t operation, std::uint64_t sequence,
                            std::span<const std::byte> bytes) {
    const auto place = static_cast<std::size_t>(from);
    if (given_count_ == 0) operation_ = operation;
    if (operation != operation_ || sequence != result_sequence_ + 1 || given_[place]) {
        note_failure(
            fmt::format("{}: in collective {} ({}) while others are in {} ({}), expected the same work on all ranks; "
                        "please report this",
                        rank_name(from), sequence, name_of(static_cast<Operation>(operation)), result_sequence_ + 1,
                        name_of(static_cast<Operation>(operation_))));
        return;
    }
    given_[place].emplace(bytes.begin(), bytes.end());
    if (++given_count_ < size()) return;
    Frame frame{FrameKind::result, operation, sequence, {}};
    result_.clear();
    for (auto& part : given_) {
        pack_bytes(frame.payload, *part);
        result_.push_back(std::move(*part));
        part.reset();
    }
    given_count_ = 0;
    if (frame.payload.size() > largest_payload) {
        note_failure(fmt::format("rank 0: {} bytes in one {}, expected at most {}; please report this",
                                 frame.payload.size(), name_of(static_cast<Operation>(operation)), largest_payload));
        return;
    }
    for (const auto& link : links_) link->send(frame);
    result_sequence_ = sequence;
    if (operation == static_cast<std::uint8_t>(Operation::close)) phase_ = Phase::closing;
    changed_.notify_all();
}

void TcpControl::take_result(const Frame& frame) {
    Unpacking parts(frame.payload);
    result_.clear();
    for (int k = 0; k < size(); ++k) {
        const auto part = parts.bytes();
        result_.emplace_back(part.begin(), part.end());
    }
    if (frame.sequence != sequence_ || result_sequence_ == sequence_ || !parts.good() || !parts.done()) {
        note_failure(
            fmt::format("rank 0: sent the result of collective {} to rank {} in {}, expected one build on all ranks",
                        frame.sequence, rank(), sequence_));
        return;
    }
    result_sequence_ = frame.sequence;
    if (frame.operation == static_cast<std::uint8_t>(Operation::close)) phase_ = Phase::closing;
    changed_.notify_all();
}

// Rank 0 stays until all others have said goodbye: closing a socket with unread heartbeats would destroy the result
// that is still on its way to a slower rank.
void TcpControl::end() {
    {
        std::unique_lock lock(mutex_);
        const auto limit = std::chrono::duration<double>(std::min(5.0, options_.peer_timeout_s));
        if (rank() > 0) {
            links_[0]->send({FrameKind::goodbye, 0, 0, {}});
            wake();
            changed_.wait_for(lock, limit, [&] { return links_[0]->flushed() || links_[0]->ended(); });
            links_[0]->finish_sending();
        } else {
            changed_.wait_for(lock, limit, [&] {
                return std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->ended() != 0; });
            });
        }
        phase_ = Phase::closed;
    }
    stop_serving();
}

std::unique_ptr<Control> make_control(const Launch& launch, const ControlOptions& options, Listener listener) {
    if (launch.size > 1) return std::make_unique<TcpControl>(launch, options, std::move(listener));
    return make_lone_control();
}

}  // namespace pdadmm
