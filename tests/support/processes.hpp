// Ranks as processes of a test: forked, with a limit on their life, their stderr kept.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace pdadmm {

struct ProcessEnd {
    int code = -1;  // of exit, or 128 + signal
    double seconds = 0;
    std::string errors;  // what it wrote to stderr
};

/// Runs body(k) in `count` forked processes, `meanwhile(their ids)` here, and returns how each of them ended. Processes
/// that are alive after `limit` are killed (code 137), and so is process `last` when the others have ended. The caller
/// must have no other threads.
inline std::vector<ProcessEnd> run_processes(int count, double limit, const std::function<int(int)>& body,
                                             const std::function<void(const std::vector<pid_t>&)>& meanwhile = {},
                                             int last = -1) {
    using Watch = std::chrono::steady_clock;
    const auto begin = Watch::now();
    const auto age = [&] { return std::chrono::duration<double>(Watch::now() - begin).count(); };
    std::vector<ProcessEnd> ends(static_cast<std::size_t>(count));
    std::vector<pid_t> ids;
    std::vector<int> pipes;
    for (int k = 0; k < count; ++k) {
        int ends_of_pipe[2];
        if (::pipe2(ends_of_pipe, O_CLOEXEC) != 0) ::abort();
        const pid_t made = ::fork();
        if (made == 0) {
            ::alarm(static_cast<unsigned>(limit) + 5);
            ::dup2(ends_of_pipe[1], STDERR_FILENO);
            ::_exit(body(k));
        }
        ::close(ends_of_pipe[1]);
        ids.push_back(made);
        pipes.push_back(ends_of_pipe[0]);
    }
    if (meanwhile) meanwhile(ids);
    std::vector<bool> ended(ids.size());
    for (bool all = false; !all;) {
        all = true;
        for (std::size_t k = 0; k < ids.size(); ++k) {
            if (ended[k]) continue;
            bool others_ended = true;
            for (std::size_t other = 0; other < ids.size(); ++other)
                others_ended = others_ended && (ended[other] || other == k);
            if (age() > limit || (others_ended && static_cast<int>(k) == last)) ::kill(ids[k], SIGKILL);
            int status = 0;
            if (::waitpid(ids[k], &status, WNOHANG) == ids[k]) {
                ended[k] = true;
                ends[k].seconds = age();
                ends[k].code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
            all = all && ended[k];
        }
        if (!all) ::usleep(5000);
    }
    for (std::size_t k = 0; k < ids.size(); ++k) {
        char piece[4096];
        for (ssize_t got; (got = ::read(pipes[k], piece, sizeof piece)) > 0;)
            ends[k].errors.append(piece, static_cast<std::size_t>(got));
        ::close(pipes[k]);
    }
    return ends;
}

}  // namespace pdadmm
