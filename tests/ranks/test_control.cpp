// The control channel between threads over real sockets: collectives, agreement, stop, clean ends, and each way to
// fail. Processes that die or are stopped are in test_control_processes.cpp, meetings in test_meeting.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "pdadmm/error.hpp"
#include "tests/ranks/control_case.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

namespace pdadmm {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

class ControlRanks : public testing::TestWithParam<int> {
protected:
    Deadline deadline_{120};
};
INSTANTIATE_TEST_SUITE_P(Ranks, ControlRanks, testing::Values(1, 2, 3, 5));

TEST_P(ControlRanks, CollectivesGiveTheSameBitsInRankOrder) {
    const int ranks = GetParam();
    const double odd_nan = std::bit_cast<double>(std::uint64_t{0x7ff80000deadbeefu});
    const auto thrown = run_ranks(ranks, quick_options(), [&](Control& control) {
        for (int round = 0; round < 30; ++round) {
            std::vector<double> own, expected;
            for (int k = 0; k < ranks; ++k)
                for (int layer = 0; layer < (k + round) % 4; ++layer) {
                    const double value = layer == 2 ? odd_nan : 1.0 / (1 + k + 100 * layer + round);
                    expected.push_back(value);
                    if (k == control.rank()) own.push_back(value);
                }
            const std::vector<double> all = control.gather(own);
            ASSERT_EQ(all.size(), expected.size());
            EXPECT_TRUE(all.empty() || std::memcmp(all.data(), expected.data(), all.size() * sizeof(double)) == 0);
            EXPECT_EQ(control.max(control.rank() * (round % 2 ? 1 : -1)), round % 2 ? ranks - 1 : 0);
            const int root = round % ranks;
            const std::vector<std::byte> word(
                static_cast<std::size_t>(round * 20000),
                static_cast<std::byte>(root + 1));  // also larger than a socket takes at once
            EXPECT_EQ(control.broadcast(control.rank() == root ? word : std::vector<std::byte>(), root), word);
            if (round == 10 && control.rank() == ranks - 1) control.request_stop(15);
            control.barrier();
            EXPECT_EQ(control.stop(), round >= 10 ? 15 : 0);
        }
        const Control::Entry entries[] = {{"build", "a"}, {"rho", "1"}};
        control.agree(entries);
        control.close();
        control.close();
    });
    EXPECT_THAT(thrown, Each(""));
}

TEST_P(ControlRanks, CleanEndIsNoFailure) {
    PDADMM_SEEDED();
    std::atomic<int> failures{0};
    ControlOptions options = quick_options();
    options.on_failure = [&](const PeerFailure& failure) {
        ADD_FAILURE() << failure.line;
        ++failures;
    };
    for (int run = 0; run < 20; ++run) {
        const auto thrown = run_ranks(GetParam(), options, [&](Control& control) {
            const std::uint64_t bits = (seed + static_cast<std::uint64_t>(run)) * 0x9E3779B97F4A7C15u;
            std::this_thread::sleep_for(std::chrono::microseconds((bits >> (4 * control.rank())) % 3000));
            if (run % 2) control.barrier();
            control.close();
        });
        EXPECT_THAT(thrown, Each(""));
    }
    EXPECT_EQ(failures, 0);
}

TEST_P(ControlRanks, DisagreementIsAUsageErrorOnEveryRank) {
    const int ranks = GetParam();
    if (ranks == 1) return;
    struct Case {
        std::vector<Control::Entry> usual, last;
        std::string text;
    };
    const std::string last = std::to_string(ranks - 1);
    for (const Case& one :
         {Case{{{"rho", "1"}, {"nu", "3"}},
               {{"rho", "1"}, {"nu", "4\x1b"}},
               "nu: '3' on rank 0 and '4\\x1b' on rank " + last},
          Case{{{"rho", "1"}},
               {{"rho", "1"}, {"nu", "4"}},
               "configuration: entry 2 is missing on rank 0 and 'nu' on rank " + last},
          Case{{{"rho", "1"}}, {{"mu", "1"}}, "configuration: entry 1 is 'rho' on rank 0 and 'mu' on rank " + last}}) {
        std::atomic<int> usage{0};
        const auto thrown = run_ranks(ranks, quick_options(), [&](Control& control) {
            try {
                control.agree(control.rank() == ranks - 1 ? one.last : one.usual);
            } catch (const UsageError&) {
                ++usage;
                throw;
            }
        });
        EXPECT_EQ(usage, ranks);
        EXPECT_THAT(thrown, Each(StartsWith(one.text)));
    }
}

std::vector<std::string> failures_of(int ranks, const ControlOptions& options,
                                     const std::function<void(Control&)>& body) {
    std::mutex mutex;
    std::vector<std::string> lines;
    ControlOptions noting = options;
    noting.on_failure = [&](const PeerFailure& failure) {
        const std::lock_guard lock(mutex);
        lines.push_back(failure.line);
    };
    run_ranks(ranks, noting, [&](Control& control) {
        try {
            body(control);
        } catch (const PeerError&) {
        }
    });
    return lines;
}

TEST(Control, FailureBringsItsCodeAndRankZeroSaysIt) {
    const Deadline deadline(120);
    for (const int bad : {0, 1, 2}) {
        std::mutex mutex;
        std::vector<PeerFailure> failures;
        std::vector<std::string> said;
        ControlOptions options = quick_options();
        options.on_failure = [&](const PeerFailure& failure) {
            const std::lock_guard lock(mutex);
            failures.push_back(failure);
        };
        options.before_others = [&](const std::string& line) {
            const std::lock_guard lock(mutex);
            EXPECT_TRUE(failures.empty());
            said.push_back(line);
        };
        std::atomic<int> codes{0};
        run_ranks(3, options, [&](Control& control) {
            try {
                control.run([&] {
                    control.barrier();
                    if (control.rank() == bad) throw OutputError("run: full");
                    control.barrier();
                });
            } catch (const Error& error) {
                codes += error.code() == ExitCode::output ? 1 : 100;
                EXPECT_EQ(control.known_to_first(), control.rank() != 0) << "rank " << control.rank();
            }
        });
        const std::string line = "rank " + std::to_string(bad) + ": run: full";
        EXPECT_EQ(codes, 3);
        EXPECT_EQ(failures.size(), 2u);  // the others
        for (const PeerFailure& failure : failures) {
            EXPECT_EQ(failure.line, line);
            EXPECT_EQ(failure.code, ExitCode::output);
        }
        EXPECT_EQ(said, bad == 0 ? std::vector<std::string>{} : std::vector{line});
    }
}

TEST(Control, RankThatThrowsIsNamedOnAllOthers) {
    const Deadline deadline(120);
    for (const int bad : {0, 1, 2}) {
        const auto told = failures_of(3, quick_options(), [&](Control& control) {
            control.barrier();
            if (control.rank() == bad) return;  // unwound without close()
            control.barrier();
            ADD_FAILURE() << "not told";
        });
        EXPECT_EQ(told.size(), 2u);
        EXPECT_THAT(told, Each(StartsWith("rank " + std::to_string(bad) + ": ended before the others")));
        const auto explained = failures_of(3, quick_options(), [&](Control& control) {
            if (control.rank() == bad) return control.fail("graph.npz: broken");
            control.barrier();
            ADD_FAILURE() << "not told";
        });
        EXPECT_EQ(explained.size(), 2u);
        EXPECT_THAT(explained, Each("rank " + std::to_string(bad) + ": graph.npz: broken"));
    }
}

TEST(Control, RankWithoutProgressIsNamed) {
    const Deadline deadline(120);
    ControlOptions options = quick_options();
    options.progress_timeout_s = 2;
    for (const int bad : {0, 2}) {
        const auto lines = failures_of(3, options, [&](Control& control) {
            for (int step = 0; step < 5; ++step) {
                control.tick();
                control.barrier();
            }
            if (control.rank() == bad) std::this_thread::sleep_for(std::chrono::seconds(4));  // its heartbeats go on
            control.tick();
            control.barrier();
            ADD_FAILURE() << "not told";
        });
        EXPECT_EQ(lines.size(), 3u);
        EXPECT_THAT(lines, Each(StartsWith("rank " + std::to_string(bad) + ": no progress for")));
    }
    const auto none = failures_of(3, options, [&](Control& control) {
        control.tick();
        control.barrier();
        control.rest();
        std::this_thread::sleep_for(std::chrono::seconds(3));
        control.tick();
        control.close();
    });
    EXPECT_THAT(none, testing::IsEmpty());
}

TEST(Control, RanksInDifferentCollectivesEnd) {
    const Deadline deadline(120);
    const auto lines = failures_of(2, quick_options(), [](Control& control) {
        if (control.rank() == 0)
            control.barrier();
        else
            control.max(1);
        ADD_FAILURE() << "not noticed";
    });
    EXPECT_EQ(lines.size(), 2u);
    EXPECT_THAT(lines, Each(HasSubstr("expected the same work on all ranks")));
}

/// Rank 0 against a peer that says hello as rank 1 and then `acts`: the line of rank 0's failure.
std::string line_against(const std::function<void(Link&, int socket)>& acts) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    std::thread peer([&] {
        Descriptor socket = connected(port);
        const int raw = socket.get();
        Link link(std::move(socket), largest_payload);
        link.send(hello_frame(1, 2));
        const auto answer = await_frame(link, 60);
        EXPECT_TRUE(answer && answer->kind == FrameKind::welcome);
        acts(link, raw);
    });
    std::string line;
    try {
        TcpControl control(launch_of(0, 2, port), quick_options(), std::move(listener));
        control.barrier();
        ADD_FAILURE() << "not noticed";
    } catch (const PeerError& error) {
        line = error.what();
    }
    peer.join();
    return line;
}

