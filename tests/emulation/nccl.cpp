// Stand-in for NCCL between ranks that are threads. A set of messages begins where its stream comes to it and ends when
// all of its messages are delivered, which is when both ends have begun; a stream waits for the end of its set. What it
// checks:
// - groups: messages in a group only, one group at a time, no call while the last one is still being queued;
// - sizes: both ends give the same (NCCL itself would not notice);
// - memory: what is sent does not change from begin to delivery, and nobody writes where something is to arrive. That
// place
//   holds NaN bits meanwhile, so a reader who comes too early is found out too.
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "emulation/nccl_hooks.hpp"
#include "tests/emulation/device.hpp"

namespace {

constexpr int poison = 0xFF;
constexpr std::uint32_t most_polls = 4;  // until a set is queued

/// The messages that one rank gave in one group.
struct Set {
    ncclComm_t communicator;
    cudaStream_t stream;
    std::size_t left;
    std::shared_ptr<emulation::Mark> delivered = std::make_shared<emulation::Mark>();
};
struct Part {
    std::shared_ptr<Set> set;
    bool sends;
    int peer;
    void* data;
    std::vector<std::byte> content;  // while it is under way
};
/// Messages that have begun, from one rank to another.
struct Way {
    std::deque<Part> sent, awaited;
};
struct Clique {
    int size;
    int joined = 0;
    bool broken = false;
    std::map<int, ncclComm_t> members;
    std::map<std::pair<int, int>, Way> ways;
};
struct Group {
    int depth = 0;
    std::vector<Part> parts;
};
thread_local Group group;

}  // namespace

struct ncclComm {
    std::shared_ptr<Clique> clique;
    int rank = 0;
    ncclResult_t failure = ncclSuccess;
    std::string words;
    std::uint32_t polls = 0;  // until the parts are queued
    std::vector<Part> parts;
    bool finalized = false;
};

