// The memory of a backend for ranks that are threads (host/transport/local.hpp).
#pragma once

#include "host/transport/local.hpp"
#include "pdadmm/backend.hpp"

namespace pdadmm {

/// How LocalTransport of a rank with `backend`, which must outlive it, reaches messages: at once where the host can
/// address them (cpu); else by the device's own order and over the host, so that any two devices of the process reach
/// each other.
LocalMemory local_memory(Backend& backend);

}  // namespace pdadmm
