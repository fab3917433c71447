// How ranks meet: late, missing, double and foreign ones, strangers at the port; frames and addresses below it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "pdadmm/error.hpp"
#include "tests/ranks/control_case.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/test_seed.hpp"

namespace pdadmm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// One rank in a thread of its own, from meeting to close; text() is what it threw.
class Rank {
public:
    Rank(const Launch& launch, const ControlOptions& options, Listener listener = {})
        : thread_([this, launch, options, given = std::move(listener)]() mutable {
              try {
                  make_control(launch, options, std::move(given))->close();
              } catch (const Error& error) {
                  text_ = error.what();
                  code_ = error.code();
              }
          }) {}
    ~Rank() { join(); }
    const std::string& text() {
        join();
        return text_;
    }
    ExitCode code() {
        join();
        return code_;
    }

private:
    void join() {
        if (thread_.joinable()) thread_.join();
    }
    std::string text_;
    ExitCode code_ = ExitCode::done;
    std::thread thread_;
};

ControlOptions patience(double seconds) {
    ControlOptions options = quick_options();
    options.connect_timeout_s = seconds;
    return options;
}

class Meeting : public testing::Test {
protected:
    Deadline deadline_{180};
};

TEST_F(Meeting, LateRankZeroIsWaitedFor) {
    const int port = unused_port();
    Rank two(launch_of(2, 3, port), patience(60)), one(launch_of(1, 3, port), patience(60));
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    Rank zero(launch_of(0, 3, port), patience(60));
    EXPECT_EQ(zero.text() + one.text() + two.text(), "");
}

TEST_F(Meeting, MissingRanksAreNamedOnAllThatCame) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    Rank zero(launch_of(0, 4, port), patience(3), std::move(listener)), two(launch_of(2, 4, port), patience(60));
    for (Rank* rank : {&zero, &two}) {
        EXPECT_THAT(rank->text(), StartsWith("ranks 1, 3: not heard of within 3 s"));
        EXPECT_EQ(rank->code(), ExitCode::peer);
    }
}

TEST_F(Meeting, MissingRankZeroIsNamed) {
    Rank one(launch_of(1, 2, unused_port()), patience(1));
    EXPECT_THAT(one.text(), AllOf(StartsWith("rank 0: not reached at 127.0.0.1:"), HasSubstr("Connection refused")));
    EXPECT_EQ(one.code(), ExitCode::peer);
    Launch lost = launch_of(1, 2, 1);
    lost.host = "no.such.host.invalid";
    EXPECT_THAT(Rank(lost, patience(1)).text(), StartsWith("rank 0: not reached at no.such.host.invalid:1"));
}

TEST_F(Meeting, PortInUseIsAUsageError) {
    const Listener other({"127.0.0.1", 0}, {});
    Rank zero(launch_of(0, 2, other.port()), patience(0.3));
    EXPECT_THAT(zero.text(), HasSubstr("Address already in use"));
    EXPECT_EQ(zero.code(), ExitCode::usage);
}

TEST_F(Meeting, DoubleRankIsAUsageErrorForAll) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    Rank zero(launch_of(0, 3, port), patience(60), std::move(listener)), one(launch_of(1, 3, port), patience(60)),
        again(launch_of(1, 3, port), patience(60));
    for (Rank* rank : {&zero, &one, &again}) {
        EXPECT_THAT(rank->text(), StartsWith("rank 1: two processes have this number"));
        EXPECT_EQ(rank->code(), ExitCode::usage);
    }
}

TEST_F(Meeting, AnotherNumberOfRanksIsAUsageErrorForAll) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    Rank zero(launch_of(0, 3, port), patience(60), std::move(listener)), one(launch_of(1, 4, port), patience(60));
    for (Rank* rank : {&zero, &one}) {
        EXPECT_THAT(rank->text(), StartsWith("rank 1: counts 4 ranks and rank 0 counts 3"));
        EXPECT_EQ(rank->code(), ExitCode::usage);
    }
}

TEST_F(Meeting, RankOfAnotherRunIsTurnedAwayAlone) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    Launch foreign = launch_of(1, 2, port);
    foreign.job = "other";
    Rank zero(launch_of(0, 2, port), patience(60), std::move(listener)), stranger(foreign, patience(60));
    EXPECT_THAT(stranger.text(), HasSubstr("held by another run"));
    EXPECT_EQ(stranger.code(), ExitCode::usage);
    Rank one(launch_of(1, 2, port), patience(60));
    EXPECT_EQ(zero.text() + one.text(), "");
}

TEST_F(Meeting, OtherVersionIsAUsageError) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    Rank zero(launch_of(0, 2, port), patience(60), std::move(listener));
    Link link(connected(port), largest_hello);
    link.send(hello_frame(1, 2, "test", 2));
    const auto answer = await_frame(link, 60);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->kind, FrameKind::refusal);
    link.finish_sending();
    EXPECT_THAT(zero.text(), HasSubstr("another version"));
}

