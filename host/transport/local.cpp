// Messages and collectives between threads, under one mutex with a condition variable a rank.
#include "host/transport/local.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "pdadmm/error.hpp"

namespace pdadmm {

class LocalGroup {
public:
    static constexpr std::size_t planes = 2;

    explicit LocalGroup(int size)
        : size_(size),
          channels_(planes * static_cast<std::size_t>(size) * static_cast<std::size_t>(size)),
          changed_(static_cast<std::size_t>(size)),
          closed_(static_cast<std::size_t>(size)),
          given_(static_cast<std::size_t>(size)) {}

    int size() const { return size_; }

    /// Offers a message; returns its number in its channel.
    std::uint64_t post(int plane, int from, int to, const void* data, std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        throw_if_failed();
        Channel& way = channel(plane, from, to);
        way.waiting.push_back({data, bytes});
        changed(to).notify_one();
        return ++way.posted;
    }

    /// Waits for the next message, copies it and releases the sender.
    void take(int plane, int from, int to, void* data, std::size_t bytes, const LocalMemory& memory) {
        std::unique_lock lock(mutex_);
        Channel& way = channel(plane, from, to);
        wait(lock, to, from, [&] { return !way.waiting.empty(); });
        const Offer offer = way.waiting.front();
        if (offer.bytes != bytes) {
            fail_locked(fmt::format(
                "rank {}: sent {} bytes to rank {}, expected {}; start all ranks with the same build and options", from,
                offer.bytes, to, bytes));
            throw_if_failed();
        }
        way.copying = true;
        lock.unlock();  // the offer stays in front, and its sender waits, until the copy is done
        std::exception_ptr error;
        try {
            if (bytes > 0 && memory.copy)
                memory.copy(offer.data, data, bytes);
            else if (bytes > 0)
                std::memcpy(data, offer.data, bytes);
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        way.copying = false;
        way.waiting.pop_front();
        ++way.taken;
        changed(from).notify_one();
        if (error) std::rethrow_exception(error);
    }

    /// Takes back what `rank` has offered; returns when no copy of it is under way.
    void withdraw(int plane, int rank) {
        std::unique_lock lock(mutex_);
        for (int to = 0; to < size_; ++to) {
            Channel& way = channel(plane, rank, to);
            changed(rank).wait(lock, [&] { return !way.copying; });
            way.waiting.clear();
        }
    }

    /// Waits until message `number` has been taken.
    void wait_taken(int plane, int from, int to, std::uint64_t number) {
        std::unique_lock lock(mutex_);
        const Channel& way = channel(plane, from, to);
        wait(lock, from, to, [&] { return way.taken >= number; });
    }

    void all_gather(int rank, std::uint8_t operation, const char* operation_name, bool closes,
                    std::span<const std::byte> own, std::vector<std::vector<std::byte>>& all) {
        std::unique_lock lock(mutex_);
        throw_if_failed();
        const std::uint64_t round = round_;
        if (arrived_ == 0) {
            operation_ = operation;
        } else if (operation_ != operation) {
            fail_locked(fmt::format(
                "rank {}: at {} while others are not, expected the same work on every rank; please report this", rank,
                operation_name));
            throw_if_failed();
        }
        given_[static_cast<std::size_t>(rank)].assign(own.begin(), own.end());
        if (closes) {
            closed_[static_cast<std::size_t>(rank)] = true;
            notify_all();  // who waits for a message of this rank waits in vain
        }
        if (++arrived_ == size_) {
            arrived_ = 0;
            ++round_;
            gathered_.swap(given_);
            given_.resize(static_cast<std::size_t>(size_));
            notify_all();
        } else {
            changed(rank).wait(lock, [&] { return round_ != round || !failure_.empty(); });
            if (round_ == round) throw_if_failed();
        }
        all = gathered_;  // the next round cannot end, and change it, before this rank has arrived there
    }

    void fail(const std::string& line, ExitCode code) {
        const std::lock_guard lock(mutex_);
        fail_locked(line, code);
    }

private:
    struct Offer {
        const void* data;
        std::size_t bytes;
    };
    struct Channel {
        std::deque<Offer> waiting;
        std::uint64_t posted = 0, taken = 0;
        bool copying = false;  // the offer in front
    };

    Channel& channel(int plane, int from, int to) {
        return channels_[(static_cast<std::size_t>(plane) * static_cast<std::size_t>(size_) +
                          static_cast<std::size_t>(from)) *
                             static_cast<std::size_t>(size_) +
                         static_cast<std::size_t>(to)];
    }
    std::condition_variable& changed(int rank) { return changed_[static_cast<std::size_t>(rank)]; }

    template <typename Ready>
    void wait(std::unique_lock<std::mutex>& lock, int rank, int peer, Ready ready) {
        const auto left = [&] { return closed_[static_cast<std::size_t>(peer)]; };
        changed(rank).wait(lock, [&] { return ready() || !failure_.empty() || left(); });
        throw_if_failed();
        if (ready()) return;
        fail_locked(fmt::format("rank {}: has ended, expected a message between it and rank {}; please report this",
                                peer, rank));
        throw_if_failed();
    }
    void fail_locked(const std::string& line, ExitCode code = ExitCode::peer) {
        if (!failure_.empty()) return;  // the first failure is the cause
        failure_ = line;
        failure_code_ = code;
        notify_all();
    }
    void throw_if_failed() const {
        if (!failure_.empty()) throw PeerError(failure_, failure_code_);
    }
    void notify_all() {
        for (std::condition_variable& one : changed_) one.notify_all();
    }

    const int size_;
    std::mutex mutex_;  // guards everything below
    std::vector<Channel> channels_;
    std::deque<std::condition_variable> changed_;
    std::string failure_;
    ExitCode failure_code_ = ExitCode::peer;
    std::vector<bool> closed_;
    int arrived_ = 0;
    std::uint64_t round_ = 0;
    std::uint8_t operation_ = 0;
    std::vector<std::vector<std::byte>> given_, gathered_;
};

LocalTransport::LocalTransport(std::shared_ptr<LocalGroup> group, int rank, int plane)
    : Transport(rank, group->size()), group_(std::move(group)), plane_(plane) {}

void LocalTransport::start_messages(std::span<const Message> messages) {
    if (memory_.settle) memory_.settle();
    posted_.assign(messages.size(), 0);
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (messages[i].direction == Direction::send)
            posted_[i] = group_->post(plane_, rank(), messages[i].peer, messages[i].data, messages[i].bytes);
}

void LocalTransport::finish_messages(std::span<const Message> messages) {
    // Receives first: they need only the other rank's start, so no two ranks can wait for each other here.
    for (const Message& message : messages)
        if (message.direction == Direction::receive)
            group_->take(plane_, message.peer, rank(), message.data, message.bytes, memory_);
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (messages[i].direction == Direction::send) group_->wait_taken(plane_, rank(), messages[i].peer, posted_[i]);
}

void LocalTransport::abandon_messages() noexcept { group_->withdraw(plane_, rank()); }

LocalControl::LocalControl(std::shared_ptr<LocalGroup> group, int rank)
    : Control(rank, group->size()), group_(std::move(group)) {}

void LocalControl::tell_failure(const std::string& line, ExitCode code) noexcept { group_->fail(line, code); }

void LocalControl::all_gather(Operation operation, std::span<const std::byte> own,
                              std::vector<std::vector<std::byte>>& all) {
    group_->all_gather(rank(), static_cast<std::uint8_t>(operation), name_of(operation), operation == Operation::close,
                       own, all);
}

std::vector<std::unique_ptr<LocalRank>> make_local_ranks(int ranks) {
    if (ranks < 1) throw Error(ExitCode::internal, fmt::format("ranks: {}, expected at least 1", ranks));
    const auto group = std::make_shared<LocalGroup>(ranks);
    std::vector<std::unique_ptr<LocalRank>> made;
    for (int rank = 0; rank < ranks; ++rank)
        made.push_back(std::unique_ptr<LocalRank>(new LocalRank{{group, rank}, {group, rank}, {group, rank, 1}}));
    return made;
}

std::unique_ptr<Control> make_lone_control() {
    return std::make_unique<LocalControl>(std::make_shared<LocalGroup>(1), 0);
}

void run_local_ranks(int ranks, const std::function<void(LocalRank&)>& body) {
    const auto all = make_local_ranks(ranks);
    std::mutex mutex;
    std::exception_ptr first;
    const auto run = [&](LocalRank& rank) {
        try {
            rank.control.run([&] {
                try {
                    body(rank);
                } catch (...) {
                    // Kept before the others are told, so that theirs cannot come first.
                    const std::lock_guard lock(mutex);
                    if (!first) first = std::current_exception();
                    throw;
                }
            });
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!first) first = std::current_exception();  // of close()
        }
    };
    std::vector<std::thread> threads;
    for (int k = 1; k < ranks; ++k) threads.emplace_back([&, k] { run(*all[static_cast<std::size_t>(k)]); });
    run(*all[0]);
    for (std::thread& thread : threads) thread.join();
    if (first) std::rethrow_exception(first);
}

}  // namespace pdadmm
