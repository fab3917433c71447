// What tests may ask of the emulated device, and plant in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulation {

/// Faults since the last call: kernels stopped by an error, damaged guard bands, and the like. A program that ends with
/// faults that nobody took exits with code 86.
std::vector<std::string> take_faults();
/// Clears errors, so that calls work again after a fault (a real device would be lost until the program ends).
void clear_errors();
/// The random choices after this are those of `seed`. At the start: PDADMM_EMULATION_SEED, or a fresh one that is
/// printed with the first fault.
void set_seed(std::uint64_t seed);
/// Size of the device's memory; at the start PDADMM_EMULATION_MEMORY bytes, or 4 GiB.
void set_memory(std::size_t bytes);
/// Devices, which share all memory; at the start PDADMM_EMULATION_DEVICES, or 1.
void set_devices(int count);
/// The allocation after `allocations` more fails; at the start PDADMM_EMULATION_FAIL_ALLOCATION.
void fail_allocation(int allocations);
/// The call of the runtime after `calls` more fails, and all after it: the device is lost. -1: never.
void lose_device(int calls);
/// The next `times` calls of that name fail, after `after` more that do not: cublasLtMatmul, where all layers are one
/// call (not supported); cublasLtMatmulAlgoGetHeuristic, of products faster than fp32 (nothing found); cooperative
/// launch (too large); cudaGraphInstantiate (not supported); cusolverDnDpotrfBatched, where it is recorded (as a call
/// that may not be); cudaFree (launch failure).
void refuse(const std::string& call, int times = 1, int after = 0);
/// Products in TF32 drop the bits of their inputs that TF32 lacks, instead of rounding them: which of the two a library
/// does is not documented.
void truncate_tf32(bool truncates);
/// Bytes of device memory in use.
std::size_t used_memory();
/// Kernels and library calls that have been run.
std::uint64_t operations();
/// Of the graph that was instantiated last: how many of its nodes stand one behind the other.
std::size_t longest_path();

}  // namespace emulation