namespace {

using emulation::Device;

struct World {
    std::map<std::string, std::shared_ptr<Clique>> cliques;  // by id
    std::vector<std::unique_ptr<ncclComm>> communicators;
    std::vector<emulation::NcclCall> calls;
    std::optional<emulation::NcclFault> planted;
    bool happened = false;
    unsigned ids = 0;
};

/// Guarded by the device's mutex.
World& world() {
    static World one;
    return one;
}

void finish(Device& device, const Part& part) {
    if (--part.set->left > 0) return;
    part.set->delivered->done = true;
    --device.awaited;
}

void break_clique(Device& device, Clique& clique, const ncclComm* communicator, ncclResult_t result) {
    clique.broken = true;
    for (const auto& [rank, member] : clique.members)
        if (member->failure == ncclSuccess) {
            member->failure = member == communicator ? result : ncclRemoteError;
            member->words = member == communicator ? "planted\nfailure" : "";
            member->parts.clear();
        }
    for (auto& [ends, way] : clique.ways)
        for (std::deque<Part>* const parts : {&way.sent, &way.awaited}) {
            for (const Part& part : *parts) finish(device, part);
            parts->clear();
        }
}

/// The failure of one rank, which may be null, is seen by all, also where another communicator joins them, since its
/// process ends. Nothing waits for messages any more.
void fail(Device& device, Clique& clique, const ncclComm* communicator, ncclResult_t result) {
    break_clique(device, clique, communicator, result);
    for (const auto& [id, other] : world().cliques)
        if (other.get() != &clique) break_clique(device, *other, communicator, result);
}

std::string ends(int from, int to) {
    return "message from rank " + std::to_string(from) + " to rank " + std::to_string(to) + ": ";
}

void deliver(Device& device, int from, int to, Way& way) {
    while (!way.sent.empty() && !way.awaited.empty()) {
        const Part &out = way.sent.front(), &in = way.awaited.front();
        const std::size_t bytes = out.content.size();
        if (bytes != in.content.size())
            device.fault(ends(from, to) + std::to_string(bytes) + " bytes sent, " + std::to_string(in.content.size()) +
                         " awaited");
        else if (!device.memory.contains(out.data, bytes) || !device.memory.contains(in.data, bytes))
            device.fault(ends(from, to) + "memory was freed", cudaErrorIllegalAddress);
        else if (std::memcmp(out.data, out.content.data(), bytes) != 0)
            device.fault(ends(from, to) + "written while it was sent");
        else if (std::memcmp(in.data, in.content.data(), bytes) != 0)
            device.fault(ends(from, to) + "written where it arrives");
        else
            std::memcpy(in.data, out.content.data(), bytes);
        finish(device, out);
        finish(device, in);
        way.sent.pop_front();
        way.awaited.pop_front();
    }
}

/// The device has come to a set.
void begin(Device& device, std::vector<Part>& parts) {
    ncclComm& communicator = *parts.front().set->communicator;
    for (Part& part : parts) {
        if (communicator.failure != ncclSuccess || device.sticky != cudaSuccess ||
            !device.memory.contains(part.data, part.content.size())) {
            if (communicator.failure == ncclSuccess && device.sticky == cudaSuccess)
                device.fault("message of rank " + std::to_string(communicator.rank) + ": not in the device's memory",
                             cudaErrorIllegalAddress);
            finish(device, part);
            continue;
        }
        if (part.sends)
            std::memcpy(part.content.data(), part.data, part.content.size());
        else
            std::memset(part.data, poison, part.content.size());
        const int from = part.sends ? communicator.rank : part.peer, to = part.sends ? part.peer : communicator.rank;
        Way& way = communicator.clique->ways[{from, to}];
        (part.sends ? way.sent : way.awaited).push_back(std::move(part));
        deliver(device, from, to, way);
    }
}

void queue(Device& device, ncclComm& communicator) {
    if (communicator.parts.empty()) return;
    const std::shared_ptr<Set> set = communicator.parts.front().set;
    if (!device.queue.knows(set->stream) || !set->stream || set->stream->capture) {
        device.fault("messages in a stream that is captured, gone, or the null stream");
        communicator.parts.clear();
        return;
    }
    ++device.awaited;
    auto parts = std::make_shared<std::vector<Part>>(std::move(communicator.parts));
    communicator.parts.clear();
    device.queue.put(*set->stream, {[&device, parts] { begin(device, *parts); }, nullptr, nullptr, nullptr});
    device.queue.put(*set->stream, {nullptr, nullptr, set->delivered, nullptr});
}

/// A call of the interface, one at a time: written down, and failing where that was planted. `communicator` may be
/// null.
template <typename F>
ncclResult_t nccl_call(const emulation::NcclCall& made, ncclComm_t communicator, F f) {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    World& all = world();
    all.calls.push_back(made);
    if (communicator && communicator->failure != ncclSuccess) return communicator->failure;
    if (communicator && (communicator->polls > 0 || communicator->finalized)) {
        device.fault(made.name + " of rank " + std::to_string(made.rank) + " before the communicator was polled");
        return ncclInvalidArgument;
    }
    bool later = false;
    if (all.planted && !all.happened && made.name == all.planted->name &&
        (made.rank < 0 || made.rank == all.planted->rank) && all.planted->calls-- == 0) {
        all.happened = true;
        later = all.planted->asynchronous;
        if (!later && communicator) fail(device, *communicator->clique, communicator, all.planted->result);
        if (!later) return all.planted->result;
    }
    const ncclResult_t result = f(device);
    if (later && communicator) {
        fail(device, *communicator->clique, communicator, all.planted->result);
        return ncclInProgress;
    }
    return result;
}

ncclResult_t add(const char* name, bool sends, void* data, std::size_t bytes, ncclDataType_t type, int peer,
                 ncclComm_t communicator, cudaStream_t stream) {
    return nccl_call({name, communicator->rank, peer, bytes, stream}, communicator, [&](Device& device) {
        if (group.depth == 0 || type != ncclUint8 || bytes == 0 || peer < 0 || peer >= communicator->clique->size ||
            peer == communicator->rank) {
            device.fault(std::string(name) + " outside a group, of nothing, or to no rank");
            return ncclInvalidUsage;
        }
        const auto set =
            group.parts.empty() ? std::make_shared<Set>(Set{communicator, stream, 0}) : group.parts.front().set;
        if (set->communicator != communicator || set->stream != stream) return ncclInvalidUsage;
        ++set->left;
        group.parts.push_back({set, sends, peer, data, std::vector<std::byte>(bytes, static_cast<std::byte>(poison))});
        return ncclSuccess;
    });
}

}  // namespace