TEST(Control, SilentRankIsNoticed) {
    const Deadline deadline(120);
    const auto begin = Clock::now();
    EXPECT_THAT(line_against([](Link& link, int) {
                    while (!link.ended()) {  // reads what comes, says nothing
                        const Link* one[] = {&link};
                        wait_for_links(one, -1, Clock::now() + std::chrono::seconds(1));
                        link.discard();
                    }
                }),
                testing::MatchesRegex("rank 1: silent for ([2-9]|[1-9][0-9])[.][0-9] s .*"));
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(60));
}

TEST(Control, GarbageFramesAreNoticed) {
    const Deadline deadline(120);
    const auto send_raw = [](int socket, const std::vector<std::byte>& bytes) {
        EXPECT_EQ(::write(socket, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    };
    const auto wait_for_end = [](Link& link) {
        while (await_frame(link, 60)) {
        }
    };
    const std::vector<std::byte> good = encode({FrameKind::contribution, 3, 1, std::vector<std::byte>(10)});
    struct Case {
        std::size_t place;
        int value;
        std::string text;
    };
    for (const Case& one : {Case{0, 1, "without this program's mark"}, Case{5, 1, "wrong checksum"},
                            Case{30, 1, "wrong checksum"}, Case{11, 0x7f, "a message of 21"}}) {
        std::vector<std::byte> bad = good;
        bad[one.place] ^= static_cast<std::byte>(one.value);
        EXPECT_THAT(line_against([&](Link& link, int socket) {
                        send_raw(socket, bad);
                        wait_for_end(link);
                    }),
                    testing::AllOf(StartsWith("rank 1: sent "), HasSubstr(one.text)));
    }
    for (const FrameKind kind : {FrameKind::hello, FrameKind::welcome, FrameKind::result, static_cast<FrameKind>(99)})
        EXPECT_THAT(line_against([&](Link& link, int) {
                        link.send({kind, 0, 0, {}});
                        wait_for_end(link);
                    }),
                    StartsWith("rank 1: sent a message of "));
    for (const std::uint64_t sequence : {0u, 2u})
        EXPECT_THAT(line_against([&](Link& link, int) {
                        link.send({FrameKind::contribution, 3, sequence, std::vector<std::byte>(4)});
                        wait_for_end(link);
                    }),
                    StartsWith("rank 1: in collective "));
    EXPECT_THAT(line_against([&](Link& link, int) {  // a collective without its stop flag
                    link.send({FrameKind::contribution, 3, 1, {}});
                    wait_for_end(link);
                }),
                StartsWith("rank 1: barrier without its stop flag"));
}

}  // namespace
}  // namespace pdadmm
