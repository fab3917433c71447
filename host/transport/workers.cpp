// fork, exec and wait. Between fork and exec only calls that are safe there are made: everything they need lies ready.
#include "host/transport/workers.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>

#include "host/console/console.hpp"
#include "host/transport/environment.hpp"
#include "host/transport/socket.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
constexpr auto kill_after = std::chrono::seconds(2);

/// Holds back, for sigtimedwait, the signals that this process acts on while it has workers.
class SignalsHeld {
public:
    SignalsHeld() {
        ::sigemptyset(&set_);
        for (const int signal : forwarded) ::sigaddset(&set_, signal);
        ::sigaddset(&set_, SIGCHLD);
        ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
    }
    ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;

    const sigset_t& set() const { return set_; }
    const sigset_t& before() const { return before_; }

private:
    sigset_t set_, before_;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

struct Worker {
    pid_t process = 0;
    std::optional<int> status;  // of waitpid, once it has ended
    bool ended_by_us = false;
};

class Workers {
public:
    explicit Workers(const WorkerOptions& options)
        : options_(options), workers_(static_cast<std::size_t>(options.count)) {}

    ~Workers() {  // an exception in between: no process may stay behind
        for (Worker& worker : workers_)
            if (worker.process > 0 && !worker.status) {
                ::kill(worker.process, SIGKILL);
                while (::waitpid(worker.process, nullptr, 0) < 0 && errno == EINTR) {
                }
            }
    }

    void start() {
        const Listener listener({"127.0.0.1", 0},
                                std::chrono::seconds(0));  // taken here and handed to rank 0: nobody can come between
        const std::string job = fmt::format("{}.{:08x}", ::getpid(), std::random_device{}());
        for (std::size_t k = 0; k < workers_.size(); ++k) {
            Environment environment = current_environment();
            environment["RANK"] = environment["LOCAL_RANK"] = std::to_string(k);
            environment["WORLD_SIZE"] = environment["LOCAL_WORLD_SIZE"] = std::to_string(workers_.size());
            environment["MASTER_ADDR"] = "127.0.0.1";
            environment["PDADMM_PORT"] = std::to_string(listener.port());
            environment["PDADMM_JOB"] = job;
            // A kernel that is loaded when it is first launched may wait for one that waits for another rank's message.
            environment.try_emplace("CUDA_MODULE_LOADING", "EAGER");
            environment.erase("PDADMM_LISTEN_FD");
            if (k == 0) environment["PDADMM_LISTEN_FD"] = std::to_string(listener.get());
            start_one(workers_[k], environment, k == 0 ? listener.get() : -1);
        }
    }

    int wait() {
        enum class Others { working, in_grace, asked, killed } others = Others::working;
        Clock::time_point next{};  // when their state changes, once a worker has failed
        while (std::any_of(workers_.begin(), workers_.end(), [](const Worker& worker) { return !worker.status; })) {
            const auto now = Clock::now();
            if (failed_ && others == Others::working) {
                others = Others::in_grace;
                next =
                    now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.grace_s));
            } else if (others == Others::in_grace && now >= next) {
                end_all(SIGTERM);
                others = Others::asked;
                next = now + kill_after;
            } else if (others == Others::asked && now >= next) {
                end_all(SIGKILL);
                others = Others::killed;
            }
            timespec pause{0, 100'000'000};  // the time limits' grain; an end or a signal comes at once
            const int signal = ::sigtimedwait(&signals_.set(), nullptr, &pause);
            if (signal > 0 && signal != SIGCHLD) send_all(signal);
            reap();
        }
        return result();
    }

private:
    void start_one(Worker& worker, const Environment& environment, int inherited) {
        std::vector<std::string> variables, arguments = options_.arguments;
        for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
        const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
        int failure[2];  // tells errno of a failed exec, and closes with a good one
        if (::pipe2(failure, O_CLOEXEC) != 0) throw_failed("pipe", errno);
        Descriptor read_end(failure[0]), write_end(failure[1]);
        const pid_t parent = ::getpid(), made = ::fork();
        if (made < 0) throw_failed("fork", errno);
        if (made == 0) {
            ::setpgid(
                0,
                0);  // Ctrl-C goes to this process alone, which passes it on once; a second one ends a worker at once
            ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // without us the worker saves and ends
            if (::getppid() != parent) ::_exit(static_cast<int>(ExitCode::peer));
            if (inherited >= 0) ::fcntl(inherited, F_SETFD, 0);
            ::pthread_sigmask(SIG_SETMASK, &signals_.before(), nullptr);
            ::execve(options_.program.c_str(), argv.data(), envp.data());
            const int error_number = errno;
            static_cast<void>(!::write(write_end.get(), &error_number, sizeof error_number));
            ::_exit(127);
        }
        worker.process = made;
        write_end.close();
        int error_number = 0;
        ssize_t got;
        while ((got = ::read(read_end.get(), &error_number, sizeof error_number)) < 0 && errno == EINTR) {
        }
        if (got == sizeof error_number) throw_failed(options_.program.c_str(), error_number);
    }

    [[noreturn]] static void throw_failed(const char* what, int error_number) {
        throw DeviceError(
            fmt::format("{}: no worker process can be started: {}, expected room for it; see ulimit -u and -n", what,
                        std::strerror(error_number)));
    }

    void send_all(int signal) {
        for (const Worker& worker : workers_)
            if (worker.process > 0 && !worker.status) ::kill(worker.process, signal);
    }

    void end_all(int signal) {
        for (Worker& worker : workers_)
            if (!worker.status) worker.ended_by_us = true;
        send_all(signal);
    }

    void reap() {
        for (std::size_t k = 0; k < workers_.size(); ++k) {
            Worker& worker = workers_[k];
            int status = 0;
            if (worker.status || ::waitpid(worker.process, &status, WNOHANG) != worker.process) continue;
            worker.status = status;
            if (status == 0 || worker.ended_by_us) continue;
            failed_ = true;
            const int code = WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(ExitCode::peer);
            if (WIFSIGNALED(status))
                put_note(fmt::format(
                    "pdadmm: error: rank {}: killed by signal {} ({}), expected it to work on; restart with --resume",
                    k, WTERMSIG(status), ::strsignal(WTERMSIG(status))));
            if (code_ == 0 || (code_ == static_cast<int>(ExitCode::peer) && WIFEXITED(status))) code_ = code;
        }
    }

    int result() const {
        if (code_ != 0) return code_;
        // Every failure so far came after our own signals: only where workers ignored a first one.
        return std::any_of(workers_.begin(), workers_.end(), [](const Worker& worker) { return *worker.status != 0; })
                   ? static_cast<int>(ExitCode::peer)
                   : 0;
    }

    const WorkerOptions& options_;
    SignalsHeld signals_;
    std::vector<Worker> workers_;
    bool failed_ = false;
    int code_ = 0;
};

}  // namespace

int run_workers(const WorkerOptions& options) {
    if (options.count < 1 || options.arguments.empty())
        throw Error(ExitCode::internal,
                    fmt::format("workers: {}, expected at least 1 and their arguments", options.count));
    Workers workers(options);
    workers.start();
    return workers.wait();
}

}  // namespace pdadmm
