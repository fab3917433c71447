// In place of mpi.cpp where the program is built without MPI.
#include "host/transport/mpi.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

bool mpi_built() { return false; }

std::unique_ptr<Mpi> make_mpi(const Launch&) {
    throw DeviceError(
        "mpi: built without MPI, expected it; configure with -DPDADMM_MPI=ON, or start one process with --ranks");
}

}  // namespace pdadmm
