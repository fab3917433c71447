// The run folder: who may use it, what is refused, and metrics that lose or repeat no row.
#include "host/store/run_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "host/console/signals.hpp"
#include "host/store/checkpoint_store.hpp"
#include "tests/files/run_case.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RunDirectoryTest : public RunTest {
protected:
    std::string refusal(RunMode mode, ExitCode code = ExitCode::output) {
        return error_of(code, [&] { open(mode); });
    }
    void make_run() {
        RunDirectory run = open();
        run.write("config.json", "{}\n");
        run.append_metrics("{\"epoch\":1}");
        CheckpointStore store(run);
        CheckpointData data;
        data.step = 1;
        store.save(data, warnings_);
    }
};

TEST_F(RunDirectoryTest, WritesWholeFilesAndStatus) {
    RunDirectory run = open();
    run.write("config.toml", "layers = 10\n");
    run.write("summary.json", "old");
    run.write("summary.json", "new");
    run.write_status({"signal", 15, 412, 143});
    EXPECT_EQ(slurp(path_ / "config.toml"), "layers = 10\n");
    EXPECT_EQ(slurp(path_ / "summary.json"), "new");
    EXPECT_EQ(slurp(path_ / "status.json"), "{\"end\":\"signal\",\"signal\":15,\"iteration\":412,\"exit\":143}\n");
    for (const char* name : {"../config.json", "/etc/passwd", "lock", "metrics.jsonl", "checkpoints", "other", ""})
        error_of(ExitCode::internal, [&] { run.write(name, "x"); });
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(RunDirectoryTest, MakesParentsAndRefusesWhatIsNoFolder) {
    { RunDirectory deep((base_ / "a/b/c/").string(), RunMode::create, warnings_); }
    EXPECT_TRUE(fs::is_regular_file(base_ / "a/b/c/lock"));
    spill(path_, "a file");
    EXPECT_THAT(refusal(RunMode::create), HasSubstr("as a folder"));
    EXPECT_EQ(slurp(path_), "a file");
    fs::remove(path_);
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    refusal(RunMode::overwrite);
}

TEST_F(RunDirectoryTest, ForeignFilesAreLeftAlone) {
    fs::create_directory(path_);
    spill(path_ / "thesis.tex", "precious");
    EXPECT_THAT(refusal(RunMode::create), HasSubstr("thesis.tex"));
    EXPECT_EQ(std::distance(fs::directory_iterator(path_), {}), 1);  // not even a lock
    EXPECT_THAT(refusal(RunMode::resume, ExitCode::data), HasSubstr("no checkpoints"));
    fs::create_directories(path_ / "checkpoints/epoch=3");
    spill(path_ / "checkpoints/epoch=3/weights.pt", "of another program");
    { RunDirectory run = open(RunMode::overwrite); }
    EXPECT_EQ(slurp(path_ / "thesis.tex"), "precious");
    EXPECT_EQ(slurp(path_ / "checkpoints/epoch=3/weights.pt"), "of another program");
}

TEST_F(RunDirectoryTest, AnEarlierRunIsResumedOrOverwrittenOnlyWhenAsked) {
    make_run();
    EXPECT_THAT(refusal(RunMode::create), AllOf(HasSubstr("before it began"), Not(HasSubstr("--resume"))));
    {
        RunDirectory run = open(RunMode::resume);
        EXPECT_EQ(run.metrics_offset(), 12u);
        run.write("config.toml", "");
    }
    EXPECT_THAT(refusal(RunMode::create), HasSubstr("--resume"));
    RunDirectory run = open(RunMode::overwrite);
    EXPECT_EQ(run.metrics_offset(), 0u);
    EXPECT_FALSE(fs::exists(path_ / "config.json"));
    EXPECT_FALSE(fs::exists(path_ / "checkpoints"));
}

TEST_F(RunDirectoryTest, ASecondRunIsLockedOut) {
    make_run();
    {
        RunDirectory run = open(RunMode::resume);
        RunDirectory moved = std::move(run);  // the lock goes along
        for (const RunMode mode : {RunMode::create, RunMode::resume, RunMode::overwrite})
            EXPECT_THAT(refusal(mode), HasSubstr("another run"));
        EXPECT_EQ(slurp(path_ / "metrics.jsonl"), "{\"epoch\":1}\n");
    }
    open(RunMode::resume);
}

TEST_F(RunDirectoryTest, LinksAtAnyNameAreRefusedAndTheirTargetsUntouched) {
    const fs::path target = base_ / "target";
    spill(target, "untouched");
    fs::create_directory(path_);
    for (const char* name :
         {"lock", "metrics.jsonl", "config.json", "summary.json", "model-best.safetensors", ".tmp-config.json"}) {
        fs::create_symlink(target, path_ / name);
        for (const RunMode mode : {RunMode::create, RunMode::overwrite}) EXPECT_THAT(refusal(mode), HasSubstr(name));
        EXPECT_EQ(slurp(target), "untouched");
        EXPECT_TRUE(fs::is_symlink(path_ / name));
        fs::remove(path_ / name);
        fs::remove(path_ / "lock");
    }
    {
        RunDirectory run = open();
        for (const char* name : {"config.json", ".tmp-config.json"}) {  // planted while the run is on
            fs::create_symlink(target, path_ / name);
            EXPECT_THAT(error_of(ExitCode::output, [&] { run.write("config.json", "x"); }), HasSubstr(name));
            EXPECT_EQ(slurp(target), "untouched");
            fs::remove(path_ / name);
        }
    }
    const fs::path link = base_ / "link";
    fs::create_directory_symlink(path_, link);
    for (const std::string& name : {link.string(), link.string() + "/"})
        EXPECT_THAT(error_of(ExitCode::output, [&] { RunDirectory(name, RunMode::overwrite, warnings_); }),
                    HasSubstr("link"));
}

TEST_F(RunDirectoryTest, TemporaryFilesOfDeadRunsGo) {
    make_run();
    spill(path_ / ".tmp-config.json", "half");
    spill(path_ / ".tmp-mine", "not ours");
    RunDirectory run = open(RunMode::resume);
    EXPECT_FALSE(fs::exists(path_ / ".tmp-config.json"));
    EXPECT_TRUE(fs::exists(path_ / ".tmp-mine"));
    run.write("config.json", "whole");
    EXPECT_EQ(slurp(path_ / "config.json"), "whole");
}

TEST_F(RunDirectoryTest, MetricsAreCutBackToTheCheckpoint) {
    std::uint64_t at_checkpoint = 0;
    {
        RunDirectory run = open();
        CheckpointStore store(run);
        for (int epoch = 1; epoch <= 5; ++epoch) {
            run.append_metrics("{\"epoch\":" + std::to_string(epoch) + "}");
            if (epoch != 3) continue;
            at_checkpoint = run.sync_metrics();
            CheckpointData data;
            data.step = 3;
            store.save(data, warnings_);
        }
        error_of(ExitCode::internal, [&] { run.append_metrics("two\nlines"); });
    }
    std::ofstream(path_ / "metrics.jsonl", std::ios::app) << "{\"epoch\":";  // a torn line of a killed run
    RunDirectory run = open(RunMode::resume);
    run.rewind_metrics(at_checkpoint, warnings_);
    for (int epoch = 4; epoch <= 5; ++epoch) run.append_metrics("{\"epoch\":" + std::to_string(epoch) + "}");
    EXPECT_EQ(slurp(path_ / "metrics.jsonl"),
              "{\"epoch\":1}\n{\"epoch\":2}\n{\"epoch\":3}\n{\"epoch\":4}\n{\"epoch\":5}\n");
    EXPECT_EQ(run.metrics_offset(), 60u);
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(RunDirectoryTest, ShorterMetricsAreAWarning) {
    make_run();
    spill(path_ / "metrics.jsonl", "{\"epoch\":1}\n{\"epo");
    RunDirectory run = open(RunMode::resume);
    run.rewind_metrics(24, warnings_);
    EXPECT_EQ(slurp(path_ / "metrics.jsonl"), "{\"epoch\":1}\n");
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_THAT(warnings_[0], HasSubstr("12 bytes of whole lines, the checkpoint expected 24"));
}

TEST_F(RunDirectoryTest, AFileSizeLimitTearsNoLine) {
    install_signal_handlers();
    RunDirectory run = open();
    run.append_metrics("{\"epoch\":1}");
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit low = before;
    low.rlim_cur = 16;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    const std::string metrics = error_of(ExitCode::output, [&] { run.append_metrics("{\"epoch\":2}"); });
    const std::string config = error_of(ExitCode::output, [&] { run.write("config.json", std::string(100, 'x')); });
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_THAT(metrics, HasSubstr("metrics.jsonl: cannot be written"));
    EXPECT_THAT(config, HasSubstr("config.json: cannot be written"));
    EXPECT_EQ(slurp(path_ / "metrics.jsonl"), "{\"epoch\":1}\n");
    EXPECT_FALSE(fs::exists(path_ / "config.json") || fs::exists(path_ / ".tmp-config.json"));
    run.append_metrics("{\"epoch\":2}");
    EXPECT_EQ(run.metrics_offset(), 24u);
}

TEST(Signals, SetAFlagAndTheSecondInterruptEnds) {
    install_signal_handlers();
    reset_stop_signal();
    EXPECT_EQ(stop_signal(), 0);
    raise(SIGPIPE);
    raise(SIGXFSZ);
    EXPECT_EQ(stop_signal(), 0);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
        reset_stop_signal();
        raise(signal);
        EXPECT_EQ(stop_signal(), signal);
        EXPECT_EQ(exit_code_of_signal(signal), signal == SIGINT ? 130 : 143);
    }
    raise(SIGTERM);  // the first one stays
    EXPECT_EQ(stop_signal(), SIGUSR1);
    reset_stop_signal();
    const pid_t child = fork();
    if (child == 0) {
        raise(SIGINT);
        raise(SIGINT);
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 130);
}

}  // namespace
}  // namespace pdadmm
