// One process a rank on this machine, started by the program itself (--devices 0,1,2,3): what torchrun or mpirun do
// elsewhere.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

struct WorkerOptions {
    int count = 1;
    std::string program = "/proc/self/exe";
    std::vector<std::string> arguments;  // from argv[0] on; the same for all workers
    /// After one worker failed, the others have this long to say so and end (they learn of it through the control
    /// channel); then they are ended with SIGTERM, and two seconds later with SIGKILL, which stopped ones obey too.
    double grace_s = 10;
};

/// Runs the workers with RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, PDADMM_PORT and a listening socket for rank 0 in
/// their environment, and standard streams as here; returns when all have ended. SIGINT, SIGTERM, SIGHUP and SIGUSR1
/// are passed on. The result is the exit code for this process: 0, the code of the worker that failed first (75 of
/// others is only an echo of it), or 75 where one was killed by a signal, after a line on stderr that names it. Call it
/// from a process without other threads. Throws DeviceError where no process can be started.
int run_workers(const WorkerOptions& options);

}  // namespace pdadmm
