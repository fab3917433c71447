// What a block of the persistent kernel for small networks holds and how it talks to the other blocks of its layer
// (small_network.cuh).
#pragma once

#include "cuda/check.cuh"
#include "cuda/cluster.cuh"
#include "cuda/small_network.cuh"
#include "cuda/small_network_layout.hpp"
#include "cuda/small_network_products.cuh"

namespace pdadmm::cuda::small {

/// A layer in device memory, as the ordinary path keeps it; uploaded once.
struct Layer {
    Shape shape;
    Layout layout;
    real *W, *b, *p, *z, *r, *q, *u;       // q and u: null for the last layer
    const real *p_next, *q_prev, *u_prev;  // of the neighbours; null where there is none
    const real* K;                         // node space only, as V, S and scalars
    real *V, *S;
    NodeSpaceScalars* scalars;
    Labels labels;                      // last layer only
    Flag *p_ready, *q_ready;            // counters of this layer, one a block
    Flag *p_next_ready, *q_prev_ready;  // of the neighbours
};

/// A block's part: nodes `first` to first + count of one layer. The record itself lies in shared memory, too: as a
/// variable of every thread it would fill its registers, and what is spilled is lost from the cache at each barrier of
/// the cluster. Shapes: W G (n, m)  p g (m, count)  z r (n, count)  K (N, count)  b d (n); leading dimensions
/// padded(rows). In node space r_all holds the r of all N nodes, and V and S stay in device memory: they are touched
/// once an iteration.
struct Part {
    Layer global;
    int n, m, ldn, ldm, cluster, rank, first, count;
    real rho, nu, mu;
    StepSpec spec;
    Walk of_n, of_m;
    Flag start;                    // iterations that the flags counted before this launch
    LayerFigures* launch_figures;  // of all layers, iteration by iteration
    unsigned polls;                // before a wait is given up
    Stall* stall;
    NodeSpaceScalars scalars[2];  // before and after odd iterations, in turn

