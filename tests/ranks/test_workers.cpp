// Worker processes of one machine: exit codes, the end of all when one fails, signals passed on, nobody left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "host/transport/socket.hpp"
#include "host/transport/workers.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/processes.hpp"

namespace pdadmm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

WorkerOptions options_of(int count, const std::vector<std::string>& arguments) {
    WorkerOptions options;
    options.count = count;
    options.program = PDADMM_WORKER_PROGRAM;
    options.arguments = {"worker_program"};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    options.grace_s = 4;
    return options;
}

/// A launcher as a process of its own, since it takes over signals; its end.
ProcessEnd launch(const WorkerOptions& options, const std::function<void(pid_t)>& meanwhile = {}, double limit = 80) {
    return run_processes(
        1, limit, [&](int) { return run_workers(options); },
        [&](const std::vector<pid_t>& ids) {
            if (meanwhile) meanwhile(ids[0]);
        })[0];
}

/// Whose workers these are: tests that run beside this one start the same program.
const char* const mark = "PDADMM_WORKERS_OF";

/// Processes of this test that run its program.
int workers_alive() {
    const std::string ours = std::string(mark) + "=" + std::to_string(::getpid()) + '\0';
    int alive = 0;
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
        std::error_code not_one_of_ours;
        if (std::filesystem::read_symlink(process.path() / "exe", not_one_of_ours) != PDADMM_WORKER_PROGRAM) continue;
        std::ifstream file(process.path() / "environ", std::ios::binary);
        const std::string environment{std::istreambuf_iterator<char>(file), {}};
        if (environment.find(ours) != std::string::npos) ++alive;
    }
    return alive;
}

class Workers : public testing::Test {
protected:
    void SetUp() override { ::setenv(mark, std::to_string(::getpid()).c_str(), 1); }
    Deadline deadline_{300};
};

TEST_F(Workers, MeetAndEnd) {
    for (const int count : {1, 2, 5}) {
        const ProcessEnd end = launch(options_of(count, {"agree"}));
        EXPECT_EQ(end.code, 0);
        EXPECT_EQ(end.errors, "");
    }
}

TEST_F(Workers, ExitCodeIsThatOfTheFirstFailure) {
    for (const int code : {2, 3, 79}) {
        const ProcessEnd end = launch(options_of(3, {"exit", "1", std::to_string(code)}));
        EXPECT_EQ(end.code, code);  // not the 75 with which the others end
        EXPECT_LT(end.seconds, 60);
    }
}

TEST_F(Workers, KilledWorkerIsNamedAndIsAPeerFailure) {
    for (const int rank : {0, 2}) {
        const ProcessEnd end = launch(options_of(3, {"kill", std::to_string(rank), std::to_string(SIGKILL)}));
        EXPECT_EQ(end.code, 75);
        EXPECT_THAT(end.errors, HasSubstr("pdadmm: error: rank " + std::to_string(rank) +
                                          ": killed by signal 9 (Killed), expected"));
        EXPECT_LT(end.seconds, 60);
    }
}

TEST_F(Workers, StoppedWorkerIsEnded) {
    WorkerOptions options = options_of(3, {"kill", "1", std::to_string(SIGSTOP)});
    options.grace_s = 1;
    const ProcessEnd end = launch(options);
    EXPECT_EQ(end.code, 75);
    EXPECT_THAT(end.errors, HasSubstr("rank 1: silent for"));
    EXPECT_LT(end.seconds, 0.1 + 2 + 1 + 2 + 60);  // its limit, our grace, SIGTERM, SIGKILL, a busy machine
}

TEST_F(Workers, StubbornWorkersAreEnded) {
    WorkerOptions options = options_of(3, {"stubborn", "0"});
    options.grace_s = 0.3;
    const ProcessEnd end = launch(options);
    EXPECT_EQ(end.code, 3);
    EXPECT_LT(end.seconds, 60);
}

TEST_F(Workers, SignalsArePassedOnOnce) {
    for (const auto& [signal, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
        int out[2];
        ASSERT_EQ(::pipe2(out, O_CLOEXEC), 0);
        const int kept = ::dup(STDOUT_FILENO);
        ::dup2(out[1], STDOUT_FILENO);
        const ProcessEnd end = launch(options_of(3, {"signals"}), [&, sent = signal](pid_t launcher) {
            char word[6];
            EXPECT_GT(::read(out[0], word, sizeof word), 0);  // "ready"
            ::kill(launcher, sent);
        });
        ::dup2(kept, STDOUT_FILENO);
        for (const int fd : {kept, out[0], out[1]}) ::close(fd);
        EXPECT_EQ(end.code, code);
        EXPECT_EQ(end.errors, "");
    }
}

TEST_F(Workers, EndWithTheirLauncher) {
    const auto wait_for = [](int count) {
        const auto until = Clock::now() + std::chrono::seconds(60);
        while (workers_alive() != count && Clock::now() < until) ::usleep(50000);
        return workers_alive();
    };
    const ProcessEnd end = launch(options_of(2, {"signals"}), [&](pid_t launcher) {
        EXPECT_EQ(wait_for(2), 2);
        ::kill(launcher, SIGKILL);
    });
    EXPECT_EQ(end.code, 137);
    EXPECT_EQ(wait_for(0), 0);
}

TEST_F(Workers, MissingProgramIsADeviceError) {
    WorkerOptions options = options_of(2, {});
    options.program = "/no/such/program";
    try {
        run_workers(options);
        ADD_FAILURE() << "no exception";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(), StartsWith("/no/such/program: no worker process can be started: No such file"));
    }
}

}  // namespace
}  // namespace pdadmm
