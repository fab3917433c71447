// The threads of the operating system on which blocks run. They are kept from launch to launch.
#pragma once

#include <functional>

#include "tests/emulation/block.hpp"

namespace emulation {

/// Calls work(seat, 0 .. count - 1) on as many threads at the same time and waits for all of them. Ends the program
/// with the name of `kernel` where they do not come to an end (a loop over a variable that nobody changes, say).
void run_crew(unsigned count, const void* kernel, const std::function<void(Seat&, unsigned)>& work);

}  // namespace emulation