    __device__ real* W() const { return reals(global.layout.W); }
    __device__ real* G() const { return reals(global.layout.G); }
    __device__ real* h() const { return G(); }  // h = W g is dead before G is formed,
    __device__ real* p() const { return reals(global.layout.p); }
    __device__ real* g() const { return reals(global.layout.g); }
    __device__ real* H() const { return g(); }  // and g before H = G p
    __device__ real* z() const { return reals(global.layout.z); }
    __device__ real* r_all() const { return reals(global.layout.r); }
    __device__ real* r() const { return r_all() + (global.shape.node_space ? ldn * first : 0); }
    __device__ real* K() const { return reals(global.layout.K); }
    __device__ real* b() const { return reals(global.layout.b); }
    __device__ real* d() const { return reals(global.layout.d); }
    __device__ double* warp_sums() const { return doubles(global.layout.warp_sums); }
    __device__ double* p_sums() const { return doubles(global.layout.p_sums); }
    __device__ double* W_sums() const { return doubles(global.layout.W_sums); }
    __device__ double* figures() const { return doubles(global.layout.figures); }
    __device__ double* row_sums() const { return doubles(global.layout.row_sums); }
    __device__ Index inputs_at() const { return static_cast<Index>(first) * m; }
    __device__ Index outputs_at() const { return static_cast<Index>(first) * n; }

private:
    static __device__ real* reals(int offset) { return reinterpret_cast<real*>(dynamic_shared + offset); }
    static __device__ double* doubles(int offset) { return reinterpret_cast<double*>(dynamic_shared + offset); }
};

constexpr int static_bytes = 1024;  // of shared memory beside the parts' arrays: the record
static_assert(sizeof(Part) <= static_bytes);
constexpr int batch = 5;  // elements whose loads from device memory a thread has under way at once

/// use(element, load(element)) for the elements of `columns` columns that are this thread's.
template <typename Load, typename Use>
__device__ void each_element(const Walk& walk, int columns, Load load, Use use) {
    const Walk w = walk;
    const int count = w.rows * columns;
    for (Element e = first_element(w, static_cast<int>(threadIdx.x)); e.at < count;) {
        Element next = e;
        decltype(load(e)) loaded[batch];
        for (int k = 0; k < batch; ++k, next = next_element(w, next))
            if (next.at < count) loaded[k] = load(next);
        for (int k = 0; k < batch; ++k, e = next_element(w, e))
            if (e.at < count) use(e, loaded[k]);
    }
}
template <typename Use>
__device__ void each_element(const Walk& walk, int columns, Use use) {
    const Walk w = walk;
    const int count = w.rows * columns;
    for (Element e = first_element(w, static_cast<int>(threadIdx.x)); e.at < count; e = next_element(w, e)) use(e);
}

/// The block's last thread waits for a neighbour's flag; until the block's next barrier the other warps go on. A
/// neighbour that never comes is an error of ours: the launch ends with words on where, and does not hang.
__device__ inline void expect(const Part& s, Flag* flag, Flag value, Stall::Of what) {
    if (threadIdx.x + 1 != blockDim.x || arrives(flag, value, s.polls)) return;
    s.stall->note(static_cast<int>(blockIdx.y) + 1, s.rank, what);
    __threadfence_system();
    __trap();
}

/// Quads of an n x m array that are this block's to sum and to send.
struct Share {
    int first, end;
};
__device__ inline Share share_of_weights(const Part& s) {
    const int quads = s.ldn / 4 * s.m;
    return {first_node(quads, s.cluster, s.rank), first_node(quads, s.cluster, s.rank + 1)};
}

template <int K>
__device__ void store_warp_sums(const Part& s, double (&sums)[K]) {
    for (int k = 0; k < K; ++k) {
        for (int offset = 16; offset > 0; offset /= 2) sums[k] += __shfl_down_sync(0xffffffffu, sums[k], offset);
        if (threadIdx.x % 32 == 0) s.warp_sums()[k * warps + static_cast<int>(threadIdx.x) / 32] = sums[k];
    }
    __syncthreads();
}
__device__ inline double block_total(const Part& s, int k) {
    double total = 0;
    for (int warp = 0; warp < warps; ++warp) total += s.warp_sums()[k * warps + warp];
    return total;
}

/// Sums over all threads of the cluster, in a fixed order: the same bits in every thread. A barrier of the cluster, and
/// one more must lie between two uses of the same `slots`: a block may still be reading.
template <int K>
__device__ void cluster_sum(const Part& s, double* slots, double (&sums)[K]) {
    static_assert(K <= most_sums);
    store_warp_sums(s, sums);
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < s.cluster * K) of_rank(slots, thread / K)[s.rank * K + thread % K] = block_total(s, thread % K);
    cluster_barrier();
    for (int k = 0; k < K; ++k) {
        sums[k] = 0;
        for (int rank = 0; rank < s.cluster; ++rank) sums[k] += slots[rank * K + k];
    }
}

/// Sends the part's figures to the cluster's first block, which adds them up after the next barrier.
__device__ inline void send_figures(const Part& s, double (&sums)[figure_count]) {
    store_warp_sums(s, sums);
    const int k = static_cast<int>(threadIdx.x);
    if (k < figure_count) of_rank(s.figures(), 0)[s.rank * figure_count + k] = block_total(s, k);
}
/// ... those of the iteration before `done`, if it was one of this launch.
__device__ inline void collect_figures(const Part& s, Flag done) {
    const int k = static_cast<int>(threadIdx.x);
    if (done == s.start || s.rank != 0 || k >= figure_count) return;
    double total = 0;
    for (int rank = 0; rank < s.cluster; ++rank) total += s.figures()[rank * figure_count + k];
    reinterpret_cast<double*>(s.launch_figures + static_cast<Index>(done - s.start - 1) * gridDim.y + blockIdx.y)[k] =
        total;
}

}  // namespace pdadmm::cuda::small
