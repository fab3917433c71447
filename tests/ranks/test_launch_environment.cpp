// What launchers leave in the environment, as rank, size and address; and nonsense in it, as one clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/transport/environment.hpp"
#include "host/transport/socket.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string usage_error(const Environment& environment, const std::string& rendezvous = "") {
    try {
        launch_from_environment(environment, rendezvous);
    } catch (const UsageError& error) {
        EXPECT_EQ(error.code(), ExitCode::usage);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("expected"), Not(HasSubstr("\n")), Not(HasSubstr("\x1b"))));
        return error.what();
    }
    return "no error";
}

const Environment torchrun{{"RANK", "3"},
                           {"WORLD_SIZE", "8"},
                           {"LOCAL_RANK", "1"},
                           {"MASTER_ADDR", "node1"},
                           {"MASTER_PORT", "29500"},
                           {"TORCHELASTIC_RUN_ID", "none"}};
const Environment mpirun{{"OMPI_COMM_WORLD_RANK", "2"},
                         {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                         {"PMIX_NAMESPACE", "1234"}};
const Environment srun{{"SLURM_PROCID", "5"},      {"SLURM_STEP_NUM_TASKS", "6"},
                       {"SLURM_LOCALID", "2"},     {"SLURM_STEP_NODELIST", "gpu[007-009]"},
                       {"SLURM_JOB_ID", "123456"}, {"SLURM_STEP_ID", "1"}};

Environment with(Environment base, const Environment& changes) {
    for (const auto& [name, value] : changes) base[name] = value;
    return base;
}

TEST(LaunchEnvironment, NothingMeansOneRank) {
    for (const Environment& none :
         {Environment{}, Environment{{"RANK", ""}, {"WORLD_SIZE", ""}},
          Environment{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_NODELIST", "a"}}}) {
        const Launch launch = launch_from_environment(none);
        EXPECT_EQ(launch.launcher, Launcher::none);
        EXPECT_EQ(launch.rank, 0);
        EXPECT_EQ(launch.size, 1);
    }
    EXPECT_THAT(usage_error({}, "host:1"), StartsWith("--rendezvous: given to a single process"));
}

TEST(LaunchEnvironment, Torchrun) {
    const Launch launch = launch_from_environment(torchrun);
    EXPECT_EQ(launch.launcher, Launcher::variables);
    EXPECT_EQ(launch.rank, 3);
    EXPECT_EQ(launch.size, 8);
    EXPECT_EQ(launch.local_rank, 1);
    EXPECT_EQ(launch.host, "node1");
    EXPECT_EQ(launch.port, 29501);  // torchrun holds 29500
    EXPECT_EQ(launch.job, "none");
    EXPECT_EQ(launch_from_environment(with(torchrun, {{"PDADMM_PORT", "4000"}})).port, 4000);
    EXPECT_EQ(launch_from_environment(with(torchrun, {{"MASTER_PORT", ""}})).port, 29501);
    EXPECT_EQ(launch_from_environment(with(torchrun, {{"LOCAL_RANK", ""}})).local_rank, 3);
    // Below srun or mpirun, RANK is what counts.
    EXPECT_EQ(launch_from_environment(with(srun, torchrun)).rank, 3);
    EXPECT_EQ(launch_from_environment(with(mpirun, torchrun)).rank, 3);
}

TEST(LaunchEnvironment, Mpirun) {
    const Launch launch = launch_from_environment(mpirun);
    EXPECT_EQ(launch.launcher, Launcher::mpirun);
    EXPECT_EQ(launch.rank, 2);
    EXPECT_EQ(launch.size, 4);
    EXPECT_EQ(launch.local_rank, 0);
    EXPECT_EQ(launch.host, "");  // MPI agrees on one
    EXPECT_EQ(launch.job, "1234");
    EXPECT_EQ(launch_from_environment(mpirun, "10.0.0.1:77").port, 77);
    EXPECT_EQ(launch_from_environment(with(srun, mpirun)).launcher, Launcher::mpirun);
}

TEST(LaunchEnvironment, Srun) {
    const Launch launch = launch_from_environment(srun);
    EXPECT_EQ(launch.launcher, Launcher::slurm);
    EXPECT_EQ(launch.rank, 5);
    EXPECT_EQ(launch.size, 6);
    EXPECT_EQ(launch.local_rank, 2);
    EXPECT_EQ(launch.host, "gpu007");
    EXPECT_EQ(launch.port, 20000 + 3457);
    EXPECT_EQ(launch.job, "123456.1");
    const Launch named = launch_from_environment(with(srun, {{"MASTER_ADDR", "x"}, {"PDADMM_PORT", "5"}}));
    EXPECT_EQ(named.host, "x");
    EXPECT_EQ(named.port, 5);
    EXPECT_EQ(launch_from_environment(with(srun, {{"SLURM_STEP_NODELIST", ""}, {"SLURM_JOB_NODELIST", "b,c"}})).host,
              "b");
}

TEST(LaunchEnvironment, RendezvousComesFirst) {
    for (const Environment& one : {torchrun, mpirun, srun}) {
        const Launch launch = launch_from_environment(with(one, {{"PDADMM_PORT", "9"}}), "[fe80::1]:4711");
        EXPECT_EQ(launch.host, "fe80::1");
        EXPECT_EQ(launch.port, 4711);
    }
}

TEST(LaunchEnvironment, OneRankNeedsNoAddress) {
    EXPECT_EQ(launch_from_environment({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).size, 1);
    EXPECT_EQ(launch_from_environment({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}).size, 1);
}

TEST(LaunchEnvironment, ListenSocketIsForRankZero) {
    const Environment zero = with(torchrun, {{"RANK", "0"}, {"PDADMM_LISTEN_FD", "7"}, {"PDADMM_JOB", "j"}});
    EXPECT_EQ(launch_from_environment(zero).listen_descriptor, 7);
    EXPECT_EQ(launch_from_environment(zero).job, "j");
    EXPECT_EQ(launch_from_environment(with(zero, {{"RANK", "1"}})).listen_descriptor, -1);
    EXPECT_THAT(usage_error(with(zero, {{"PDADMM_LISTEN_FD", "0"}})), StartsWith("PDADMM_LISTEN_FD: '0'"));
}

TEST(LaunchEnvironment, NonsenseIsOneClearLine) {
    for (const char* text :
         {"-1", "8", "x", "1x", " 1", "1 ", "+1", "1.0", "0x1", "99999999999999999999", "\x1b[31m", "1\n2"})
        EXPECT_THAT(usage_error(with(torchrun, {{"RANK", text}})), StartsWith("RANK: '")) << text;
    for (const char* text : {"0", "-4", "4097", "many", "1e3"})
        EXPECT_THAT(usage_error(with(torchrun, {{"WORLD_SIZE", text}})), StartsWith("WORLD_SIZE: '")) << text;
    for (const char* text : {"0", "65535", "-1", "http"})
        EXPECT_THAT(usage_error(with(torchrun, {{"MASTER_PORT", text}})), StartsWith("MASTER_PORT: '")) << text;
    for (const char* text : {"0", "65536", "p"})
        EXPECT_THAT(usage_error(with(torchrun, {{"PDADMM_PORT", text}})), StartsWith("PDADMM_PORT: '")) << text;
    EXPECT_THAT(usage_error(with(torchrun, {{"LOCAL_RANK", "8"}})), StartsWith("LOCAL_RANK: '8'"));
    EXPECT_THAT(usage_error(with(torchrun, {{"MASTER_ADDR", ""}})), StartsWith("MASTER_ADDR: not set"));
    EXPECT_THAT(usage_error({{"RANK", "1"}}), StartsWith("RANK: set without WORLD_SIZE"));
    EXPECT_THAT(usage_error({{"WORLD_SIZE", "2"}}), StartsWith("WORLD_SIZE: set without RANK"));
    EXPECT_THAT(usage_error({{"OMPI_COMM_WORLD_RANK", "1"}}), StartsWith("OMPI_COMM_WORLD_RANK: set without"));
    EXPECT_THAT(usage_error(with(mpirun, {{"OMPI_COMM_WORLD_SIZE", "2"}})), StartsWith("OMPI_COMM_WORLD_RANK: '2'"));
    EXPECT_THAT(usage_error(with(srun, {{"SLURM_STEP_NODELIST", "gpu[x"}})),
                StartsWith("SLURM_STEP_NODELIST: 'gpu[x'"));
    EXPECT_THAT(usage_error({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}),
                StartsWith("SLURM_STEP_NODELIST: not set"));
    for (const char* text : {"host", "host:", ":1", "host:0", "host:65536", "host:1x", "a:b:1", "[::1]", "[]:1"})
        EXPECT_THAT(usage_error(torchrun, text), StartsWith("--rendezvous: '")) << text;
}

TEST(LaunchEnvironment, FirstSlurmHost) {
    EXPECT_EQ(first_slurm_host("a"), "a");
    EXPECT_EQ(first_slurm_host("node-1.x_y,node-2"), "node-1.x_y");
    EXPECT_EQ(first_slurm_host("tux[12-14,20]"), "tux12");
    EXPECT_EQ(first_slurm_host("n[007,009-012],m[1-2]"), "n007");
    EXPECT_EQ(first_slurm_host("rack[1-2]n[3-4],z"), "rack1n3");
    EXPECT_EQ(first_slurm_host("a[1-2]-ib"), "a1-ib");
    for (const char* wrong : {"", ",a", "a[", "a[]", "a[x]", "a[-1]", "a]", "a b", "a;b", "a[1", "\x1b"})
        EXPECT_EQ(first_slurm_host(wrong), "") << wrong;
}

}  // namespace
}  // namespace pdadmm
