// What joins the ranks of a run (design 3): Transport moves packed p and q between neighbours, Control carries what the
// host needs beside them: figures of every layer, agreement on configuration, stop flags. Both name no device.
//
// A rank is a thread (local) or a process (mpi, nccl). Both objects of a rank are used by one thread at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pdadmm/error.hpp"

namespace pdadmm {

enum class Direction { send, receive };

/// One packed tensor on its way: `bytes` bytes in the memory of this rank's backend. Zero bytes are a message too.
struct Message {
    int peer = 0;
    Direction direction = Direction::send;
    void* data = nullptr;  // only read where direction is send
    std::size_t bytes = 0;

    static Message send(int peer, const void* data, std::size_t bytes) {
        return {peer, Direction::send, const_cast<void*>(data), bytes};
    }
    static Message receive(int peer, void* data, std::size_t bytes) { return {peer, Direction::receive, data, bytes}; }
};

struct Traffic {
    std::uint64_t messages = 0, bytes = 0;
};

/// Point-to-point messages. Between two ranks they match in the order in which both ends give them, without tags, and
/// both ends must state the same size. Sends and receives of one phase that depend on each other belong in one start().
class Transport {
public:
    virtual ~Transport() = default;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    virtual std::string name() const = 0;  // "local", "mpi", "nccl"
    int rank() const { return rank_; }
    int size() const { return size_; }

    /// Lets the messages go: they may travel under whatever the rank does before finish(), and until then it leaves
    /// their memory alone. One set at a time. Throws PeerError; a wrong peer or an unfinished set is Error(internal).
    void start(std::span<const Message> messages);
    /// Work that the backend begins after this call sees what was received, and may overwrite what was sent. Throws
    /// PeerError with the rank that failed, or whose message has another size than expected (NCCL does not tell: there
    /// such a message is undefined, and Control::agree keeps it from happening). Without a set: nothing.
    void finish();
    /// After an error, before the memory of messages under way is given back: nothing reads or writes it any more.
    /// Without a set, or where the process is about to end anyway (MPI, NCCL): nothing. start() and finish() do it
    /// where they throw.
    void abandon() noexcept;
    void exchange(std::span<const Message> messages) {
        start(messages);
        finish();
    }

    /// What has gone to, or come from, `peer` since the transport was made; a message counts when its start() (send) or
    /// finish() (receive) has returned.
    Traffic traffic(int peer, Direction direction) const;
    /// The same over all peers.
    Traffic traffic(Direction direction) const;

protected:
    Transport(int rank, int size);
    virtual void start_messages(std::span<const Message> messages) = 0;
    virtual void finish_messages(std::span<const Message> messages) = 0;
    virtual void abandon_messages() noexcept {}

private:
    Traffic& count(const Message& message);

    int rank_, size_;
    bool started_ = false;
    std::vector<Message> messages_;  // of the set under way
    std::vector<Traffic> traffic_;   // (2, size)
};

/// Small host values that every rank needs. Each function that says "collective" is called by all ranks in the same
/// order and returns when all have called it; all of them then hold the same bits. Waits end in PeerError when a rank
/// is lost.
class Control {
public:
    virtual ~Control() = default;
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }

    /// Collective: the values of all ranks, one rank after the other. With ranks that hold ascending layers, this is
    /// the order of layers, so a sum over the result has the same bits for any number of ranks.
    std::vector<double> gather(std::span<const double> own);
    /// Collective: the bytes that `root` gave (others give none).
    std::vector<std::byte> broadcast(std::span<const std::byte> bytes, int root);
    /// Collective: the largest value.
    std::int64_t max(std::int64_t own);
    /// Collective.
    void barrier();
    /// Collective: compares configuration, data and build before work. Throws UsageError on every rank, after close(),
    /// with the first key that differs, both values and both ranks.
    using Entry = std::pair<std::string, std::string>;  // key, value
    void agree(std::span<const Entry> entries);
    /// Collective: the same comparison, without close(): what differs, or nothing.
    std::string difference(std::span<const Entry> entries);
    /// Collective: the last call. From here on a rank that ends is not missed. An error that all ranks know of and
    /// throw together is thrown after close(); one that only this rank knows of is told by run() or fail(). A second
    /// call does nothing.
    void close();
    /// All ranks have called close().
    bool closed() const { return closed_; }

    /// Asks all ranks to stop with `signal` (> 0). It reaches them with the next collective, so all learn of it at the
    /// same point of their work.
    void request_stop(int signal) noexcept { requested_stop_.store(signal); }
    /// The largest signal that was asked for before the last collective; 0: none. The same on every rank.
    int stop() const { return stop_; }

    /// One step of work is done. Once every rank has called this, one that does not for the progress limit ends the
    /// job.
    virtual void tick() noexcept {}
    /// Until the next tick() this rank may take as long as it likes (evaluation, saving).
    virtual void rest() noexcept {}
    /// Tells the others that this rank cannot go on, and why: one line, before which its name is put, or that of a
    /// PeerError, which names a rank already. The others' waits end in PeerError with `code`. Nothing after close().
    /// Not collective.
    void fail(const std::string& why, ExitCode code = ExitCode::peer) noexcept;
    void fail(const PeerError& error) noexcept;
    /// After a failure: rank 0 has heard of it, and is another one.
    virtual bool known_to_first() const noexcept { return false; }
    /// What a rank does from begin to end: body, then close(); an exception of the body is told to the others and goes
    /// on.
    void run(const std::function<void()>& body);

protected:
    enum class Operation : std::uint8_t { gather, broadcast, max, barrier, agree, close };
    static const char* name_of(Operation operation);

    Control(int rank, int size) : rank_(rank), size_(size) {}
    /// Collective: all[k] = what rank k gave.
    virtual void all_gather(Operation operation, std::span<const std::byte> own,
                            std::vector<std::vector<std::byte>>& all) = 0;
    virtual void tell_failure(const std::string& line, ExitCode code) noexcept = 0;
    /// After the close of all ranks.
    virtual void end() {}

private:
    void all_gather_with_stop(Operation operation, std::span<const std::byte> own);

    int rank_, size_;
    int stop_ = 0;
    bool closed_ = false;
    std::atomic<int> requested_stop_{0};
    std::vector<std::byte> own_;                    // of the current collective: stop flag, then the value
    std::vector<std::vector<std::byte>> gathered_;  // without the flags
};

}  // namespace pdadmm
