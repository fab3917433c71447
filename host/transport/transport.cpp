// What all transports and control channels share: checks, counters, and the collectives as forms of one all-gather.
#include "pdadmm/transport.hpp"
#include "host/console/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>

#include "host/transport/packing.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

Transport::Transport(int rank, int size) : rank_(rank), size_(size), traffic_(2 * static_cast<std::size_t>(size)) {}

Traffic& Transport::count(const Message& message) {
    return traffic_[static_cast<std::size_t>(message.direction == Direction::send ? message.peer
                                                                                  : size_ + message.peer)];
}

void Transport::start(std::span<const Message> messages) {
    if (started_) throw Error(ExitCode::internal, "transport: messages started before the last ones were finished");
    for (const Message& message : messages)
        if (message.peer < 0 || message.peer >= size_ || message.peer == rank_ || (message.bytes > 0 && !message.data))
            throw Error(ExitCode::internal,
                        fmt::format("transport: message between rank {} and rank {} of {}, {} bytes{}", rank_,
                                    message.peer, size_, message.bytes, message.data ? "" : " at no address"));
    messages_.assign(messages.begin(), messages.end());
    started_ = true;
    try {
        start_messages(messages_);
    } catch (...) {
        abandon();
        throw;
    }
    for (const Message& message : messages_)
        if (message.direction == Direction::send) {
            ++count(message).messages;
            count(message).bytes += message.bytes;
        }
}

void Transport::finish() {
    if (!started_) return;
    try {
        finish_messages(messages_);
    } catch (...) {
        abandon();
        throw;
    }
    started_ = false;
    for (const Message& message : messages_)
        if (message.direction == Direction::receive) {
            ++count(message).messages;
            count(message).bytes += message.bytes;
        }
}

void Transport::abandon() noexcept {
    if (started_) abandon_messages();
    started_ = false;
}

Traffic Transport::traffic(int peer, Direction direction) const {
    if (peer < 0 || peer >= size_)
        throw Error(ExitCode::internal, fmt::format("transport: traffic with rank {} of {}", peer, size_));
    return traffic_[static_cast<std::size_t>(direction == Direction::send ? peer : size_ + peer)];
}

Traffic Transport::traffic(Direction direction) const {
    Traffic sum;
    for (int peer = 0; peer < size_; ++peer) {
        const Traffic one = traffic(peer, direction);
        sum.messages += one.messages;
        sum.bytes += one.bytes;
    }
    return sum;
}

const char* Control::name_of(Operation operation) {
    switch (operation) {
        case Operation::gather:
            return "gather";
        case Operation::broadcast:
            return "broadcast";
        case Operation::max:
            return "max";
        case Operation::barrier:
            return "barrier";
        case Operation::agree:
            return "agree";
        case Operation::close:
            return "close";
    }
    return "an unknown operation";
}

// The stop flag rides on every collective: ranks then learn of it at the same point of their work and save the same
// iteration.
void Control::all_gather_with_stop(Operation operation, std::span<const std::byte> own) {
    const std::int32_t stop = requested_stop_.load();
    own_.resize(sizeof stop);
    std::memcpy(own_.data(), &stop, sizeof stop);
    append(own_, own);
    all_gather(operation, own_, gathered_);
    for (std::size_t k = 0; k < gathered_.size(); ++k) {
        std::int32_t flag;
        if (gathered_[k].size() < sizeof flag)
            throw PeerError(fmt::format("rank {}: {} without its stop flag, expected one build on all ranks", k,
                                        name_of(operation)));
        std::memcpy(&flag, gathered_[k].data(), sizeof flag);
        stop_ = std::max(stop_, static_cast<int>(flag));
        gathered_[k].erase(gathered_[k].begin(), gathered_[k].begin() + sizeof flag);
    }
}

std::vector<double> Control::gather(std::span<const double> own) {
    all_gather_with_stop(Operation::gather, std::as_bytes(own));
    std::vector<double> values;
    for (std::size_t k = 0; k < gathered_.size(); ++k) {
        const std::vector<std::byte>& part = gathered_[k];
        if (part.size() % sizeof(double) != 0)
            throw PeerError(fmt::format("rank {}: {} bytes of figures, expected a multiple of 8", k, part.size()));
        const std::size_t held = values.size();
        values.resize(held + part.size() / sizeof(double));
        if (!part.empty()) std::memcpy(values.data() + held, part.data(), part.size());
    }
    return values;
}

