// Ranks alone, as threads and as processes (host/cli/rank_session.hpp).
#include "host/cli/rank_session.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <new>

#include "host/cli/option_text.hpp"
#include "host/format/digest.hpp"
#include "host/machine/processors.hpp"
#include "host/transport/control.hpp"
#include "host/transport/local.hpp"
#include "host/transport/mpi.hpp"
#include "host/transport/nccl.hpp"
#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Note = std::function<void(const std::string&)>;
constexpr double least_progress_limit = 600, progress_limit_in_timeouts = 10;

void require_agreement(Control& control, const std::vector<Control::Entry>& entries) {
    if (const std::string found = control.difference(entries); !found.empty()) throw CommonError(UsageError(found));
}

/// One rank, in this thread.
class LoneRank final : public RankGroup {
public:
    explicit LoneRank(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
    int ranks() const override { return 1; }
    bool leads() const override { return true; }
    Backend& backend() override { return *backend_; }
    void agree(const std::vector<Control::Entry>&) override {}
    void each(const std::function<void(RankSession&)>& body) override {
        RankSession session{*backend_, {}, {0}};
        body(session);
    }

private:
    std::unique_ptr<Backend> backend_;
};

/// Threads, each with a share of the processors.
class ThreadRanks final : public RankGroup {
public:
    ThreadRanks(int ranks, BackendChoice choice, const Note& note)
        : ranks_(ranks), choice_(std::move(choice)), backend_(make_backend(choice_, note)) {
        if (backend_->name() != "cpu")
            throw UsageError(fmt::format(
                "--ranks: with the {} backend, expected the CPU's; add --backend cpu, or name GPUs with --devices",
                backend_->name()));
        const int processors = choice_.threads > 0 ? choice_.threads : available_processors();
        choice_.name = "cpu";
        choice_.threads = std::max(1, processors / ranks);
    }
    int ranks() const override { return ranks_; }
    bool leads() const override { return true; }
    Backend& backend() override { return *backend_; }
    void agree(const std::vector<Control::Entry>&) override {}
    void each(const std::function<void(RankSession&)>& body) override {
        std::vector<int> all(static_cast<std::size_t>(ranks_));
        for (int rank = 0; rank < ranks_; ++rank) all[static_cast<std::size_t>(rank)] = rank;
        run_local_ranks(ranks_, [&](LocalRank& rank) {
            const std::unique_ptr<Backend> backend = make_backend(choice_, [](const std::string&) {});
            RankSession session{*backend, {&rank.transport, &rank.control, &rank.nodes}, all, rank.control.rank() == 0};
            body(session);
        });
    }

private:
    int ranks_;
    BackendChoice choice_;
    std::unique_ptr<Backend> backend_;
};

/// This process is one rank of several.
class ProcessRank final : public RankGroup {
public:
    ProcessRank(Backend& backend, RankLinks links, std::vector<int> memory_sharers)
        : session_{backend, links, std::move(memory_sharers)}, control_(*links.control) {}
    int ranks() const override { return control_.size(); }
    bool leads() const override { return control_.rank() == 0; }
    Backend& backend() override { return session_.backend; }
    void agree(const std::vector<Control::Entry>& entries) override { require_agreement(control_, entries); }
    std::string share(const std::string& text, int rank) override {
        const std::vector<std::byte> bytes = control_.broadcast(
            rank == control_.rank() ? std::as_bytes(std::span(text)) : std::span<const std::byte>(), rank);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    bool holds_block(int block, int blocks) const override { return control_.rank() % blocks == block; }
    void each(const std::function<void(RankSession&)>& body) override { body(session_); }

private:
    RankSession session_;
    Control& control_;
};

/// "cpu" or "cuda", without making a backend.
std::string backend_of(const RankChoice& choice, const BackendChoice& backend) {
    if (!choice.devices.empty()) return "cuda";
    if (backend.name != "auto") return backend.name;
    try {
        return cuda_devices().empty() ? "cpu" : "cuda";
    } catch (const DeviceError&) {
        return "cpu";
    }
}

/// The launcher's process manager can start MPI here.
bool mpi_can_start(const Launch& launch) {
    return launch.launcher == Launcher::mpirun || std::getenv("PMIX_RANK") || std::getenv("PMI_RANK");
}

/// Throws UsageError unless the ranks that a launcher started can be as was chosen.
void require_processes(const RankChoice& choice, const BackendChoice& typed, const Launch& launch,
                       const std::string& backend) {
    if (choice.count != 1 && choice.count != launch.size)
        throw UsageError(
            fmt::format("--ranks: {}, expected {} as the launcher started; leave it out", choice.count, launch.size));
    if (typed.device != 0)
        throw UsageError("--device: with several ranks, expected a GPU for each; use --devices, or leave it out");
    const std::string fitting = backend == "cuda" ? "nccl" : "mpi";
    if (choice.transport != "auto" && choice.transport != fitting)
        throw UsageError(fmt::format(
            "--transport: {}, expected {} between processes with the {} backend; leave it out{}", choice.transport,
            fitting, backend, choice.transport == "local" ? ", or start one process with --ranks" : ""));
    if (fitting == "mpi" && !mpi_can_start(launch))
        throw UsageError(
            fmt::format("--transport: CPU ranks by {}, which starts no MPI, expected mpirun or srun --mpi=pmix; start "
                        "with mpirun -n {}, "
                        "or one process with --ranks {}",
                        launch.launcher == Launcher::slurm ? "srun" : "RANK and WORLD_SIZE", launch.size, launch.size));
}

/// A number for a text, the same on all ranks; doubles hold it.
double number_of(const std::string& text) {
    return static_cast<double>(std::stoull(digest_hex(text).substr(0, 12), nullptr, 16));
}

/// Which ranks are on this machine, and how many of them run on the same processors as this one.
struct Neighbours {
    std::vector<int> on_machine;
    int on_processors = 0;

