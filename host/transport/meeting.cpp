// How the ranks of a run find each other. Rank 0 waits for one process of each number; whoever else knocks at its port
// (a scanner, a rank of another run) is turned away and cannot end the run.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "host/console/printable.hpp"
#include "host/transport/control.hpp"
#include "host/transport/packing.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::uint32_t protocol = 1;
constexpr auto retry_pause = std::chrono::milliseconds(50);
constexpr auto hello_limit = std::chrono::seconds(10);  // for a connection to say who it is
constexpr auto last_words_limit = std::chrono::milliseconds(500);

struct Hello {
    std::uint32_t version = protocol;
    int rank = 0, size = 0;
    std::string job;
};

Frame frame_of(const Hello& hello) {
    Frame frame{FrameKind::hello, 0, 0, {}};
    pack(frame.payload, hello.version);
    pack(frame.payload, static_cast<std::int32_t>(hello.rank));
    pack(frame.payload, static_cast<std::int32_t>(hello.size));
    pack_text(frame.payload, hello.job.substr(0, 200));
    return frame;
}

std::optional<Hello> read_hello(const Frame& frame) {
    Unpacking values(frame.payload);
    Hello hello;
    hello.version = values.number<std::uint32_t>();
    hello.rank = values.number<std::int32_t>();
    hello.size = values.number<std::int32_t>();
    hello.job = values.text();
    if (frame.kind != FrameKind::hello || !values.good()) return std::nullopt;
    return hello;
}

Frame refusal(const std::string& why) {
    Frame frame{FrameKind::refusal, 0, 0, {}};
    pack_text(frame.payload, why);
    return frame;
}

std::string list_of_ranks(const std::vector<int>& ranks) {
    std::string text = ranks.size() == 1 ? "rank " : "ranks ";
    for (std::size_t i = 0; i < ranks.size() && i < 8; ++i) text += (i ? ", " : "") + std::to_string(ranks[i]);
    return ranks.size() > 8 ? fmt::format("{} and {} more", text, ranks.size() - 8) : text;
}

struct Guest {
    std::unique_ptr<Link> link;
    Clock::time_point until;
    int rank = -1;  // unknown
};

class Host {
public:
    Host(const Launch& launch, const ControlOptions& options, Listener listener)
        : launch_(launch),
          seconds_(options.connect_timeout_s),
          listener_(std::move(listener)),
          deadline_(Clock::now() +
                    std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds_))) {}

    std::vector<std::unique_ptr<Link>> meet() {
        const std::size_t expected = static_cast<std::size_t>(launch_.size) - 1;
        while (known() < expected) {
            if (Clock::now() >= deadline_) give_up();
            std::vector<const Link*> links;
            for (const Guest& guest : guests_) links.push_back(guest.link.get());
            wait_for_links(links, listener_.get(), std::min(deadline_, Clock::now() + std::chrono::milliseconds(200)));
            while (Descriptor socket = listener_.accept())
                guests_.push_back(
                    {std::make_unique<Link>(std::move(socket), largest_hello), Clock::now() + hello_limit});
            for (Guest& guest : guests_) attend(guest);
            // Who ended before the meeting did may come back: it then says hello again.
            std::erase_if(guests_, [](const Guest& guest) {
                return guest.link->ended() || (guest.rank < 0 && Clock::now() >= guest.until);
            });
        }
        std::vector<std::unique_ptr<Link>> links(expected);
        for (Guest& guest : guests_)
            if (guest.rank > 0) links[static_cast<std::size_t>(guest.rank) - 1] = std::move(guest.link);
        for (const auto& link : links) link->send(Frame{FrameKind::welcome, 0, 0, {}});
        return links;
    }