TEST_F(Meeting, StrangersDoNotEndTheRun) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    Rank zero(launch_of(0, 3, port), patience(60), std::move(listener));
    std::vector<Descriptor> strangers;
    for (int k = 0; k < 20; ++k) strangers.push_back(connected(port));
    for (std::size_t k = 0; k < strangers.size(); ++k) {
        const std::string request =
            k % 2 ? "GET / HTTP/1.1\r\nHost: x\r\n\r\n" : std::string(10000, static_cast<char>(k));
        if (k < 12) static_cast<void>(!::write(strangers[k].get(), request.data(), request.size()));
        if (k % 3 == 0) strangers[k].close();
    }
    Link impostor(connected(port), largest_hello);  // a whole frame of another kind
    impostor.send({FrameKind::contribution, 0, 1, {}});
    Link gone(connected(port), largest_hello);  // a rank that dies before the meeting and comes back
    gone.send(hello_frame(1, 3));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    { const Link dead = std::move(gone); }
    Rank one(launch_of(1, 3, port), patience(60)), two(launch_of(2, 3, port), patience(60));
    EXPECT_EQ(zero.text() + one.text() + two.text(), "");
}

TEST_F(Meeting, OtherServerAtThePortIsNotRankZero) {
    Listener other({"127.0.0.1", 0}, {});
    Rank one(launch_of(1, 2, other.port()), patience(3));
    for (const auto until = Clock::now() + std::chrono::milliseconds(3300); Clock::now() < until;
         std::this_thread::sleep_for(std::chrono::milliseconds(20)))
        if (const Descriptor caller = other.accept())
            static_cast<void>(!::write(caller.get(), "220 mail.example ESMTP, what do you want\r\n", 42));
    EXPECT_THAT(one.text(), AllOf(StartsWith("rank 0: not reached"), HasSubstr("no rank 0 of this program")));
}

TEST(Frames, ArriveWholeInAnyPieces) {
    PDADMM_SEEDED();
    const Deadline deadline(120);
    std::mt19937_64 random(seed);
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    Descriptor writer(ends[0]);
    Link reader(Descriptor(ends[1]), 5000);
    std::vector<Frame> sent, got;
    std::vector<std::byte> bytes;
    for (int k = 0; k < 200; ++k) {
        Frame frame{static_cast<FrameKind>(random() % 8), static_cast<std::uint8_t>(random()), random(),
                    std::vector<std::byte>(random() % 3 ? random() % 20 : random() % 5001)};
        for (std::byte& byte : frame.payload) byte = static_cast<std::byte>(random());
        append(bytes, encode(frame));
        sent.push_back(std::move(frame));
    }
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t piece = std::min<std::size_t>(1 + random() % 700, bytes.size() - at);
        const ssize_t taken = ::write(writer.get(), bytes.data() + at, piece);
        ASSERT_GT(taken, 0);
        at += static_cast<std::size_t>(taken);
        reader.receive();
        while (auto frame = reader.next()) got.push_back(std::move(*frame));
    }
    ASSERT_EQ(got.size(), sent.size());
    for (std::size_t k = 0; k < sent.size(); ++k) {
        EXPECT_EQ(got[k].kind, sent[k].kind);
        EXPECT_EQ(got[k].operation, sent[k].operation);
        EXPECT_EQ(got[k].sequence, sent[k].sequence);
        EXPECT_EQ(got[k].payload, sent[k].payload);
    }
    EXPECT_EQ(reader.ended(), 0);
    writer.close();
    reader.receive();
    EXPECT_EQ(reader.ended(), -1);
}

TEST(Frames, EveryDamagedByteIsFound) {
    const std::vector<std::byte> good = encode({FrameKind::result, 2, 77, std::vector<std::byte>(40, std::byte{3})});
    for (std::size_t place = 0; place < good.size(); ++place)
        for (const int mask : {1, 0x80, 0xff}) {
            int ends[2];
            ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
            const Descriptor writer(ends[0]);
            Link reader(Descriptor(ends[1]), 1000);
            std::vector<std::byte> bad = good;
            bad[place] ^= static_cast<std::byte>(mask);
            ASSERT_EQ(::write(writer.get(), bad.data(), bad.size()), static_cast<ssize_t>(bad.size()));
            reader.receive();
            bool taken = false;
            try {
                taken = reader.next().has_value();  // a longer length only means waiting for more
            } catch (const BadFrame&) {
            }
            EXPECT_FALSE(taken) << "byte " << place << " mask " << mask;
        }
}

TEST(Frames, UnpackingStopsAtTheEnd) {
    std::vector<std::byte> bytes;
    pack_text(bytes, "abc");
    pack(bytes, std::uint64_t{1} << 63);  // a length that is not there
    Unpacking values(bytes);
    EXPECT_EQ(values.text(), "abc");
    EXPECT_EQ(values.text(), "");
    EXPECT_FALSE(values.good());
    EXPECT_TRUE(values.done());
    EXPECT_EQ(values.number<int>(), 0);
}

}  // namespace
}  // namespace pdadmm
