// Ranks as threads: every byte of random schedules, counters, collectives with the same bits on all ranks, and the end
// of all waits when a rank fails. The thread sanitizer build runs it too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "host/transport/local.hpp"
#include "pdadmm/error.hpp"
#include "tests/ranks/message_schedule.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

namespace pdadmm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class LocalRanks : public testing::TestWithParam<int> {
protected:
    Deadline deadline_{120};
};
INSTANTIATE_TEST_SUITE_P(Ranks, LocalRanks, testing::Values(1, 2, 3, 5, 10));

TEST_P(LocalRanks, DeliverEveryByteAndCountIt) {
    PDADMM_SEEDED();
    auto schedule = make_schedule(seed, GetParam(), 8, std::size_t{1} << 20);
    const auto small = make_schedule(seed + 1, GetParam(), 60, 2000);
    schedule.insert(schedule.end(), small.begin(), small.end());
    std::mutex mutex;
    std::vector<std::string> problems;
    run_local_ranks(GetParam(), [&](LocalRank& rank) {
        const std::string problem = play_schedule(rank.transport, seed, schedule);
        const std::lock_guard lock(mutex);
        if (!problem.empty()) problems.push_back(problem);
    });
    EXPECT_THAT(problems, testing::IsEmpty());
}

TEST_P(LocalRanks, IterationTrafficEqualsTheFormula) {
    const std::size_t p_bytes = 999, q_bytes = 1234;
    const std::uint64_t iterations = 25;
    run_local_ranks(GetParam(), [&](LocalRank& rank) {
        Transport& t = rank.transport;
        const bool below = t.rank() > 0, above = t.rank() + 1 < t.size();
        std::vector<std::byte> p_out(p_bytes), p_in(p_bytes), q_out(q_bytes), q_in(q_bytes);
        for (std::uint64_t k = 0; k < iterations; ++k) {
            std::vector<Message> p, q;
            if (below) p.push_back(Message::send(t.rank() - 1, p_out.data(), p_bytes));
            if (above) p.push_back(Message::receive(t.rank() + 1, p_in.data(), p_bytes));
            if (above) q.push_back(Message::send(t.rank() + 1, q_out.data(), q_bytes));
            if (below) q.push_back(Message::receive(t.rank() - 1, q_in.data(), q_bytes));
            t.exchange(p);
            t.exchange(q);
        }
        const std::uint64_t borders = (below ? 1u : 0u) + (above ? 1u : 0u);
        EXPECT_EQ(t.traffic(Direction::send).messages, iterations * borders);
        EXPECT_EQ(t.traffic(Direction::receive).messages, iterations * borders);
        EXPECT_EQ(t.traffic(Direction::send).bytes, iterations * ((below ? p_bytes : 0) + (above ? q_bytes : 0)));
        EXPECT_EQ(t.traffic(Direction::receive).bytes, iterations * ((above ? p_bytes : 0) + (below ? q_bytes : 0)));
        if (below) {
            EXPECT_EQ(t.traffic(t.rank() - 1, Direction::send).bytes, iterations * p_bytes);
        }
    });
}

TEST_P(LocalRanks, CollectivesGiveTheSameBitsInRankOrder) {
    const int ranks = GetParam();
    const double odd_nan = std::bit_cast<double>(std::uint64_t{0x7ff80000deadbeefu});
    run_local_ranks(ranks, [&](LocalRank& rank) {
        Control& control = rank.control;
        for (int round = 0; round < 50; ++round) {
            std::vector<double> own, expected;
            for (int k = 0; k < ranks; ++k)
                for (int layer = 0; layer < (k + round) % 4; ++layer) {  // some ranks hold no layer
                    const double value = layer == 2 ? odd_nan : 1.0 / (1 + k + 100 * layer + round);
                    expected.push_back(value);
                    if (k == control.rank()) own.push_back(value);
                }
            const std::vector<double> all = control.gather(own);
            ASSERT_EQ(all.size(), expected.size());
            EXPECT_TRUE(all.empty() || std::memcmp(all.data(), expected.data(), all.size() * sizeof(double)) == 0);
            EXPECT_EQ(control.max(control.rank() * (round % 2 ? 1 : -1)), round % 2 ? ranks - 1 : 0);
            const int root = round % ranks;
            const auto word = static_cast<std::byte>(root + 1);
            const auto bytes = control.broadcast(
                std::vector<std::byte>(control.rank() == root ? static_cast<std::size_t>(round) : 3, word), root);
            EXPECT_EQ(bytes, std::vector<std::byte>(static_cast<std::size_t>(round), word));
            control.barrier();
        }
    });
}

