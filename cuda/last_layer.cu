// The last layer: its proximal step with one warp a node, and the classification of logits.
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

constexpr unsigned whole_warp = 0xffffffffu;
constexpr Index nodes_per_block = pass_threads / 32;
constexpr Index most_blocks = 2048;

unsigned blocks_of(Index items, Index per_block) {
    const Index wanted = (items + per_block - 1) / per_block;
    return static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks);
}

struct Pair {
    double sum = 0, slope = 0;
};

/// Classes of one node over the lanes of a warp (math.hpp, prox_cross_entropy). Sums run as a butterfly, so that every lane
/// holds the same bits.
struct WarpLanes {
    std::int32_t classes;
    real* z;
    template <typename F>
    __device__ Pair sum2(F&& f) const {
        Pair pair;
        for (std::int32_t i = threadIdx.x % 32; i < classes; i += 32) f(i, pair.sum, pair.slope);
        for (int offset = 16; offset > 0; offset /= 2) {
            pair.sum += __shfl_xor_sync(whole_warp, pair.sum, offset);
            pair.slope += __shfl_xor_sync(whole_warp, pair.slope, offset);
        }
        return pair;
    }
    template <typename F>
    __device__ void each(F&& f) const {
        for (std::int32_t i = threadIdx.x % 32; i < classes; i += 32) f(i);
    }
    __device__ void store(std::int32_t i, double value) const { z[i] = static_cast<real>(value); }
};

__device__ double log_sum_exp(const real* z, std::int32_t classes) {
    double most = -HUGE_VAL, sum = 0;
    for (std::int32_t i = threadIdx.x % 32; i < classes; i += 32) most = fmax(most, static_cast<double>(z[i]));
    for (int offset = 16; offset > 0; offset /= 2) most = fmax(most, __shfl_xor_sync(whole_warp, most, offset));
    for (std::int32_t i = threadIdx.x % 32; i < classes; i += 32) sum += exp(static_cast<double>(z[i]) - most);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(whole_warp, sum, offset);
    return most + log(sum);
}

// r holds the target while the warp works: z is overwritten by the result.
__global__ void __launch_bounds__(pass_threads) last_step_kernel(const real* inverse, const real* h, const real* d, const std::int32_t* labels, const Controls* k,
                                                                 real* r, real* z, std::int32_t classes, Index nodes, double* partial) {
    const double nu = k->nu;
    const real step = inverse[0];
    double sums[2] = {};
    for (Index node = blockIdx.x * nodes_per_block + threadIdx.x / 32; node < nodes; node += gridDim.x * nodes_per_block) {
        real* rs = r + node * classes;
        real* zs = z + node * classes;
        const real* hs = h + node * classes;
        WarpLanes lanes{classes, zs};
        const double start = log_sum_exp(zs, classes);
        lanes.each([&](std::int32_t i) { rs[i] = rs[i] - (step * hs[i] + d[i]) + zs[i]; });
        __syncwarp();
        const ProxResult result = prox_cross_entropy(lanes, [rs](std::int32_t i) { return static_cast<double>(rs[i]); }, labels[node], nu, start);
        __syncwarp();
        if (threadIdx.x % 32 == 0) sums[0] += result.risk;
        lanes.each([&](std::int32_t i) {
            rs[i] = static_cast<real>(static_cast<double>(rs[i]) - static_cast<double>(zs[i]));
            sums[1] += static_cast<double>(rs[i]) * static_cast<double>(rs[i]);
        });
    }
    block_sum(sums);
    if (threadIdx.x == 0)
        for (int s = 0; s < 2; ++s) partial[blockIdx.x * 2 + s] = sums[s];
}

__global__ void last_figures_kernel(const double* partial, int blocks, LayerFigures* figures) {
    double risk = 0, linear = 0;
    for (int block = 0; block < blocks; ++block) {
        risk += partial[2 * block];
        linear += partial[2 * block + 1];
    }
    *figures = {linear, 0, 0, 0, figures->weight_sq, risk};
}

__global__ void __launch_bounds__(pass_threads) classify_kernel(const real* logits, Index ld, std::int32_t classes, Index nodes, const std::int32_t* labels, double* partial) {
    double sums[2] = {};
    for (Index node = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; node < nodes; node += static_cast<Index>(gridDim.x) * pass_threads) {
        const std::int32_t label = labels[node];
        if (label < 0) continue;
        const real* zs = logits + node * ld;
        std::int32_t best = 0;
        for (std::int32_t i = 1; i < classes; ++i)
            if (zs[i] > zs[best]) best = i;
        double sum = 0;
        for (std::int32_t i = 0; i < classes; ++i) sum += exp(static_cast<double>(zs[i]) - static_cast<double>(zs[best]));
        sums[0] += best == label ? 1 : 0;
        sums[1] += static_cast<double>(zs[best]) + log(sum) - static_cast<double>(zs[label]);
    }
    block_sum(sums);
    if (threadIdx.x == 0)
        for (int s = 0; s < 2; ++s) partial[blockIdx.x * 2 + s] = sums[s];
}

__global__ void tally_kernel(const double* partial, int blocks, Tally* tally) {
    for (int block = 0; block < blocks; ++block) {
        tally->correct += partial[2 * block];
        tally->cost += partial[2 * block + 1];
    }
}

}  // namespace

void CudaBackend::last_step(const real* inverse, CMat h, CMat d, const std::int32_t* labels, const Controls* k, Mat r, Mat z, LayerFigures* figures) {
    if (!r.contiguous() || !z.contiguous() || !h.contiguous() || r.size() != z.size() || r.size() != h.size())
        throw Error(ExitCode::internal, "last_step: shapes differ");
    const unsigned blocks = blocks_of(r.cols, nodes_per_block);
    double* partial = partials(2 * static_cast<Index>(blocks));
    launch("last_step", last_step_kernel, blocks, pass_threads, stream_, inverse, h.data, d.data, labels, k, r.data, z.data,
           static_cast<std::int32_t>(r.rows), r.cols, partial);
    launch("last_figures", last_figures_kernel, 1, 1, stream_, partial, static_cast<int>(blocks), figures);
}

void CudaBackend::classify(CMat logits, const std::int32_t* labels, Tally* tally) {
    const unsigned blocks = blocks_of(logits.cols, pass_threads);
    double* partial = partials(2 * static_cast<Index>(blocks));
    launch("classify", classify_kernel, blocks, pass_threads, stream_, logits.data, logits.ld, static_cast<std::int32_t>(logits.rows), logits.cols, labels, partial);
    launch("tally", tally_kernel, 1, 1, stream_, partial, static_cast<int>(blocks), tally);
}

}  // namespace pdadmm
