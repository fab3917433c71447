// GPU ranks as processes: messages by NCCL. Built without NCCL, make_nccl throws.
#pragma once

#include <memory>

#include "pdadmm/backend.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// Whether this build has NCCL.
bool nccl_built();

/// Collective: the transport between the GPUs of all ranks; `backend`, this rank's, and `control` must outlive it. Throws DeviceError
/// without NCCL.
std::unique_ptr<Transport> make_nccl(Backend& backend, Control& control);

}  // namespace pdadmm
