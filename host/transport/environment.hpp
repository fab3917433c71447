// Which rank this process is, and where the ranks of its run meet: read from what torchrun, mpirun, srun or our own
// launcher leave in the environment (design 3).
#pragma once

#include <map>
#include <string>

namespace pdadmm {

using Environment = std::map<std::string, std::string>;

enum class Launcher {
    none,
    variables,
    mpirun,
    slurm
};  // variables: RANK and WORLD_SIZE (torchrun, --devices, by hand)

struct Launch {
    Launcher launcher = Launcher::none;
    int rank = 0, size = 1;
    int local_rank = 0;  // among the ranks of this machine: the number of the GPU to use
    std::string host;    // where rank 0 listens; empty: no address given, MPI can agree on one
    int port = 0;
    int listen_descriptor = -1;  // rank 0: a socket that listens already, from our launcher
    std::string job;             // tells this run from others that might meet at the same port
};

/// RANK and WORLD_SIZE come first (torchrun may itself run under srun), then OMPI_COMM_WORLD_*, then those of an srun
/// step; none of them means one rank. The address is `rendezvous` ("host:port", may be empty), else MASTER_ADDR with
/// PDADMM_PORT or MASTER_PORT + 1 (torchrun listens at MASTER_PORT itself), else the first host of the Slurm step with
/// a port made of the job's number. Throws UsageError naming the variable.
Launch launch_from_environment(const Environment& environment, const std::string& rendezvous = "");

/// This process's environment.
Environment current_environment();

/// The first host of a Slurm list: "gpu[03-05,9],cpu1" gives "gpu03". Empty where the list is none.
std::string first_slurm_host(const std::string& list);

}  // namespace pdadmm