std::vector<std::byte> Control::broadcast(std::span<const std::byte> bytes, int root) {
    if (root < 0 || root >= size_)
        throw Error(ExitCode::internal, fmt::format("control: broadcast from rank {} of {}", root, size_));
    all_gather_with_stop(Operation::broadcast, root == rank_ ? bytes : std::span<const std::byte>());
    return std::move(gathered_[static_cast<std::size_t>(root)]);
}

std::int64_t Control::max(std::int64_t own) {
    all_gather_with_stop(Operation::max, std::as_bytes(std::span(&own, 1)));
    std::int64_t most = own;
    for (std::size_t k = 0; k < gathered_.size(); ++k) {
        std::int64_t value;
        if (gathered_[k].size() != sizeof value)
            throw PeerError(fmt::format("rank {}: {} bytes of a number, expected 8", k, gathered_[k].size()));
        std::memcpy(&value, gathered_[k].data(), sizeof value);
        most = std::max(most, value);
    }
    return most;
}

void Control::barrier() { all_gather_with_stop(Operation::barrier, {}); }

void Control::close() {
    if (closed_) return;
    all_gather_with_stop(Operation::close, {});
    closed_ = true;
    end();
}

void Control::fail(const std::string& why, ExitCode code) noexcept {
    if (!closed_) tell_failure(fmt::format("rank {}: {}", rank_, why), code);
}

void Control::fail(const PeerError& error) noexcept {
    if (!closed_) tell_failure(error.what(), error.code());
}

void Control::run(const std::function<void()>& body) {
    try {
        body();
        close();
    } catch (const PeerError& error) {
        fail(error);
        throw;
    } catch (const Error& error) {
        fail(error.what(), error.code());
        throw;
    } catch (const std::bad_alloc&) {
        fail("memory: none left, expected more; use a smaller network, fewer hops or a larger machine",
             ExitCode::device);
        throw;
    } catch (const std::exception& error) {
        fail(error.what(), ExitCode::internal);
        throw;
    } catch (...) {
        fail("ended by an exception without words", ExitCode::internal);
        throw;
    }
}

// Every rank compares what all ranks gave with rank 0's list, so all of them find the same difference without a second
// message.
std::string Control::difference(std::span<const Entry> entries) {
    std::vector<std::byte> own;
    for (const auto& [key, value] : entries) {
        pack_text(own, key);
        pack_text(own, value);
    }
    all_gather_with_stop(Operation::agree, own);
    std::vector<std::vector<Entry>> given(gathered_.size());
    for (std::size_t k = 0; k < gathered_.size(); ++k) {
        Unpacking list(gathered_[k]);
        while (list.good() && !list.done()) {
            std::string key = list.text(), value = list.text();
            given[k].emplace_back(std::move(key), std::move(value));
        }
        if (!list.good())
            throw PeerError(
                fmt::format("rank {}: its configuration cannot be read, expected one build on all ranks", k));
    }
    const std::vector<Entry>& first = given.front();
    const auto shown = [](const Entry* entry) {
        return entry ? fmt::format("'{}'", printable(entry->first)) : std::string("missing");
    };
    std::string found;
    for (std::size_t k = 1; k < given.size() && found.empty(); ++k)
        for (std::size_t i = 0; i < std::max(first.size(), given[k].size()) && found.empty(); ++i) {
            const Entry* a = i < first.size() ? &first[i] : nullptr;
            const Entry* b = i < given[k].size() ? &given[k][i] : nullptr;
            if (a && b && a->first == b->first && a->second != b->second)
                found = fmt::format(
                    "{}: '{}' on rank 0 and '{}' on rank {}, expected one value; start all ranks with the same "
                    "command, data and "
                    "build",
                    printable(a->first), printable(a->second, 200), printable(b->second, 200), k);
            else if (!a || !b || a->first != b->first)
                found = fmt::format(
                    "configuration: entry {} is {} on rank 0 and {} on rank {}, expected the same entries; start all "
                    "ranks with "
                    "the same build",
                    i + 1, shown(a), shown(b), k);
        }
    return found;
}

void Control::agree(std::span<const Entry> entries) {
    const std::string found = difference(entries);
    if (found.empty()) return;
    close();  // all ranks know: they leave with their own message, and none is taken for lost
    throw UsageError(found);
}

}  // namespace pdadmm
