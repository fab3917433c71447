// How much memory this process may still take.
#pragma once

#include <cstdint>

#include "pdadmm/error.hpp"

namespace pdadmm {

/// Memory has no room for an input file (exit 3), or for what is computed of a graph (exit 4).
struct TooLargeError : DataError {
    using DataError::DataError;
};
struct NoRoomError : DeviceError {
    using DeviceError::DeviceError;
};

/// The least of what the machine has available (MemAvailable), what is left of a control group's limit (containers,
/// Slurm) and of an address space limit (ulimit -v). The largest number where none can be read.
std::uint64_t available_memory();

/// What an address space limit alone leaves: also memory that is mapped and never touched counts there.
std::uint64_t available_address_space();

}  // namespace pdadmm
