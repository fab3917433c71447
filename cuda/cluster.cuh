// Thread-block clusters, and flags between blocks that are on the device at the same time.
#pragma once

#include <cooperative_groups.h>

#include <cstdint>
#include <cuda/atomic>

namespace pdadmm::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
// Code for cards without clusters, so that one program holds both. Nothing launches it (SmallNetwork::plan).
__device__ inline int cluster_rank() { return 0; }
__device__ inline void cluster_barrier() { __trap(); }
template <typename T>
__device__ T* of_rank(T* mine, int) {
    return mine;
}
#else
__device__ inline int cluster_rank() { return static_cast<int>(cooperative_groups::this_cluster().block_rank()); }

/// All threads of all blocks of the cluster; shared memory written before it, also another block's, is read after it.
__device__ inline void cluster_barrier() { cooperative_groups::this_cluster().sync(); }

/// The same variable in the shared memory of the cluster's block `rank`.
template <typename T>
__device__ T* of_rank(T* mine, int rank) {
    return cooperative_groups::this_cluster().map_shared_rank(mine, rank);
}
#endif

/// A counter in device memory that one block raises and another waits for.
using Flag = std::uint32_t;
__device__ inline ::cuda::atomic_ref<Flag, ::cuda::thread_scope_device> flag_of(Flag* flag) {
    return ::cuda::atomic_ref<Flag, ::cuda::thread_scope_device>(*flag);
}

/// Everything that the block wrote before is seen by a block that waits for `value`.
__device__ inline void publish(Flag* flag, Flag value) {
    __syncthreads();
    if (threadIdx.x == 0) flag_of(flag).store(value, ::cuda::memory_order_release);
}

/// Waits until the flag is at least `value` (the counter may wrap); false after `polls` in vain. For one thread of a
/// block: what was published is seen behind the block's next barrier.
__device__ inline bool arrives(Flag* flag, Flag value, unsigned polls) {
    for (; polls > 0; --polls) {
        if (static_cast<std::int32_t>(flag_of(flag).load(::cuda::memory_order_acquire) - value) >= 0) return true;
        __nanosleep(20);
    }
    return false;
}

}  // namespace pdadmm::cuda