    explicit Neighbours(Control& control) {
        cpu_set_t set;
        CPU_ZERO(&set);
        ::sched_getaffinity(0, sizeof set, &set);
        const double machine = number_of(host_name()),
                     processors = number_of({reinterpret_cast<const char*>(&set), sizeof set});
        const std::vector<double> all = control.gather(std::array{machine, processors});
        for (int rank = 0; rank < control.size(); ++rank) {
            const std::size_t at = 2 * static_cast<std::size_t>(rank);
            if (all[at] != machine) continue;
            on_machine.push_back(rank);
            on_processors += all[at + 1] == processors ? 1 : 0;
        }
    }
};

/// The backend choice of a rank that is a process: its GPU, or its share of the processors.
BackendChoice backend_of_process(const RankChoice& choice, BackendChoice backend, const std::string& name,
                                 const Launch& launch, int on_processors) {
    backend.name = name;
    if (name == "cpu") {
        if (backend.threads == 0) backend.threads = std::max(1, available_processors() / on_processors);
        return backend;
    }
    const std::vector<int> devices = device_list(choice.devices);
    const auto place = static_cast<std::size_t>(launch.local_rank);
    if (!devices.empty() && place >= devices.size())
        throw UsageError(fmt::format(
            "--devices: {} for rank {} of this machine, expected one GPU a rank; name more, or start fewer ranks",
            choice.devices, place));
    // A launcher that shows each rank its own GPU alone numbers it 0.
    backend.device = !devices.empty() ? devices[place] : cuda_devices().size() == 1 ? 0 : launch.local_rank;
    return backend;
}

/// control.run(body), where rank 0 prints its error before the others hear of it, since a launcher may kill it when
/// they end. After a common error all ranks return its code; after another one the process ends.
int run_watched(Control& control, const std::function<int()>& body) {
    int code = 0;
    const auto say = [&](const std::exception& error) {
        if (control.rank() == 0) say_failure(error.what());
    };
    const auto leave_together = [&](const Error& error) {
        say(error);
        code = static_cast<int>(error.code());  // control.run() closes: none is taken for lost
    };
    try {
        control.run([&] {
            try {
                code = body();
            } catch (const CommonError& error) {
                leave_together(error);
            } catch (const DivergedError& error) {
                leave_together(error);
            } catch (const std::bad_alloc&) {
                const DeviceError error(
                    "memory: none left, expected more; use a smaller network, fewer hops or a larger machine");
                say(error);
                throw error;
            } catch (const Error& error) {
                say(error);
                throw;
            } catch (const std::exception& error) {
                const Error internal(ExitCode::internal, fmt::format("internal: {}; please report this", error.what()));
                say(internal);
                throw internal;
            }
        });
    } catch (const Error& error) {
        leave_job({error.what(), error.code(), control.known_to_first()});
    }
    return code;
}

int run_process_rank(const RankChoice& choice, const BackendChoice& backend, Launch launch,
                     std::vector<Control::Entry> entries, const std::function<void(int)>& check, const Note& note,
                     const std::function<int(RankGroup&)>& work) {
    std::unique_ptr<Mpi> mpi;
    Listener listener;
    if (launch.launcher == Launcher::mpirun && mpi_built()) {
        mpi = make_mpi(launch);
        listener = mpi->agree_address(launch);
    }
    if (launch.host.empty())
        throw UsageError(
            "--rendezvous: none, expected the address of rank 0, which a program without MPI cannot ask mpirun; pass "
            "--rendezvous host:port");
    ControlOptions options;
    options.peer_timeout_s = choice.peer_timeout;
    options.progress_timeout_s = std::max(least_progress_limit, progress_limit_in_timeouts * choice.peer_timeout);
    options.on_failure = leave_job;
    options.before_others = say_failure;
    const std::unique_ptr<Control> control = make_control(launch, options, std::move(listener));
    std::unique_ptr<Backend>
        own;  // both outlive an exception that only this rank knows of: their destructors might wait for others
    std::unique_ptr<Transport> transport, nodes;
    return run_watched(*control, [&] {
        const std::string name = backend_of(choice, backend);
        entries.emplace_back("backend", name);
        entries.emplace_back("transport", choice.transport);
        require_agreement(*control, entries);
        try {
            require_processes(choice, backend, launch, name);
            check(launch.size);
        } catch (const UsageError& error) {
            throw CommonError(error);
        }
        const Neighbours near(*control);
        own = make_backend(backend_of_process(choice, backend, name, launch, near.on_processors), note);
        if (name == "cpu" && !mpi) mpi = make_mpi(launch);
        const auto make_transport = [&] { return name == "cpu" ? mpi->make_transport() : make_nccl(*own, *control); };
        transport = make_transport();
        if (chooses_grid(choice) || grid_of(choice).nodes > 1) nodes = make_transport();
        ProcessRank rank(*own, {transport.get(), control.get(), nodes.get()},
                         name == "cpu" ? near.on_machine : std::vector<int>{launch.rank});
        const int code = work(rank);
        transport.reset();
        nodes.reset();
        if (mpi) mpi->finalize();
        return code;
    });
}

}  // namespace

std::vector<int> device_list(const std::string& text) {
    std::vector<int> devices;
    if (text.empty()) return devices;
    for (const double value : number_list("--devices", text, 0, 1023)) {
        const int device = static_cast<int>(value);
        if (device != value || std::find(devices.begin(), devices.end(), device) != devices.end())
            throw UsageError(fmt::format("--devices: '{}', expected different whole numbers like 0,1,2,3", text));
        devices.push_back(device);
    }
    return devices;
}

int rank_count(const RankChoice& choice) {
    const int devices = static_cast<int>(device_list(choice.devices).size());
    if (choice.launched > 1 || devices > 1) return choice.launched > 1 ? choice.launched : devices;
    if (choice.count > 1 || choice.grid.empty()) return choice.count;
    const Grid grid = parse_grid(choice.grid).value_or(Grid{-1, 1});
    return grid.layers > 0 && grid.nodes > 0 ? grid.ranks() : choice.count;
}

Grid grid_of(const RankChoice& choice) {
    const int ranks = rank_count(choice);
    if (choice.grid.empty()) return {ranks, 1};
    return complete_grid(parse_grid(choice.grid).value_or(Grid{ranks, 1}), ranks);
}

bool chooses_grid(const RankChoice& choice) { return choice.grid == "auto"; }

int workers_to_start(const RankChoice& choice, const BackendChoice& backend, const Launch& launch) {
    const std::vector<int> devices = device_list(choice.devices);
    const int count = static_cast<int>(devices.size()), threads = choice.count;
    if (count > 0 && backend.name == "cpu")
        throw UsageError(
            "--devices: with --backend cpu, expected GPUs; for ranks on processors use --ranks 4, or mpirun -n 4");
    if (count > 0 && backend.device != 0)
        throw UsageError("--device: with --devices, expected one of them; leave it out");
    if (launch.size > 1) return 0;
    if (count > 1) {
        if (threads != 1 && threads != count)
            throw UsageError(
                fmt::format("--ranks: {}, expected {}, one a GPU of --devices; leave it out", threads, count));
        if (choice.transport != "auto" && choice.transport != "nccl")
            throw UsageError(
                fmt::format("--transport: {}, expected nccl between GPUs; leave it out", choice.transport));
        return count;
    }
    if (choice.transport == "mpi")
        throw UsageError(
            "--transport: mpi in a single process, expected several; start with mpirun -n 4, or leave it out");
    if (choice.transport == "nccl")
        throw UsageError(
            "--transport: nccl in a single process, expected one a GPU; use --devices 0,1, torchrun or srun, or leave "
            "it out");
    return 0;
}

int run_ranks(const RankChoice& choice, const BackendChoice& backend, Launch launch,
              std::vector<Control::Entry> entries, const std::function<void(int ranks)>& check, const Note& note,
              const std::function<int(RankGroup&)>& work) {
    if (launch.size > 1)
        return run_process_rank(choice, backend, std::move(launch), std::move(entries), check, note, work);
    const int count = rank_count(choice);
    check(count);
    BackendChoice own = backend;
    if (const std::vector<int> devices = device_list(choice.devices); !devices.empty()) {
        own.name = "cuda";
        own.device = devices[0];
    }
    if (count > 1) {
        ThreadRanks ranks(count, own, note);
        return work(ranks);
    }
    LoneRank rank(make_backend(own, note));
    return work(rank);
}

}  // namespace pdadmm
