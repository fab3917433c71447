// The NCCL transport without a GPU: on the emulated device, with an NCCL that stands in (tests/emulation/nccl.cpp) and
// ranks that are threads. Whole runs of the solver on it, and on local transports between CUDA backends, have the bits
// of one rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <emulation/hooks.hpp>
#include <emulation/nccl_hooks.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "tests/ranks/device_ranks.hpp"
#include "tests/ranks/host_messages.hpp"
#include "tests/ranks/message_schedule.hpp"
#include "tests/support/backend_memory.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

namespace {

class NcclTransport : public testing::Test {
protected:
    void TearDown() override {
        emulation::reset_nccl();
        EXPECT_THAT(emulation::take_faults(), IsEmpty());
        emulation::clear_errors();
    }
    Deadline deadline_{300};
};

TEST_F(NcclTransport, DeliversEveryByteAndCountsIt) {
    PDADMM_SEEDED();
    for (const int ranks : {1, 2, 3, 5}) {
        auto schedule = make_schedule(seed, ranks, 4, std::size_t{1} << 18);
        const auto small = make_schedule(seed + 1, ranks, 40, 2000);
        schedule.insert(schedule.end(), small.begin(), small.end());
        std::mutex mutex;
        std::vector<std::string> problems;
        run_device_ranks(ranks, [&](DeviceRank& rank) {
            HostMessages messages(rank.transport, rank.backend);
            const std::string problem = play_schedule(messages, seed, schedule);
            const std::lock_guard lock(mutex);
            if (!problem.empty()) problems.push_back(problem);
            for (int peer = 0; peer < ranks; ++peer)
                for (const Direction way : {Direction::send, Direction::receive}) {
                    EXPECT_EQ(rank.transport.traffic(peer, way).messages, messages.traffic(peer, way).messages);
                    EXPECT_EQ(rank.transport.traffic(peer, way).bytes, messages.traffic(peer, way).bytes);
                }
        });
        EXPECT_THAT(problems, IsEmpty()) << ranks << " ranks";
    }
}

TEST_F(NcclTransport, APhaseIsOneGroupOnOneStreamWithoutEmptyMessages) {
    run_device_ranks(2, [&](DeviceRank& rank) {
        const int peer = 1 - rank.rank();
        const Buffer<std::byte> out(rank.backend, 100), in(rank.backend, 107);
        const Message all[] = {Message::send(peer, out.data(), 100), Message::receive(peer, in.data(), 100),
                               Message::send(peer, nullptr, 0),      Message::receive(peer, nullptr, 0),
                               Message::send(peer, out.data(), 7),   Message::receive(peer, in.data() + 100, 7)};
        const Message empty[] = {Message::send(peer, nullptr, 0), Message::receive(peer, nullptr, 0)};
        rank.control.barrier();
        if (rank.rank() == 0) emulation::take_nccl_calls();
        rank.control.barrier();
        rank.transport.exchange(all);
        rank.transport.exchange(empty);
        rank.control.barrier();
        EXPECT_EQ(rank.transport.traffic(Direction::send).messages, 4u);
        EXPECT_EQ(rank.transport.traffic(Direction::receive).bytes, 107u);
        if (rank.rank() == 0) {
            std::vector<std::string> calls[2];
            std::set<cudaStream_t> streams[2];
            int groups = 0;
            for (const emulation::NcclCall& call : emulation::take_nccl_calls()) {
                if (call.rank < 0) groups += call.name == "ncclGroupStart";
                if (call.rank < 0) continue;
                calls[call.rank].push_back(call.name + " " + std::to_string(call.bytes));
                if (call.stream) streams[call.rank].insert(call.stream);
            }
            EXPECT_EQ(groups, 2);
            for (const auto& of_rank : calls)
                EXPECT_THAT(of_rank, testing::ElementsAre("ncclSend 100", "ncclRecv 100", "ncclSend 7", "ncclRecv 7",
                                                          "ncclGroupEnd 0"));
            EXPECT_EQ(streams[0].size(), 1u);
            EXPECT_EQ(streams[1].size(), 1u);
        }
        rank.control.barrier();
    });
}

// Sent values come from work that is only queued, are overwritten by work queued after finish(), and are read there.
TEST_F(NcclTransport, MessagesAreOrderedWithTheBackendsWork) {
    constexpr int trials = 60;
    constexpr Index count = 500;
    run_device_ranks(2, [&](DeviceRank& rank) {
        const int peer = 1 - rank.rank();
        const Buffer<real> out(rank.backend, count), in(rank.backend, count), seen(rank.backend, count);
        const auto all = [count](const Buffer<real>& b) { return Mat{b.data(), count, 1, count}; };
        for (int trial = 0; trial < trials; ++trial) {
            rank.backend.fill(all(out), static_cast<real>(2 * trial + rank.rank()));
            const Message messages[] = {Message::send(peer, out.data(), count * sizeof(real)),
                                        Message::receive(peer, in.data(), count * sizeof(real))};
            rank.transport.start(messages);
            rank.backend.fill(all(seen), 0);  // work beside the messages
            rank.transport.finish();
            rank.backend.fill(all(out), -1);
            rank.backend.copy(all(in), all(seen));
            rank.backend.fill(all(in), -1);  // the next message comes after this
            ASSERT_EQ(seen.download(), std::vector<real>(count, static_cast<real>(2 * trial + peer))) << trial;
        }
    });
}

TEST_F(NcclTransport, TheHostDoesNotWaitForAMessage) {
    run_device_ranks(2, [&](DeviceRank& rank) {
        const Buffer<std::byte> one(rank.backend, std::vector<std::byte>(64, std::byte(rank.rank())));
        const Message out[] = {Message::send(1, one.data(), 64)}, in[] = {Message::receive(0, one.data(), 64)};
        if (rank.rank() == 0) rank.control.barrier();
        rank.transport.exchange(rank.rank() == 0 ? std::span(out)
                                                 : std::span(in));  // rank 1's returns before rank 0's begins
        if (rank.rank() == 1) rank.control.barrier();
        EXPECT_EQ(one.download(), std::vector<std::byte>(64));
    });
}

TEST_F(NcclTransport, MessagesInARecordedPhaseAreRefused) {
    run_device_ranks(2, [&](DeviceRank& rank) {
        const int peer = 1 - rank.rank();
        const Buffer<std::byte> one(rank.backend, 64);
        const Message empty[] = {Message::send(peer, nullptr, 0), Message::receive(peer, nullptr, 0)};
        const auto phase = rank.backend.record([&] { rank.transport.exchange(empty); });
        phase->run();
        try {
            phase->run();
            ADD_FAILURE() << "not noticed";
        } catch (const Error& error) {
            EXPECT_STREQ(error.what(), "nccl: messages in a recorded phase");
        }
    });
}

/// The PeerErrors of all ranks, which must end.
std::vector<std::string> failures_of(int ranks, const std::function<void(DeviceRank&)>& body) {
    std::vector<std::string> lines;
    EXPECT_THROW(run_device_ranks(ranks, body, &lines), PeerError);
    return lines;
}

void exchange_some(DeviceRank& rank, int times) {
    const int ranks = rank.control.size(), right = rank.rank() + 1, left = rank.rank() - 1;
    const Buffer<std::byte> out(rank.backend, 300), in(rank.backend, 300);
    std::vector<Message> messages;
    if (right < ranks) messages.push_back(Message::send(right, out.data(), 300));
    if (left >= 0) messages.push_back(Message::receive(left, in.data(), 300));
    for (int k = 0; k < times; ++k) rank.transport.exchange(messages);
    in.download();
}

TEST_F(NcclTransport, EveryCallThatFailsIsOneLineWithRankCallAndWords) {
    struct Case {
        std::string call;
        int calls, rank;
        ncclResult_t result;
        bool later;
    };
    for (const Case& c :
         {Case{"ncclGetUniqueId", 0, 0, ncclSystemError, false},
          Case{"ncclCommInitRankConfig", 0, 1, ncclInvalidUsage, false},
          Case{"ncclSend", 2, 1, ncclUnhandledCudaError, false}, Case{"ncclRecv", 0, 2, ncclInternalError, false},
          Case{"ncclGroupEnd", 3, 1, ncclRemoteError, false},
          Case{"ncclCommInitRankConfig", 0, 2, ncclSystemError, true}, Case{"ncclSend", 0, 0, ncclSystemError, true},
          Case{"ncclGroupEnd", 2, 1, ncclRemoteError, true}}) {
        SCOPED_TRACE(c.call + (c.later ? ", later" : ""));
        emulation::plant_nccl_fault({c.call, c.rank, c.calls, c.result, c.later});
        const std::vector<std::string> lines = failures_of(3, [](DeviceRank& rank) { exchange_some(rank, 5); });
        EXPECT_TRUE(emulation::nccl_fault_happened());
        for (const std::string& line : lines)
            EXPECT_THAT(
                line, AllOf(StartsWith("rank "), HasSubstr(", expected NCCL to reach all ranks; restart with --resume"),
                            Not(HasSubstr("\n"))));
        const std::string& own = lines[static_cast<std::size_t>(c.rank)];
        EXPECT_THAT(own, AllOf(StartsWith("rank " + std::to_string(c.rank) + ": nccl"),
                               HasSubstr(ncclGetErrorString(c.result))));
        EXPECT_THAT(own, HasSubstr(c.later ? "planted failure" : ": " + c.call + ": "));
        emulation::reset_nccl();
    }
}

// A failure that comes when nothing is under way is found by the next messages, were they empty.
TEST_F(NcclTransport, AFailureBetweenMessagesIsFoundByTheNext) {
    emulation::plant_nccl_fault({"ncclGroupEnd", 0, 1, ncclSystemError, true});
    const std::vector<std::string> lines = failures_of(2, [](DeviceRank& rank) {
        const Buffer<std::byte> one(rank.backend, 64);
        const Message out[] = {Message::send(1, one.data(), 64)}, in[] = {Message::receive(0, one.data(), 64)},
                      empty[] = {Message::receive(0, nullptr, 0)};
        rank.transport.exchange(rank.rank() == 0 ? std::span(out) : std::span(in));
        rank.control.barrier();
        if (rank.rank() == 0) rank.transport.exchange(out);
        while (!emulation::nccl_fault_happened()) std::this_thread::yield();
        rank.transport.exchange(empty);
    });
    EXPECT_THAT(lines[0], AllOf(StartsWith("rank 0: ncclGroupEnd: "), HasSubstr(ncclGetErrorString(ncclSystemError))));
    EXPECT_THAT(lines[1],
                AllOf(StartsWith("rank 1: an earlier message: "), HasSubstr(ncclGetErrorString(ncclRemoteError))));
}

TEST_F(NcclTransport, TheOtherRanksAndTheHandlerHearOfAFailure) {
    emulation::plant_nccl_fault({"ncclSend", 0, 0, ncclSystemError, false});
    std::mutex mutex;
    std::vector<std::string> handled, thrown(2);
    EXPECT_THROW(run_local_ranks(2,
                                 [&](LocalRank& rank) {
                                     const int me = rank.control.rank();
                                     const auto backend = make_backend("cuda", {});
                                     const auto transport =
                                         make_nccl(*backend, rank.control, [&](const PeerFailure& failure) {
                                             const std::lock_guard lock(mutex);
                                             handled.push_back(failure.line);
                                         });
                                     rank.control.barrier();
                                     const Buffer<std::byte> one(*backend, 8);
                                     const Message out[] = {Message::send(1, one.data(), 8)};
                                     try {
                                         if (me == 0) transport->exchange(out);
                                         rank.control.barrier();
                                     } catch (const PeerError& error) {
                                         thrown[static_cast<std::size_t>(me)] = error.what();
                                         throw;
                                     }
                                 }),
                 PeerError);
    ASSERT_EQ(handled.size(), 1u);
    EXPECT_THAT(handled[0], StartsWith("rank 0: ncclSend: unhandled system error"));
    EXPECT_EQ(thrown, std::vector<std::string>(2, handled[0]));
}

TEST_F(NcclTransport, AnotherBackendIsRefused) {
    const auto control = make_lone_control();
    const auto backend = make_backend("cpu", {});
    try {
        make_nccl(*backend, *control);
        ADD_FAILURE() << "not refused";
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(), "--transport nccl: backend cpu, expected cuda; use --transport local or mpi");
    }
    EXPECT_TRUE(nccl_built());
}

// PDADMM_TEST_ALL: more codecs and the whole growth, minutes on an emulated device.
TEST_F(NcclTransport, RunsHaveTheBitsOfOneRank) {
    PDADMM_SEEDED();
    ::setenv("PDADMM_TEST_BACKEND", "cuda", 1);
    const bool all = std::getenv("PDADMM_TEST_ALL") != nullptr;
    std::vector<RunSpec> specs = ranked_specs(seed);
    if (!all) specs = {specs[0], specs[2]};  // unquantised, and p and q by difference
    for (RunSpec& spec : specs) {
        if (!all)
            spec.options.stages = {{2, 2, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                                   {4, 3, 0.02, 0.01, 1e-3, ZInit::carry, LastInit::carry}};
        const Trace whole = finish_run(spec, 1, 0);
        for (const int ranks : {2, 3})
            EXPECT_EQ(difference_of_ranks(whole, finish_run_over_nccl(spec, ranks)), "")
                << spec.name << ", nccl, " << ranks << " ranks";
        EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, 3)), "") << spec.name << ", local";
    }
}

}  // namespace
