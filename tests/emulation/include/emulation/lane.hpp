// The device's side of the emulation: qualifiers, the position of a CUDA thread, and the few primitives (barrier,
// gathering in a warp, yielding) on which everything else is built.
//
// A block runs on one thread of the operating system and its CUDA threads ("lanes") are fibers on it, so shared memory
// is thread_local, and a kernel is an ordinary function.
#pragma once

#include <cstddef>
#include <source_location>

#include "emulation/vector_types.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#define __grid_constant__

constinit inline thread_local uint3 threadIdx{}, blockIdx{};
constinit inline thread_local dim3 blockDim{}, gridDim{};

namespace emulation {

using Place = std::source_location;

class Block;
class Fiber;

/// One CUDA thread.
struct Lane {
    uint3 thread{};
    unsigned rank = 0;  // in its block
    Block* block = nullptr;
    Fiber* fiber = nullptr;
    int state = 0;  // what a barrier or a vote hands to it
};

/// The lane that runs on this thread. Shared memory is poisoned by overwriting the whole thread-local block of the
/// program, so the emulation keeps nothing else there that its threads use than this and the built-in variables.
constinit inline thread_local Lane* current = nullptr;

/// Stops the kernel with an error that the next synchronisation reports.
[[noreturn]] void lane_fault(const char* what, const Place& where);
/// Lets other lanes run; a loop that waits for another lane or block must come through here.
void yield();
/// yield() now and then: atomic operations call it, so that their order varies and loops over them end.
void maybe_yield();

enum class Vote { none, count, all, any };
/// __syncthreads and its voting forms.
int block_barrier(Vote vote, bool value, const Place& where);
/// Every lane of `mask` must come; on return all their values are readable until release().
class Gathered {
public:
    Gathered(unsigned mask, const void* value, std::size_t bytes, const Place& where);
    Gathered(const Gathered&) = delete;
    Gathered& operator=(const Gathered&) = delete;
    ~Gathered();
    /// The value of a lane of the warp; bytes of 0xFF for a lane outside of the mask.
    const void* of(unsigned lane) const;
    unsigned mask() const { return mask_; }

private:
    struct Meeting* meeting_;
    unsigned mask_;
    friend class Block;
};

// Groups over several blocks; the phase that arrive returns is handed to wait.
enum class Scope { cluster, grid };
unsigned scope_arrive(Scope scope, const Place& where);
void scope_wait(Scope scope, unsigned phase, const Place& where);
uint3 cluster_dim();
uint3 cluster_block_index();
unsigned cluster_block_rank();
/// Where the block `rank` of the cluster has what this block has at `address` of shared memory.
void* cluster_map(const void* address, unsigned rank);
bool launched_cooperatively();

}  // namespace emulation

inline constexpr int warpSize = 32;

inline void __syncthreads(emulation::Place where = emulation::Place::current()) {
    emulation::block_barrier(emulation::Vote::none, false, where);
}
inline int __syncthreads_count(int value, emulation::Place where = emulation::Place::current()) {
    return emulation::block_barrier(emulation::Vote::count, value != 0, where);
}
inline int __syncthreads_and(int value, emulation::Place where = emulation::Place::current()) {
    return emulation::block_barrier(emulation::Vote::all, value != 0, where);
}
inline int __syncthreads_or(int value, emulation::Place where = emulation::Place::current()) {
    return emulation::block_barrier(emulation::Vote::any, value != 0, where);
}