TEST_P(LocalRanks, StopReachesAllWithTheSameCollective) {
    const int ranks = GetParam();
    run_local_ranks(ranks, [&](LocalRank& rank) {
        for (int step = 0; step < 20; ++step) {
            if (step == 7 && rank.control.rank() == ranks / 2) rank.control.request_stop(15);
            rank.control.barrier();
            EXPECT_EQ(rank.control.stop(), step >= 7 ? 15 : 0) << step;
        }
    });
}

TEST_P(LocalRanks, DisagreementNamesKeyValuesAndRanks) {
    const int ranks = GetParam();
    if (ranks == 1) return;
    std::mutex mutex;
    std::vector<std::string> texts;
    const auto agree = [&](LocalRank& rank) {
        const Control::Entry entries[] = {{"build", "a"}, {"rho", rank.control.rank() == ranks - 1 ? "2" : "1"}};
        try {
            rank.control.agree(entries);
        } catch (const UsageError& error) {
            const std::lock_guard lock(mutex);
            texts.push_back(error.what());
            throw;
        }
    };
    EXPECT_THROW(run_local_ranks(ranks, agree), UsageError);
    ASSERT_EQ(texts.size(), static_cast<std::size_t>(ranks));
    for (const std::string& text : texts)
        EXPECT_THAT(text, StartsWith("rho: '1' on rank 0 and '2' on rank " + std::to_string(ranks - 1)));
}

TEST_P(LocalRanks, FailureEndsEveryWaitAtOnce) {
    const int ranks = GetParam();
    for (const bool in_collective : {false, true})
        for (int bad = 0; bad < ranks; ++bad) {
            std::atomic<int> told{0};
            const auto begin = std::chrono::steady_clock::now();
            try {
                run_local_ranks(ranks, [&](LocalRank& rank) {
                    const int me = rank.transport.rank();
                    if (me == bad) {
                        std::this_thread::sleep_for(std::chrono::milliseconds(5));
                        throw DataError("graph.npz: broken");
                    }
                    try {
                        std::byte byte{};
                        const Message waits[] = {Message::receive(bad, &byte, 1)};
                        if (in_collective)
                            rank.control.barrier();
                        else
                            rank.transport.exchange(waits);
                        ADD_FAILURE() << "rank " << me << " was not told";
                    } catch (const PeerError& error) {
                        EXPECT_EQ(error.what(), "rank " + std::to_string(bad) + ": graph.npz: broken");
                        ++told;
                        throw;
                    }
                });
                ADD_FAILURE() << "no exception";
            } catch (const DataError& error) {  // the first one, not what it made of the others
                EXPECT_STREQ(error.what(), "graph.npz: broken");
            }
            EXPECT_EQ(told, ranks - 1);
            EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
        }
}

std::string failure_of(int ranks, const std::function<void(LocalRank&)>& body) {
    try {
        run_local_ranks(ranks, body);
    } catch (const PeerError& error) {
        EXPECT_EQ(error.code(), ExitCode::peer);
        return error.what();
    }
    return "";
}

