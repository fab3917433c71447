// Ranks as processes: one is killed or stopped, and every other one ends with code 75 and one line that names it,
// within the limit, also when its own thread waits for nobody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "pdadmm/error.hpp"
#include "tests/ranks/control_case.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/processes.hpp"

namespace pdadmm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr double peer_timeout = 2, allowed = 60;  // s; what the limit may be passed by on a busy machine

ControlOptions real_options() {
    ControlOptions options;
    options.peer_timeout_s = peer_timeout;
    options.connect_timeout_s = 60;
    return options;
}

int exit_code_of(const std::function<void()>& body) {
    try {
        body();
        return 0;
    } catch (const Error& error) {
        const std::string line = std::string("pdadmm: error: ") + error.what() + "\n";
        static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
        return static_cast<int>(error.code());
    }
}

enum class Work { collectives, alone };

/// Runs 3 ranks that work for long; when they have met, sends rank `bad` a signal.
void expect_job_ends(int bad, int signal, Work work, const std::string& text, double limit) {
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    int met[2];
    ASSERT_EQ(::pipe2(met, O_CLOEXEC), 0);
    const auto begin = Clock::now();
    double acted = 0;  // s after the begin
    const auto ends = run_processes(
        3, 60 + limit + allowed,
        [&](int rank) {
            return exit_code_of([&] {
                Listener own = rank == 0 ? std::move(listener) : Listener();
                TcpControl control(launch_of(rank, 3, port), real_options(), std::move(own));
                for (int step = 0; step < 1000000; ++step) {
                    if (work == Work::collectives || step == 0) control.barrier();
                    if (step == 0 && ::write(met[1], "m", 1) != 1) ::abort();
                    ::usleep(work == Work::collectives ? 500 : 100000);
                }
            });
        },
        [&](const std::vector<pid_t>& ids) {
            char word;
            for (int rank = 0; rank < 3; ++rank) ASSERT_EQ(::read(met[0], &word, 1), 1);
            ::usleep(200000);  // in the middle of their work
            acted = std::chrono::duration<double>(Clock::now() - begin).count();
            ::kill(ids[static_cast<std::size_t>(bad)], signal);
        },
        bad);
    for (const int end : met) ::close(end);
    for (int rank = 0; rank < 3; ++rank) {
        const ProcessEnd& end = ends[static_cast<std::size_t>(rank)];
        if (rank == bad) {
            EXPECT_EQ(end.code, 137);  // killed, here or at the end
            continue;
        }
        EXPECT_EQ(end.code, 75) << "rank " << rank;
        EXPECT_THAT(end.errors, StartsWith("pdadmm: error: rank " + std::to_string(bad) + ": " + text))
            << "rank " << rank;
        EXPECT_EQ(std::count(end.errors.begin(), end.errors.end(), '\n'), 1) << end.errors;
        EXPECT_LT(end.seconds, acted + limit + allowed);
    }
}

TEST(KilledRank, EndsTheJob) {
    const Deadline deadline(300);
    for (const int bad : {0, 1, 2})
        for (const Work work : {Work::collectives, Work::alone})
            expect_job_ends(bad, SIGKILL, work, "connection lost", 0.5);
}

class StoppedRank : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, StoppedRank, testing::Values(0, 1, 2));

TEST_P(StoppedRank, EndsTheJob) {
    const Deadline deadline(180);
    expect_job_ends(GetParam(), SIGSTOP, GetParam() == 1 ? Work::alone : Work::collectives, "silent for",
                    peer_timeout + 0.5);
}

TEST(ControlProcessesEnd, CleanAndAgreedEndsKeepTheirCodes) {
    const Deadline deadline(180);
    for (const bool agree : {true, false}) {
        Listener listener({"127.0.0.1", 0}, {});
        const int port = listener.port();
        const auto ends = run_processes(4, 80, [&](int rank) {
            return exit_code_of([&] {
                Listener own = rank == 0 ? std::move(listener) : Listener();
                TcpControl control(launch_of(rank, 4, port), real_options(), std::move(own));
                const Control::Entry entries[] = {{"rho", agree || rank != 2 ? "1" : "2"}};
                control.agree(entries);
                control.close();
            });
        });
        for (const ProcessEnd& end : ends) {
            EXPECT_EQ(end.code, agree ? 0 : 2);
            EXPECT_EQ(end.errors,
                      agree ? ""
                            : "pdadmm: error: rho: '1' on rank 0 and '2' on rank 2, expected one value; start all "
                              "ranks with the same command, data and build\n");
        }
    }
}

TEST(ControlProcessesEnd, JobThatWasStoppedAsAWholeGoesOn) {
    const Deadline deadline(180);
    Listener listener({"127.0.0.1", 0}, {});
    const int port = listener.port();
    const auto ends = run_processes(
        3, 80,
        [&](int rank) {
            return exit_code_of([&] {
                Listener own = rank == 0 ? std::move(listener) : Listener();
                TcpControl control(launch_of(rank, 3, port), real_options(), std::move(own));
                const auto until = Clock::now() + std::chrono::milliseconds(3700);
                while (control.max(Clock::now() < until ? 1 : 0) > 0) ::usleep(1000);
                control.close();
            });
        },
        [&](const std::vector<pid_t>& ids) {
            ::usleep(500000);
            for (const pid_t id : ids) ::kill(id, SIGSTOP);
            ::usleep(2600000);  // longer than the limit
            for (const pid_t id : ids) ::kill(id, SIGCONT);
        });
    for (const ProcessEnd& end : ends) {
        EXPECT_EQ(end.code, 0);
        EXPECT_EQ(end.errors, "");
    }
}

}  // namespace
}  // namespace pdadmm
