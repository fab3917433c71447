// CPU ranks as processes under mpirun: messages by MPI. Everything else, the watchdog above all, is the control
// channel's (host/transport/control.hpp); MPI only tells the ranks where rank 0 listens. Built without MPI, make_mpi
// throws.
#pragma once

#include <memory>

#include "host/transport/environment.hpp"
#include "host/transport/socket.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// MPI in this process. Its thread makes all calls (MPI_THREAD_FUNNELED). Leaving without finalize() leaves MPI as it
/// is: MPI_Finalize would wait for a rank that is lost, and mpirun ends the others when this one exits.
class Mpi {
public:
    virtual ~Mpi() = default;

    /// Where `launch` has no address: rank 0 listens at a free port, and all ranks are told. Returns rank 0's listener.
    virtual Listener agree_address(Launch& launch) = 0;
    /// A transport over a communicator of its own, collective; this object must outlive it. MPI counts with an int, so
    /// messages above `largest_plain` bytes go as blocks and a rest (tests lower it: few machines have room for such
    /// messages).
    virtual std::unique_ptr<Transport> make_transport(std::size_t largest_plain = std::size_t{1} << 30) = 0;
    /// Collective, after the last message and before Control::close(), so that it is watched.
    virtual void finalize() = 0;
};

/// Whether this build has MPI.
bool mpi_built();

/// Starts MPI, with errors returned and not fatal. Throws DeviceError without MPI, UsageError where MPI and `launch`
/// disagree on rank or size.
std::unique_ptr<Mpi> make_mpi(const Launch& launch);

}  // namespace pdadmm