TEST(LocalTransport, SizesThatDisagreeAreAPeerErrorAtBothEnds) {
    const Deadline deadline(120);
    for (const std::size_t sent : {0u, 99u, 101u}) {
        std::atomic<int> told{0};
        const std::string text = failure_of(3, [&](LocalRank& rank) {
            std::vector<std::byte> bytes(200, std::byte{7});
            const Message out[] = {Message::send(1, bytes.data(), sent)},
                          in[] = {Message::receive(2, bytes.data(), 100)};
            try {
                if (rank.transport.rank() == 2) rank.transport.exchange(out);
                if (rank.transport.rank() == 1) rank.transport.exchange(in);
                if (rank.transport.rank() != 0) ADD_FAILURE() << "not noticed";
            } catch (const PeerError&) {
                EXPECT_EQ(bytes, std::vector<std::byte>(200, std::byte{7}));
                ++told;
                throw;
            }
        });
        EXPECT_THAT(text, StartsWith("rank 2: sent " + std::to_string(sent) + " bytes to rank 1, expected 100"));
        EXPECT_EQ(told, 2);
    }
}

TEST(LocalTransport, ARankThatEndedIsNotWaitedFor) {
    const Deadline deadline(120);
    const std::string text = failure_of(2, [](LocalRank& rank) {
        std::byte byte{};
        const Message in[] = {Message::receive(0, &byte, 1)};
        if (rank.transport.rank() == 1) rank.transport.exchange(in);
    });
    EXPECT_THAT(text, HasSubstr("rank 0: has ended"));
}

TEST(LocalTransport, DifferentCollectivesAreNoticed) {
    const Deadline deadline(120);
    const std::string text = failure_of(3, [](LocalRank& rank) {
        if (rank.control.rank() == 1)
            rank.control.max(1);
        else
            rank.control.barrier();
    });
    EXPECT_THAT(text, HasSubstr("expected the same work on every rank"));
}

TEST(LocalTransport, MemoryOfABackendIsReachedThroughItsFunctions) {
    const Deadline deadline(120);
    std::atomic<int> settled{0}, copied{0};
    run_local_ranks(2, [&](LocalRank& rank) {
        rank.transport.use_memory({[&] { ++settled; },
                                   [&](const void* from, void* to, std::size_t bytes) {
                                       for (std::size_t i = 0; i < bytes; ++i)
                                           static_cast<char*>(to)[i] =
                                               static_cast<char>(static_cast<const char*>(from)[i] + 1);
                                       ++copied;
                                   }});
        std::string text = rank.transport.rank() == 0 ? "abc" : "...";
        const Message one[] = {rank.transport.rank() == 0 ? Message::send(1, text.data(), 3)
                                                          : Message::receive(0, text.data(), 3)};
        rank.transport.exchange(one);
        EXPECT_EQ(text, rank.transport.rank() == 0 ? "abc" : "bcd");
    });
    EXPECT_EQ(settled, 2);
    EXPECT_EQ(copied, 1);
}

TEST(LocalTransport, ScheduleFindsAPlantedWrongByte) {
    PDADMM_SEEDED();
    const Deadline deadline(120);
    const auto schedule = make_schedule(seed, 2, 10, 1000);
    std::atomic<int> found{0};
    const auto play = [&](LocalRank& rank) {
        rank.transport.use_memory({{}, [](const void* from, void* to, std::size_t bytes) {
                                       std::memcpy(to, from, bytes);
                                       static_cast<unsigned char*>(to)[bytes / 2] ^= 1;
                                   }});
        if (play_schedule(rank.transport, seed, schedule).empty()) return;
        ++found;
        throw PeerError("found");  // the other rank need not play to the end
    };
    EXPECT_THROW(run_local_ranks(2, play), PeerError);
    EXPECT_GE(found, 1);
}

TEST(LocalTransport, MisuseIsAnInternalError) {
    const auto ranks = make_local_ranks(2);
    LocalTransport& transport = ranks[0]->transport;
    std::byte byte{};
    for (const Message& wrong : {Message::send(0, &byte, 1), Message::send(2, &byte, 1), Message::receive(-1, &byte, 1),
                                 Message::send(1, nullptr, 1)})
        EXPECT_THROW(transport.start({&wrong, 1}), Error);
    EXPECT_NO_THROW(transport.finish());
    const Message good = Message::send(1, &byte, 1);
    transport.start({&good, 1});
    EXPECT_THROW(transport.start({&good, 1}), Error);
    EXPECT_THROW(transport.traffic(2, Direction::send), Error);
}

}  // namespace
}  // namespace pdadmm
