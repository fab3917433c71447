// Devices, for whoever takes one.
#pragma once

#include <cstddef>

namespace pdadmm::cuda {

/// The calling thread's device from here on. Throws DeviceError where it is not there, or cannot run this build.
void take_device(int device);
/// Free bytes of it, less a reserve for what comes without being planned.
std::size_t plannable_memory();

}  // namespace pdadmm::cuda
