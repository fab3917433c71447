// The service thread of the control channel: reads links, sends heartbeats, finds the rank that failed and tells all
// others.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "host/console/printable.hpp"
#include "host/transport/control.hpp"
#include "host/transport/packing.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr auto last_words_limit = std::chrono::milliseconds(500);

Clock::duration seconds(double count) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

double seconds_since(Clock::time_point time, Clock::time_point now) {
    return std::chrono::duration<double>(now - time).count();
}

}  // namespace

void TcpControl::serve() {
    const auto limit = seconds(options_.peer_timeout_s);
    const Clock::duration beat_every = std::min<Clock::duration>(std::chrono::seconds(1), limit / 4);
    std::unique_lock lock(mutex_);
    auto last_round = Clock::now();
    for (;;) {
        if (!failure_.empty()) break;
        if (stopping_) return;
        std::vector<const Link*> links;
        for (const auto& link : links_) links.push_back(link.get());
        // Waiting without the lock: only this thread changes which bytes are read; a write of the other thread that is
        // not taken at once wakes this one by wake_.
        std::vector<pollfd> waiting = poll_list(links, wake_.get());
        lock.unlock();
        poll_until(waiting, Clock::now() + beat_every / 2);
        std::uint64_t count;
        static_cast<void>(!::read(wake_.get(), &count, sizeof count));
        lock.lock();
        const auto now = Clock::now();
        // A process that was stopped itself (job control, a suspended batch job) cannot say who was silent meanwhile.
        if (now - last_round > limit / 2)
            for (const auto& link : links_) link->set_heard(now);
        last_round = now;
        for (std::size_t k = 0; k < links_.size(); ++k)
            read_link(*links_[k], rank() == 0 ? static_cast<int>(k) + 1 : 0);
        if (now - last_beat_ >= beat_every) beat(now);
        watch(now);
        if (phase_ != Phase::working) changed_.notify_all();  // end() waits for the last bytes
    }
    if (rank() == 0 && !quiet_) options_.before_others(failure_);
    spread_failure();
    lock.unlock();
    if (!quiet_)
        options_.on_failure({failure_, failure_code_,
                             known_to_first()});  // before waits end, so that this line is the one that is printed
    lock.lock();
    failure_told_ = true;
    changed_.notify_all();
}

void TcpControl::read_link(Link& link, int peer) {
    link.flush();
    link.receive();
    try {  // also of a link that ended while the ranks met: its last words may be waiting
        while (failure_.empty()) {
            std::optional<Frame> frame = link.next();
            if (!frame) break;
            take_frame(std::move(*frame), peer);
        }
    } catch (const BadFrame& bad) {
        note_failure(fmt::format(
            "{}: sent {}, expected one build on all ranks and no one else at their port; restart with --resume",
            rank_name(peer), bad.what()));
    }
    if (!link.ended()) return;
    note_failure(
        fmt::format("{}: connection lost ({}), expected it to work on; see its own message, restart with --resume",
                    rank_name(peer), link.ended() < 0 ? "its process has ended" : std::strerror(link.ended())));
}

void TcpControl::take_frame(Frame&& frame, int peer) {
    Unpacking payload(frame.payload);
    switch (frame.kind) {
        case FrameKind::contribution:
            if (rank() == 0) return contribute(peer, frame.operation, frame.sequence, frame.payload);
            break;
        case FrameKind::result:
            if (rank() != 0) return take_result(frame);
            break;
        case FrameKind::heartbeat:
            if (rank() == 0) {
                Progress& progress = progress_[static_cast<std::size_t>(peer)];
                if (progress.steps != frame.sequence) progress = {frame.sequence, Clock::now()};
            }
            return;
        case FrameKind::failure: {
            const std::string line = printable(payload.text(), 1000);
            const int code = payload.number<std::int32_t>();
            note_failure(line, payload.good() && code > 0 && code < 256 ? static_cast<ExitCode>(code) : ExitCode::peer);
            if (rank() != 0) known_to_first_ = true;
            return;
        }
        case FrameKind::goodbye:
            return;  // what counts is the end of the connection after it
        case FrameKind::hello:
        case FrameKind::welcome:
        case FrameKind::refusal:
            break;
    }
    note_failure(fmt::format("{}: sent a message of kind {} at the wrong time, expected one build on all ranks",
                             rank_name(peer), static_cast<int>(frame.kind)));
}

void TcpControl::beat(Clock::time_point now) {
    last_beat_ = now;
    for (const auto& link : links_)
        if (phase_ == Phase::working || rank() == 0) link->send({FrameKind::heartbeat, 0, progress_[0].steps, {}});
}

void TcpControl::watch(Clock::time_point now) {
    for (std::size_t k = 0; k < links_.size(); ++k) {
        const double silent = seconds_since(links_[k]->heard(), now);
        if (!links_[k]->ended() && silent > options_.peer_timeout_s)
            note_failure(fmt::format(
                "{}: silent for {:.1f} s (stopped, or its machine is lost), expected a sign of life every second; "
                "restart with --resume",
                rank_name(rank() == 0 ? static_cast<int>(k) + 1 : 0), silent));
    }
    // Only rank 0 knows of all. The rank with the fewest steps is the one that the others wait for.
    if (rank() != 0 ||
        std::any_of(progress_.begin(), progress_.end(), [](const Progress& one) { return one.steps == 0; }))
        return;
    const auto least = std::min_element(progress_.begin(), progress_.end(),
                                        [](const Progress& a, const Progress& b) { return a.steps < b.steps; });
    const double idle = seconds_since(least->since, now);
    if (idle > options_.progress_timeout_s)
        note_failure(fmt::format(
            "{}: no progress for {:.1f} s after {} steps, expected one step after the other; restart with --resume",
            rank_name(static_cast<int>(least - progress_.begin())), idle, least->steps));
}

// Rank 0 answers a failure that it was told of with the failure.
void TcpControl::hear_answer(Link& link) {
    try {
        link.receive();
        while (const std::optional<Frame> frame = link.next())
            if (frame->kind == FrameKind::failure) known_to_first_ = true;
    } catch (const BadFrame&) {
        link.discard();
    }
}

// All ranks know the same line. Rank 0 is the only one that hears of every failure; the others reach it alone.
void TcpControl::spread_failure() {
    Frame frame{FrameKind::failure, 0, 0, {}};
    pack_text(frame.payload, failure_);
    pack(frame.payload, static_cast<std::int32_t>(failure_code_));
    for (const auto& link : links_) link->send(frame);
    const auto until = Clock::now() + last_words_limit;
    // Bytes that are still unread when a socket is closed would destroy the words that are under way: read until the
    // other end, which knows now, closes. Rank 0 answers on a link that is still open.
    const auto finish = [&](Link& link) {
        if (link.flushed() && (rank() == 0 || known_to_first_)) link.finish_sending();
    };
    for (const auto& link : links_) {
        if (rank() != 0)
            hear_answer(*link);  // rank 0 may have failed at the same time, and its words may be here already
        finish(*link);
    }
    while (Clock::now() < until) {
        std::vector<const Link*> open;
        for (const auto& link : links_)
            if (!link->ended()) open.push_back(link.get());
        if (open.empty()) return;
        wait_for_links(open, -1, until);
        for (const auto& link : links_) {
            link->flush();
            if (rank() == 0)
                link->discard();
            else
                hear_answer(*link);
            finish(*link);
        }
    }
}

}  // namespace pdadmm