private:
    std::size_t known() const {
        return static_cast<std::size_t>(
            std::count_if(guests_.begin(), guests_.end(), [](const Guest& guest) { return guest.rank > 0; }));
    }

    void attend(Guest& guest) {
        guest.link->flush();
        guest.link->receive();
        std::optional<Hello> hello;
        try {
            const std::optional<Frame> frame = guest.link->next();
            if (!frame) return;
            hello = guest.rank < 0 ? read_hello(*frame) : std::nullopt;
        } catch (const BadFrame&) {
        }
        if (!hello) {
            guest.rank = -1;
            guest.until = {};
            return;
        }
        if (hello->job != launch_.job.substr(0, 200)) {
            turn_away(guest,
                      fmt::format("rendezvous {}:{}: held by another run, expected a free port; choose another with "
                                  "--rendezvous or PDADMM_PORT",
                                  printable(launch_.host), launch_.port));
            return;
        }
        if (hello->version != protocol)
            refuse_all(guest, fmt::format("rank {}: of another version of this program than rank 0, expected one "
                                          "build; start all ranks with it",
                                          hello->rank));
        if (hello->size != launch_.size)
            refuse_all(guest, fmt::format("rank {}: counts {} ranks and rank 0 counts {}, expected one number; mend "
                                          "WORLD_SIZE or the launcher",
                                          hello->rank, hello->size, launch_.size));
        const auto same = [&](const Guest& other) { return other.rank == hello->rank && !other.link->ended(); };
        if (hello->rank < 1 || hello->rank >= launch_.size || std::any_of(guests_.begin(), guests_.end(), same))
            refuse_all(guest, fmt::format("rank {}: two processes have this number, expected each from 0 to {} once; "
                                          "mend RANK or the launcher",
                                          hello->rank, launch_.size - 1));
        guest.rank = hello->rank;
    }

    void turn_away(Guest& guest, const std::string& why) {
        guest.link->send(refusal(why));
        guest.link->finish_sending();
        guest.until = Clock::now() + last_words_limit;
    }

    /// The ranks do not belong together: everyone that is here hears why.
    [[noreturn]] void refuse_all(Guest& asking, const std::string& why) {
        turn_away(asking, why);
        for (Guest& guest : guests_)
            if (guest.rank > 0) turn_away(guest, why);
        drain();
        throw UsageError(why);
    }

    [[noreturn]] void give_up() {
        std::vector<int> missing;
        for (int rank = 1; rank < launch_.size; ++rank)
            if (std::none_of(guests_.begin(), guests_.end(), [&](const Guest& guest) { return guest.rank == rank; }))
                missing.push_back(rank);
        const std::string why = fmt::format(
            "{}: not heard of within {:g} s at {}:{}, expected to connect there; see the output of that rank and "
            "restart",
            list_of_ranks(missing), seconds_, printable(launch_.host), launch_.port);
        Frame frame{FrameKind::failure, 0, 0, {}};
        pack_text(frame.payload, why);
        for (Guest& guest : guests_)
            if (guest.rank > 0) {
                guest.link->send(frame);
                guest.link->finish_sending();
            }
        drain();
        throw PeerError(why);
    }

    /// Closing a socket with unread bytes may destroy what was sent last, so those are read until the other end closes.
    void drain() {
        const auto until = Clock::now() + last_words_limit;
        while (Clock::now() < until &&
               std::any_of(guests_.begin(), guests_.end(), [](const Guest& guest) { return !guest.link->ended(); })) {
            std::vector<const Link*> links;
            for (const Guest& guest : guests_) links.push_back(guest.link.get());
            wait_for_links(links, -1, until);
            for (Guest& guest : guests_) {
                guest.link->flush();
                guest.link->discard();
            }
        }
    }

    const Launch& launch_;
    double seconds_;
    Listener listener_;
    Clock::time_point deadline_;
    std::vector<Guest> guests_;
};

/// Waits for rank 0's answer; none where the connection ends before it.
std::optional<Frame> await_answer(Link& link, Clock::time_point deadline) {
    const Link* one[] = {&link};
    while (Clock::now() < deadline) {
        try {
            if (std::optional<Frame> frame = link.next()) return frame;
        } catch (const BadFrame&) {
            return std::nullopt;  // some other server
        }
        if (link.ended()) return std::nullopt;
        wait_for_links(one, -1, deadline);
        link.flush();
        link.receive();
    }
    return std::nullopt;
}

std::unique_ptr<Link> join(const Launch& launch, const ControlOptions& options) {
    const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                             std::chrono::duration<double>(options.connect_timeout_s));
    std::string why = "no answer";
    bool stranger = false;  // somebody answered, and it was no rank 0
    while (Clock::now() < deadline) {
        const auto attempt_end =
            std::min(deadline, Clock::now() + std::chrono::seconds(3));  // a lost packet must not take the whole time
        if (Descriptor socket = connect_to({launch.host, launch.port}, attempt_end, why)) {
            auto link = std::make_unique<Link>(std::move(socket), largest_hello);
            link->send(frame_of({protocol, launch.rank, launch.size, launch.job}));
            const std::optional<Frame> answer = await_answer(*link, deadline);
            if (answer && answer->kind == FrameKind::welcome) return link;
            if (answer && (answer->kind == FrameKind::refusal || answer->kind == FrameKind::failure)) {
                Unpacking text(answer->payload);
                const std::string line = printable(text.text(), 600);
                if (answer->kind == FrameKind::refusal) throw UsageError(line);
                throw PeerError(line);
            }
            stranger = stranger || Clock::now() < deadline;
            why = stranger ? "it is no rank 0 of this program" : "other ranks are missing";
        }
        std::this_thread::sleep_for(retry_pause);
    }
    throw PeerError(fmt::format(
        "rank 0: not reached at {}:{} within {:g} s ({}), expected it to listen there; see its output and restart",
        printable(launch.host), launch.port, options.connect_timeout_s, why));
}

}  // namespace

std::vector<std::unique_ptr<Link>> meet_ranks(const Launch& launch, const ControlOptions& options, Listener listener) {
    std::vector<std::unique_ptr<Link>> links;
    if (launch.rank == 0) {
        const auto patience =
            std::chrono::milliseconds(static_cast<std::int64_t>(1000 * std::min(5.0, options.connect_timeout_s)));
        if (!listener)
            listener = launch.listen_descriptor >= 0 ? Listener::adopt(launch.listen_descriptor)
                                                     : Listener({launch.host, launch.port}, patience);
        links = Host(launch, options, std::move(listener)).meet();
    } else {
        links.push_back(join(launch, options));
    }
    for (const auto& link : links) {
        link->set_payload_limit(largest_payload);
        link->set_heard(Clock::now());
    }
    return links;
}

}  // namespace pdadmm
