// Processors that this process may use, and what they and their machine are called.
#pragma once

#include <string>

namespace pdadmm {

/// Processors that this process may run on.
int available_processors();

/// The name of the processor's type, and of this machine; "" where none can be read.
std::string processor_name();
std::string host_name();

}  // namespace pdadmm
