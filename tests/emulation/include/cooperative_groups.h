// Stand-in for CUDA's header of this name: groups within a warp, a block, a cluster and a grid.
#pragma once

#include "cuda_runtime.h"

namespace cooperative_groups {

using Place = emulation::Place;

class thread_block {
public:
    void sync(Place where = Place::current()) const { emulation::block_barrier(emulation::Vote::none, false, where); }
    unsigned thread_rank() const { return emulation::current->rank; }
    unsigned num_threads() const { return blockDim.x * blockDim.y * blockDim.z; }
    unsigned size() const { return num_threads(); }
    dim3 thread_index() const { return threadIdx; }
    dim3 group_index() const { return blockIdx; }
    dim3 dim_threads() const { return blockDim; }
};
inline thread_block this_thread_block() { return {}; }

/// What clusters and grids share. arrive() hands out the phase that wait() waits for.
template <emulation::Scope scope>
class team_group {
public:
    using arrival_token = unsigned;
    void sync(Place where = Place::current()) const {
        emulation::scope_wait(scope, emulation::scope_arrive(scope, where), where);
    }
    arrival_token barrier_arrive(Place where = Place::current()) const { return emulation::scope_arrive(scope, where); }
    void barrier_wait(arrival_token&& token, Place where = Place::current()) const {
        emulation::scope_wait(scope, token, where);
    }
};

class grid_group : public team_group<emulation::Scope::grid> {
public:
    bool is_valid() const { return emulation::launched_cooperatively(); }
    dim3 dim_blocks() const { return gridDim; }
    unsigned long long num_blocks() const { return static_cast<unsigned long long>(gridDim.x) * gridDim.y * gridDim.z; }
    unsigned long long block_rank() const {
        return (static_cast<unsigned long long>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    }
    unsigned long long num_threads() const { return num_blocks() * this_thread_block().num_threads(); }
    unsigned long long size() const { return num_threads(); }
    unsigned long long thread_rank() const {
        return block_rank() * this_thread_block().num_threads() + emulation::current->rank;
    }
};
inline grid_group this_grid() { return {}; }

class cluster_group : public team_group<emulation::Scope::cluster> {
public:
    dim3 dim_blocks() const { return emulation::cluster_dim(); }
    unsigned num_blocks() const { return dim_blocks().x * dim_blocks().y * dim_blocks().z; }
    dim3 block_index() const { return emulation::cluster_block_index(); }
    unsigned block_rank() const { return emulation::cluster_block_rank(); }
    unsigned num_threads() const { return num_blocks() * this_thread_block().num_threads(); }
    unsigned thread_rank() const { return block_rank() * this_thread_block().num_threads() + emulation::current->rank; }
    template <typename T>
    T* map_shared_rank(T* address, int rank) const {
        return static_cast<T*>(emulation::cluster_map(address, static_cast<unsigned>(rank)));
    }
};
inline cluster_group this_cluster() { return {}; }

/// `Size` neighbours in a warp.
template <unsigned Size, typename Parent = thread_block>
class thread_block_tile {
    static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0);
    static constexpr int width = static_cast<int>(Size);
    static unsigned mask() {
        return (Size == 32 ? 0xffffffffu : (1u << Size % 32) - 1) << emulation::own_lane() / Size * Size;
    }

public:
    static constexpr unsigned size() { return Size; }
    static constexpr unsigned num_threads() { return Size; }
    unsigned thread_rank() const { return emulation::current->rank % Size; }
    unsigned meta_group_rank() const { return emulation::current->rank / Size; }
    unsigned meta_group_size() const { return (this_thread_block().num_threads() + Size - 1) / Size; }
    void sync(Place where = Place::current()) const { __syncwarp(mask(), where); }
    template <typename T>
    T shfl(T value, int lane, Place where = Place::current()) const {
        return __shfl_sync(mask(), value, lane, width, where);
    }
    template <typename T>
    T shfl_up(T value, unsigned delta, Place where = Place::current()) const {
        return __shfl_up_sync(mask(), value, delta, width, where);
    }
    template <typename T>
    T shfl_down(T value, unsigned delta, Place where = Place::current()) const {
        return __shfl_down_sync(mask(), value, delta, width, where);
    }
    template <typename T>
    T shfl_xor(T value, unsigned bits, Place where = Place::current()) const {
        return __shfl_xor_sync(mask(), value, static_cast<int>(bits), width, where);
    }
    int any(int value, Place where = Place::current()) const { return ballot(value, where) != 0; }
    int all(int value, Place where = Place::current()) const { return ballot(!value, where) == 0; }
    unsigned ballot(int value, Place where = Place::current()) const {
        return __ballot_sync(mask(), value, where) >> emulation::own_lane() / Size * Size;
    }
    template <typename T, typename F>
    T gather_reduce(T value, F combine, Place where = Place::current()) const {
        return emulation::reduce(mask(), value, combine, where);
    }
};
template <unsigned Size, typename Parent>
thread_block_tile<Size, Parent> tiled_partition(const Parent&) {
    return {};
}

template <typename T>
struct plus {
    T operator()(T a, T b) const { return a + b; }
};
template <typename T>
struct less {
    T operator()(T a, T b) const { return b < a ? b : a; }
};
template <typename T>
struct greater {
    T operator()(T a, T b) const { return a < b ? b : a; }
};
template <typename Group, typename T, typename F>
T reduce(const Group& group, T value, F&& combine, Place where = Place::current()) {
    return group.gather_reduce(value, combine, where);
}

template <typename Group>
void sync(const Group& group, Place where = Place::current()) {
    group.sync(where);
}

}  // namespace cooperative_groups
