// A Python process that asks Optuna (host/cli/optuna.hpp).
#include "host/cli/optuna.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>

#include "host/console/console.hpp"
#include "host/store/folder.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int without_optuna = 77;  // exit code of the script

const char* const script = R"python(
import json, sys
try:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
except ImportError:
    sys.exit(77)
optuna.logging.set_verbosity(optuna.logging.ERROR)
asked = json.load(sys.stdin)
def distribution(d):
    if d["choices"]:
        return CategoricalDistribution(d["choices"])
    if d["whole"]:
        return IntDistribution(int(d["low"]), int(d["high"]), log=d["log"])
    return FloatDistribution(d["low"], d["high"], log=d["log"])
space = {d["name"]: distribution(d) for d in asked["space"]}
whole = {d["name"] for d in asked["space"] if d["whole"] and not d["choices"]}
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=asked["seed"] % 2**32, constant_liar=True))
for trial in asked["trials"]:
    params = {name: int(value) if name in whole else value for name, value in trial["params"].items()}
    study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=trial["value"]))
print(json.dumps([study.ask(space).params for _ in range(asked["count"])]))
)python";

struct Pipe {
    Descriptor out, in;  // to read from, to write to

    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw DeviceError("optuna: no pipe, expected one; close some files");
        out = Descriptor(ends[0]);
        in = Descriptor(ends[1]);
    }
};

/// python3 with the script, in a process group of its own: Ctrl-C is for the search alone.
pid_t start(const Pipe& request, const Pipe& reply) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&actions, request.out.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, reply.in.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    std::string name = "python3", option = "-c", text = script;
    std::array<char*, 4> arguments{name.data(), option.data(), text.data(), nullptr};
    pid_t child = 0;
    const int failed = ::posix_spawnp(&child, "python3", &actions, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed)
        throw DeviceError(
            "--method: tpe, but no python3 is on the path, expected one with Optuna; install it, or use --method admm");
    return child;
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> block{};
    for (ssize_t got; (got = ::read(fd, block.data(), block.size())) != 0;) {
        if (got > 0)
            text.append(block.data(), static_cast<std::size_t>(got));
        else if (errno != EINTR)
            break;
    }
    return text;
}

}  // namespace

std::string ask_optuna(const std::string& request) {
    Pipe to, from;
    const pid_t child = start(to, from);
    to.out.close();
    from.in.close();
    write_all(to.in.get(), std::as_bytes(std::span(request)));  // one that does not read says so by its exit code
    to.in.close();
    std::string reply = read_all(from.out.get());
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return reply;
    if (WIFEXITED(status) && WEXITSTATUS(status) == without_optuna)
        throw DeviceError(
            "--method: tpe, but python3 has no Optuna, expected it; install it (pip install optuna, Debian: "
            "python3-optuna), or use --method admm");
    throw DeviceError(fmt::format("optuna: python3 ended with {}, expected proposals; use --method admm",
                                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
}

void require_optuna() { ask_optuna(R"({"seed": 0, "count": 0, "space": [], "trials": []})"); }

}  // namespace pdadmm
