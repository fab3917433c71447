// A pure function of the environment, so that every launcher can be tested without it.
#include "host/transport/environment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <initializer_list>
#include <optional>

#include "host/console/printable.hpp"
#include "host/transport/socket.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int most_ranks = 4096, default_port = 29501;
constexpr int slurm_ports = 10000,
              first_slurm_port = 20000;  // below the range that systems give to outgoing connections

class Variables {
public:
    explicit Variables(const Environment& environment) : environment_(environment) {}

    const std::string* find(const char* name) const {  // a variable that is set to nothing counts as unset
        const auto found = environment_.find(name);
        return found == environment_.end() || found->second.empty() ? nullptr : &found->second;
    }
    std::optional<int> number(const char* name, int least, int most) const {
        const std::string* text = find(name);
        if (!text) return std::nullopt;
        int value = 0;
        const char* end = text->data() + text->size();
        const auto [last, error] = std::from_chars(text->data(), end, value);
        if (error != std::errc() || last != end || value < least || value > most)
            throw UsageError(fmt::format("{}: '{}', expected a number from {} to {}; mend or unset it", name,
                                         printable(*text), least, most));
        return value;
    }
    /// The first of `names` that is set.
    const std::string* first(std::initializer_list<const char*> names) const {
        for (const char* name : names)
            if (const std::string* text = find(name)) return text;
        return nullptr;
    }

private:
    const Environment& environment_;
};

struct RankNames {
    Launcher launcher;
    const char *rank, *size, *local_rank;
};
// Of Slurm's names only an srun step sets SLURM_STEP_NUM_TASKS: in the batch script itself SLURM_NTASKS is there too,
// but nobody has started those tasks. And SLURM_PROCID stays set below it, so a lone one is no launch.
constexpr RankNames known[] = {
    {Launcher::variables, "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {Launcher::mpirun, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {Launcher::slurm, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}};

bool find_ranks(const Variables& variables, Launch& launch) {
    for (const RankNames& names : known) {
        const bool rank_set = variables.find(names.rank), size_set = variables.find(names.size);
        if (!rank_set && !size_set) continue;
        if (!rank_set || !size_set) {
            if (names.launcher == Launcher::slurm) continue;
            throw UsageError(fmt::format(
                "{}: set without {}, expected both or none; unset it or start with torchrun, srun, mpirun or --devices",
                rank_set ? names.rank : names.size, rank_set ? names.size : names.rank));
        }
        launch.launcher = names.launcher;
        launch.size = *variables.number(names.size, 1, most_ranks);
        launch.rank = *variables.number(names.rank, 0, launch.size - 1);
        launch.local_rank = variables.number(names.local_rank, 0, launch.size - 1).value_or(launch.rank);
        return true;
    }
    return false;
}

void find_address(const Variables& variables, const std::string& rendezvous, Launch& launch) {
    const std::optional<int> own_port = variables.number("PDADMM_PORT", 1, 65535);
    if (!rendezvous.empty()) {
        const Address address = parse_address("--rendezvous", rendezvous);
        launch.host = address.host;
        launch.port = address.port;
        return;
    }
    if (const std::string* host = variables.find("MASTER_ADDR")) {
        launch.host = *host;
        const std::optional<int> master_port = variables.number("MASTER_PORT", 1, 65534);
        launch.port = own_port ? *own_port : master_port ? *master_port + 1 : default_port;
        return;
    }
    if (launch.launcher == Launcher::mpirun) return;
    if (launch.launcher == Launcher::variables)
        throw UsageError(
            "MASTER_ADDR: not set, expected the address of rank 0; set it, or pass --rendezvous host:port");
    const std::string* list = variables.first({"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"});
    launch.host = list ? first_slurm_host(*list) : "";
    if (launch.host.empty())
        throw UsageError(fmt::format("SLURM_STEP_NODELIST: {}, expected a list of hosts; pass --rendezvous host:port",
                                     list ? fmt::format("'{}'", printable(*list)) : "not set"));
    const int job = variables.number("SLURM_JOB_ID", 0, 0x7fffffff).value_or(0),
              step = variables.number("SLURM_STEP_ID", 0, 0x7fffffff).value_or(0);
    launch.port = own_port.value_or(first_slurm_port + (job % slurm_ports + step % slurm_ports) % slurm_ports);
}

std::string find_job(const Variables& variables) {
    if (const std::string* job = variables.first({"PDADMM_JOB", "PMIX_NAMESPACE"})) return *job;
    const std::string *job = variables.find("SLURM_JOB_ID"), *step = variables.find("SLURM_STEP_ID");
    if (job && step) return *job + "." + *step;
    const std::string* torch_run = variables.find("TORCHELASTIC_RUN_ID");
    return torch_run ? *torch_run : "";
}

}  // namespace

std::string first_slurm_host(const std::string& list) {
    std::string host;
    for (std::size_t at = 0; at < list.size() && list[at] != ','; ++at) {
        if (list[at] != '[') {
            host += list[at];
            continue;
        }
        const std::size_t close = list.find(']', at);
        const std::size_t end = list.find_first_not_of("0123456789", at + 1);  // of the first number
        if (close == std::string::npos || end == at + 1 || end > close) return "";
        host += list.substr(at + 1, end - at - 1);
        at = close;
    }
    // What a host's name may hold; everything else is no list of hosts.
    if (host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") !=
        std::string::npos)
        return "";
    return host;
}

Launch launch_from_environment(const Environment& environment, const std::string& rendezvous) {
    const Variables variables(environment);
    Launch launch;
    if (!find_ranks(variables, launch)) {
        if (!rendezvous.empty())
            throw UsageError(
                "--rendezvous: given to a single process, expected RANK and WORLD_SIZE or a launcher (torchrun, srun, "
                "mpirun); "
                "set them or leave it out");
        return launch;
    }
    if (launch.size == 1) return launch;
    find_address(variables, rendezvous, launch);
    if (launch.rank == 0) launch.listen_descriptor = variables.number("PDADMM_LISTEN_FD", 3, 1 << 20).value_or(-1);
    launch.job = find_job(variables);
    return launch;
}

Environment current_environment() {
    Environment found;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string text = *entry;
        const std::size_t equals = text.find('=');
        if (equals != std::string::npos)
            found.emplace(text.substr(0, equals), text.substr(equals + 1));  // the first one counts, as for getenv
    }
    return found;
}

}  // namespace pdadmm
