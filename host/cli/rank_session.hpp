// The ranks of one command (design 3), however they were started: one alone, threads of this process (--ranks), or
// processes under mpirun, torchrun, srun or --devices.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/cli/backend_choice.hpp"
#include "host/ranks/grid.hpp"
#include "host/ranks/ranks.hpp"
#include "host/transport/environment.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

/// Options that say where ranks run and how they reach each other, as typed.
struct RankChoice {
    int count = 1;     // threads, or what a launcher must agree with
    std::string grid;  // layers x nodes; empty: layers alone
    std::string transport = "auto", devices, rendezvous;
    double peer_timeout = 60;  // s
    int launched = 1;          // processes that a launcher started, this one among them
};

/// Of all processes.
int rank_count(const RankChoice& choice);
/// Of those ranks; layers alone where none is named, or none yet. Throws UsageError.
Grid grid_of(const RankChoice& choice);
/// Which grid it is depends on the data set.
bool chooses_grid(const RankChoice& choice);

/// What one rank works with.
struct RankSession {
    Backend& backend;
    RankLinks links;                  // null: there is one rank
    std::vector<int> memory_sharers;  // the ranks that take memory from where this one does, itself among them
    bool first_of_process = true;

    int rank() const { return links.control ? links.control->rank() : 0; }
    bool leads() const { return rank() == 0; }
};

/// An error that all ranks find alike.
struct CommonError : Error {
    explicit CommonError(const Error& error) : Error(error.code(), error.what()) {}
};

/// The ranks of this process.
class RankGroup {
public:
    virtual ~RankGroup() = default;

    virtual int ranks() const = 0;  // of all processes
    /// Rank 0 is one of this process's.
    virtual bool leads() const = 0;
    /// For what comes before training.
    virtual Backend& backend() = 0;
    /// Collective where ranks are processes, else nothing: Control::agree.
    virtual void agree(const std::vector<Control::Entry>& entries) = 0;
    /// Collective, before each(): the text of one rank, on all.
    virtual std::string share(const std::string& text, int rank [[maybe_unused]]) { return text; }
    /// Some rank of this process works on this of so many blocks of nodes.
    virtual bool holds_block(int block [[maybe_unused]], int blocks [[maybe_unused]]) const { return true; }
    /// Runs `body` for each rank of this process, in a thread of its own where there are several. Throws what a rank
    /// threw first.
    virtual void each(const std::function<void(RankSession&)>& body) = 0;
};

/// The numbers of --devices; empty where it was not given. Throws UsageError.
std::vector<int> device_list(const std::string& text);

/// How many processes this one must start first (run_workers), one for each of --devices; 0: none, it is a rank itself.
/// Throws UsageError where options, backend and launcher contradict each other.
int workers_to_start(const RankChoice& choice, const BackendChoice& backend, const Launch& launch);

/// Runs `work` with the ranks of this process and returns its exit code. `check` is called on the number of ranks
/// before work. Ranks that are processes meet first and agree on `entries` (what was asked for, and the build). Where
/// one of them fails, rank 0 prints one line, and every process ends with the code of that failure: by returning it
/// where all found the same, else at once. `note` gets lines for people, of every rank.
int run_ranks(const RankChoice& choice, const BackendChoice& backend, Launch launch,
              std::vector<Control::Entry> entries, const std::function<void(int ranks)>& check,
              const std::function<void(const std::string&)>& note, const std::function<int(RankGroup&)>& work);

}  // namespace pdadmm