namespace emulation {

std::vector<NcclCall> take_nccl_calls() {
    const std::lock_guard lock(Device::instance().mutex);
    return std::exchange(world().calls, {});
}
void plant_nccl_fault(const NcclFault& fault) {
    const std::lock_guard lock(Device::instance().mutex);
    world().planted = fault;
    world().happened = false;
}
bool nccl_fault_happened() {
    const std::lock_guard lock(Device::instance().mutex);
    return world().happened;
}
void reset_nccl() {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    group = {};
    device.run_all();
    world() = {};
    device.awaited = 0;
}

}  // namespace emulation

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    return nccl_call({"ncclGetUniqueId"}, nullptr, [&](Device&) {
        std::memset(id->internal, 0, sizeof id->internal);
        std::strcpy(id->internal, ("clique " + std::to_string(++world().ids)).c_str());
        return ncclSuccess;
    });
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* configuration) {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    std::shared_ptr<Clique>& clique = world().cliques[id.internal];
    if (!clique) clique = std::make_shared<Clique>(Clique{ranks, 0, false, {}, {}});
    *communicator = nullptr;
    const ncclResult_t result = nccl_call({"ncclCommInitRankConfig", rank}, nullptr, [&](Device&) {
        if (configuration->blocking != 0 || clique->size != ranks || rank < 0 || rank >= ranks ||
            clique->members.count(rank) != 0) {
            device.fault("a communicator that blocks, or whose ranks are not one each");
            return ncclInvalidArgument;
        }
        auto made = std::make_unique<ncclComm>();
        made->clique = clique;
        made->rank = rank;
        made->polls = 1;
        made->failure = clique->broken ? ncclRemoteError : ncclSuccess;
        clique->members[rank] = *communicator = made.get();
        ++clique->joined;
        world().communicators.push_back(std::move(made));
        return ncclInProgress;
    });
    const std::optional<emulation::NcclFault>& planted = world().planted;
    if (world().happened && planted->name == "ncclCommInitRankConfig" && planted->rank == rank)
        fail(device, *clique, *communicator, planted->result);
    return result;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* state) {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    const bool met = communicator->clique->joined == communicator->clique->size;
    if (met && communicator->polls > 0) --communicator->polls;
    *state = communicator->failure != ncclSuccess ? communicator->failure
             : communicator->polls > 0            ? ncclInProgress
                                                  : ncclSuccess;
    if (*state == ncclSuccess) queue(device, *communicator);
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t communicator) {
    return nccl_call({"ncclCommFinalize", communicator->rank}, communicator, [&](Device& device) {
        communicator->finalized = true;
        communicator->polls = device.dice.below(most_polls);
        return ncclInProgress;
    });
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
    Device& device = Device::instance();
    const std::lock_guard lock(device.mutex);
    world().calls.push_back({"ncclCommDestroy", communicator->rank});
    communicator->clique->members.erase(communicator->rank);
    std::erase_if(world().communicators, [communicator](const auto& c) { return c.get() == communicator; });
    return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
    return nccl_call({"ncclGroupStart"}, nullptr, [](Device& device) {
        if (group.depth++ > 0) device.fault("a group of messages in a group");
        return ncclSuccess;
    });
}

ncclResult_t ncclGroupEnd() {
    const ncclComm_t communicator = group.parts.empty() ? nullptr : group.parts.front().set->communicator;
    return nccl_call({"ncclGroupEnd", communicator ? communicator->rank : -1}, communicator, [&](Device& device) {
        if (group.depth-- == 0 || !communicator) {
            device.fault("the end of a group that did not begin, or is empty");
            group = {};
            return ncclInvalidUsage;
        }
        communicator->parts = std::exchange(group.parts, {});
        communicator->polls = device.dice.below(most_polls);
        if (communicator->polls == 0) queue(device, *communicator);
        return communicator->polls == 0 ? ncclSuccess : ncclInProgress;
    });
}

ncclResult_t ncclSend(const void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t communicator,
                      cudaStream_t stream) {
    return add("ncclSend", true, const_cast<void*>(data), count, type, peer, communicator, stream);
}
ncclResult_t ncclRecv(void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t communicator,
                      cudaStream_t stream) {
    return add("ncclRecv", false, data, count, type, peer, communicator, stream);
}

const char* ncclGetErrorString(ncclResult_t result) {
    switch (result) {
        case ncclSuccess:
            return "no error";
        case ncclUnhandledCudaError:
            return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
        case ncclSystemError:
            return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
        case ncclInternalError:
            return "internal error";
        case ncclInvalidArgument:
            return "invalid argument";
        case ncclInvalidUsage:
            return "invalid usage";
        case ncclRemoteError:
            return "remote process exited or there was a network error";
        case ncclInProgress:
            return "NCCL operation in progress";
    }
    return "unknown result code";
}
const char* ncclGetLastError(ncclComm_t communicator) {
    const std::lock_guard lock(Device::instance().mutex);
    return communicator->words.c_str();
}
