// What tests may ask of the NCCL stand-in, and plant in it.
#pragma once

#include <nccl.h>

#include <cstddef>
#include <string>
#include <vector>

namespace emulation {

struct NcclCall {
    std::string name;  // "ncclSend"
    int rank = -1;     // -1: before there is a communicator
    int peer = -1;
    std::size_t bytes = 0;
    cudaStream_t stream = nullptr;
};
/// Calls since the last time, but those that poll, in the order of each rank.
std::vector<NcclCall> take_nccl_calls();

/// The call `name` of `rank` after `calls` more fails with `result`: at once, or later where it is asynchronous.
struct NcclFault {
    std::string name;
    int rank = 0;
    int calls = 0;
    ncclResult_t result = ncclSystemError;
    bool asynchronous = false;
};
void plant_nccl_fault(const NcclFault& fault);
/// Whether the planted fault has happened.
bool nccl_fault_happened();

/// Forgets all communicators (those of ranks that failed are never destroyed), calls and faults.
void reset_nccl();

}  // namespace emulation
