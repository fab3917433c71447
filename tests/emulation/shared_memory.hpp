// Shared memory of the block on this thread: every __shared__ variable is thread_local, so all of them lie in the
// thread's block of thread-local storage of the program.
#pragma once

#include <cstddef>

namespace emulation {

inline constexpr std::size_t most_shared_bytes = std::size_t{227} << 10;  // of a block, compute capability 9

/// This thread's thread-local block. The same variable has the same offset in every thread.
std::byte* thread_local_block();
/// Fills shared memory with NaN bits; `bytes` of the dynamic part are in use.
void poison_shared_memory(std::size_t bytes);
/// Whether nothing was written behind the `bytes` of dynamic shared memory.
bool shared_memory_intact(std::size_t bytes);

}  // namespace emulation
