// Ranks as threads of one process: what the tests on a CPU use, and every run of several ranks without MPI or a second
// GPU. A message is copied once, by the rank that receives it, when both ends are there; nothing is shared but
// LocalGroup.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pdadmm/transport.hpp"

namespace pdadmm {

/// How the bytes of backends are reached. Empty functions: memory that the host can address, and whose work is done
/// when a backend's call returns.
struct LocalMemory {
    /// Called by a sender before its messages become visible: returns when their bytes are in place.
    std::function<void()> settle;
    /// Called by a receiver, in its thread; returns when `to` holds the bytes. `from` is the sender's memory.
    std::function<void(const void* from, void* to, std::size_t bytes)> copy;
};

class LocalGroup;

class LocalTransport final : public Transport {
public:
    /// Messages of one plane know nothing of those of another.
    LocalTransport(std::shared_ptr<LocalGroup> group, int rank, int plane = 0);
    std::string name() const override { return "local"; }
    void use_memory(LocalMemory memory) { memory_ = std::move(memory); }

private:
    void start_messages(std::span<const Message> messages) override;
    void finish_messages(std::span<const Message> messages) override;
    void abandon_messages() noexcept override;

    std::shared_ptr<LocalGroup> group_;
    int plane_;
    LocalMemory memory_;
    std::vector<std::uint64_t> posted_;  // by message of the set: the number that its channel gave it
};

class LocalControl final : public Control {
public:
    LocalControl(std::shared_ptr<LocalGroup> group, int rank);

private:
    void tell_failure(const std::string& line, ExitCode code) noexcept override;
    void all_gather(Operation operation, std::span<const std::byte> own,
                    std::vector<std::vector<std::byte>>& all) override;

    std::shared_ptr<LocalGroup> group_;
};

struct LocalRank {
    LocalTransport transport;
    LocalControl control;
    LocalTransport nodes;  // RankLinks::nodes
};

/// `ranks` ranks that talk to each other; each is used by a thread of its own.
std::vector<std::unique_ptr<LocalRank>> make_local_ranks(int ranks);

/// The control channel of a run of one rank.
std::unique_ptr<Control> make_lone_control();

/// Runs `body` once a rank, rank 0 in the calling thread, and returns when all have. A rank's return is its close().
/// Where a rank throws, the waits of all others end in PeerError at once, and the exception that came first is thrown
/// again.
void run_local_ranks(int ranks, const std::function<void(LocalRank&)>& body);

}  // namespace pdadmm
