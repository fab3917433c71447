// GPU ranks as processes, one device each: messages by NCCL, on a stream beside the backend's. Everything else, the
// watchdog above all, is the control channel's (host/transport/control.hpp): NCCL has no limit of time and reports no
// dead process on its machine.
//
// NCCL carries no sizes. That both ends state the same one is so because sizes follow from configuration, data and
// build, which Control::agree has compared; where it is not so, the message is undefined and no error is certain.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/transport/control.hpp"
#include "pdadmm/backend.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// Whether this build has NCCL.
bool nccl_built();

/// Collective: rank 0 makes NCCL's id, Control::broadcast shares it, and all ranks meet. `backend` is this rank's, on
/// the device that the calling thread uses; it and `control` must outlive the transport. Messages lie in the backend's
/// memory. start() and finish() queue work and wait for nothing on the device; work that is recorded (Backend::record)
/// must not contain them.
///
/// A failed call of NCCL, or a failure that it reports later, is told to the other ranks and then to `on_failure`:
/// nothing of NCCL or CUDA ends for certain from there on, destructors included. Where that returns (tests), PeerError
/// is thrown with the rank, the call and NCCL's words. Throws DeviceError where built without NCCL, UsageError with a
/// backend other than cuda.
std::unique_ptr<Transport> make_nccl(Backend& backend, Control& control,
                                     std::function<void(const PeerFailure& failure)> on_failure = leave_job);

}  // namespace pdadmm
