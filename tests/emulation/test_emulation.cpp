// The emulated device runs right kernels right, and finds planted bugs: a detector that finds nothing proves nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cooperative_groups.h"
#include "tests/emulation/emulation_bench.hpp"

namespace pdadmm::cuda {
extern __shared__ std::byte dynamic_shared[];
}

using namespace emulation_test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

class Emulation : public EmulationTest {};

constexpr int threads = 96;

template <bool barrier>
__global__ void neighbour_kernel(const int* from, int* to) {
    __shared__ int values[threads];
    values[threadIdx.x] = from[threadIdx.x];
    if constexpr (barrier) __syncthreads();
    to[threadIdx.x] = values[(threadIdx.x + 1) % threads];
}

std::vector<int> counting(int count) {
    std::vector<int> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), 0);
    return values;
}

TEST_F(Emulation, FindsAMissingBarrier) {
    std::vector<int> turned = counting(threads);
    std::rotate(turned.begin(), turned.begin() + 1, turned.end());
    const int* from = filled(counting(threads));
    int* to = array<int>(threads);
    ASSERT_EQ(start({1, threads}, stream, neighbour_kernel<true>, from, to), cudaSuccess);
    EXPECT_EQ(read(to, threads), turned);
    ASSERT_EQ(start({1, threads}, stream, neighbour_kernel<false>, from, to), cudaSuccess);
    EXPECT_NE(read(to, threads), turned);
}

__global__ void add_rank_kernel(int* values, int count) {
    const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count) values[at] += at;
}

TEST_F(Emulation, FindsAWriteOutOfBounds) {
    int* values = filled<int>(std::vector<int>(1000, 5));
    ASSERT_EQ(start({8, 128}, stream, add_rank_kernel, values, 1000), cudaSuccess);
    EXPECT_EQ(read(values, 1000)[999], 1004);
#if defined(__SANITIZE_ADDRESS__)
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH((start({8, 128}, stream, add_rank_kernel, values, 1001), cudaDeviceSynchronize()),
                 "use-after-poison.*|add_rank_kernel");
#else
    ASSERT_EQ(start({8, 128}, stream, add_rank_kernel, values, 1001), cudaSuccess);
    EXPECT_THAT(fault(),
                AllOf(HasSubstr("add_rank_kernel"), HasSubstr("out of the bounds of an allocation of 4000 bytes")));
#endif
}

__global__ void quad_kernel(const float* from, float* to, int offset) {
    *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(from + offset);
}

TEST_F(Emulation, FindsAVectorThatIsNotAligned) {
    const float* from = filled<float>(std::vector<float>(16, 3));
    float* to = array<float>(4);
    ASSERT_EQ(start({1, 1}, stream, quad_kernel, from, to, 4), cudaSuccess);
    EXPECT_EQ(read(to, 4)[3], 3);
    ASSERT_EQ(start({1, 1}, stream, quad_kernel, from, to, 2), cudaSuccess);
    EXPECT_THAT(fault(), AllOf(HasSubstr("quad_kernel"), HasSubstr("no multiple of 16 (test_emulation.cpp:")));
}

__global__ void shared_sum_kernel(float* to, int written) {
    __shared__ float values[threads];
    if (static_cast<int>(threadIdx.x) < written) values[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x != 0) return;
    float sum = 0;
    for (const float value : values) sum += value;
    *to = sum;
}

TEST_F(Emulation, SharedMemoryHoldsNothingFromTheBlockBefore) {
    float* sum = array<float>(1);
    ASSERT_EQ(start({1, threads}, stream, shared_sum_kernel, sum, threads), cudaSuccess);
    EXPECT_EQ(read(sum, 1)[0], threads);
    ASSERT_EQ(start({1, threads}, stream, shared_sum_kernel, sum, threads - 1), cudaSuccess);
    EXPECT_TRUE(std::isnan(read(sum, 1)[0]));
    EXPECT_TRUE(std::isnan(read(array<float>(1), 1)[0])) << "new memory";
}

__global__ void diverged_kernel() {
    if (threadIdx.x < 32) __syncthreads();
}
__global__ void two_barriers_kernel() {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}
__global__ void ended_lane_kernel(int* to) {
    if (threadIdx.x % 32 == 31) return;
    *to = __shfl_down_sync(0xffffffffu, 1, 1);
}
__global__ void waiting_block_kernel(int* flag) {
    if (blockIdx.x == 0)
        atomicExch(flag, 1);
    else
        while (atomicAdd(flag, 0) == 0) __nanosleep(100);
    if (blockIdx.x == 0)
        while (atomicAdd(flag, 0) != 2) __nanosleep(100);
}

TEST_F(Emulation, FindsBarriersThatAreNotReached) {
    ASSERT_EQ(start({2, 64}, stream, diverged_kernel), cudaSuccess);
    EXPECT_THAT(fault(), AllOf(HasSubstr("diverged_kernel"), HasSubstr("32 of 64 threads at the block barrier"),
                               HasSubstr("32 of 64 threads have ended")));
    ASSERT_EQ(start({1, 64}, stream, two_barriers_kernel), cudaSuccess);
    EXPECT_THAT(fault(),
                AllOf(HasSubstr("two_barriers_kernel"), HasSubstr("block barrier that other threads wait for")));
    ASSERT_EQ(start({1, 64}, stream, ended_lane_kernel, array<int>(1)), cudaSuccess);
    EXPECT_THAT(fault(), HasSubstr("ended_lane_kernel"));
    ASSERT_EQ(start({2, 1}, stream, waiting_block_kernel, filled<int>({0})), cudaSuccess);
    EXPECT_THAT(fault(), AllOf(HasSubstr("waiting_block_kernel"), HasSubstr("wait for another block")));
}

template <bool enough>
__global__ void dynamic_kernel(int* to) {
    auto* values = reinterpret_cast<int*>(pdadmm::cuda::dynamic_shared);
    values[threadIdx.x + (enough ? 0 : 1)] = static_cast<int>(threadIdx.x);
    __syncthreads();
    to[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

TEST_F(Emulation, DynamicSharedMemoryHasItsSize) {
    int* to = array<int>(128);
    const Shape shape{1, 128, 128 * sizeof(int)};
    ASSERT_EQ(start(shape, stream, dynamic_kernel<true>, to), cudaSuccess);
    EXPECT_EQ(read(to, 128)[0], 127);
    ASSERT_EQ(start(shape, stream, dynamic_kernel<false>, to), cudaSuccess);
    EXPECT_THAT(fault(), HasSubstr("behind the dynamic shared memory"));
    EXPECT_EQ(start({1, 128, 100 << 10}, stream, dynamic_kernel<true>, to), cudaErrorInvalidValue) << "not asked for";
    ASSERT_EQ(cudaFuncSetAttribute(dynamic_kernel<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 << 10),
              cudaSuccess);
    EXPECT_EQ(start({1, 128, 227 << 10}, stream, dynamic_kernel<true>, to), cudaSuccess);
    EXPECT_EQ(cudaFuncSetAttribute(dynamic_kernel<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 << 10),
              cudaErrorInvalidValue);
    EXPECT_EQ(read(to, 128)[127], 0);
    ASSERT_EQ(cudaFuncSetAttribute(dynamic_kernel<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 48 << 10),
              cudaSuccess);  // for a test that is repeated
}

/// Sums of blocks by shuffles, then of the grid by the last block to arrive.
__global__ void sum_kernel(const float* values, int count, float* partial, unsigned* arrived, float* total) {
    __shared__ float of_warps[8];
    __shared__ bool last;
    float sum = 0;
    for (int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); at < count;
         at += static_cast<int>(gridDim.x * blockDim.x))
        sum += values[at];
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = 0;
        for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) partial[blockIdx.x] += of_warps[warp];
        __threadfence();
        last = atomicInc(arrived, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        *total = 0;
        for (unsigned block = 0; block < gridDim.x; ++block) *total += partial[block];
    }
}

TEST_F(Emulation, SumsOverBlocks) {
    const int count = 10000;
    std::vector<float> values(count);
    for (int i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = static_cast<float>(i % 17);
    float* total = array<float>(1);
    ASSERT_EQ(start({7, 256}, stream, sum_kernel, filled(values), count, array<float>(7), filled<unsigned>({0}), total),
              cudaSuccess);
    EXPECT_EQ(read(total, 1)[0], std::accumulate(values.begin(), values.end(), 0.0f));
}

__global__ void votes_kernel(int* to) {
    const unsigned lane = threadIdx.x % 32;
    const int counted = __syncthreads_count(threadIdx.x < 40);
    const unsigned ballot = __ballot_sync(0xffffffffu, lane < 5);
    const unsigned half = lane < 16 ? 0xffffu : 0xffff0000u;
    const int sum = __reduce_add_sync(half, static_cast<int>(lane));
    const int most = __reduce_max_sync(half, static_cast<int>(lane));
    const int first = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x), 0);
    const auto tile = cooperative_groups::tiled_partition<8>(cooperative_groups::this_thread_block());
    const int of_tile = cooperative_groups::reduce(tile, 1, cooperative_groups::plus<int>());
    const bool right = counted == 40 && ballot == 31 && sum == (lane < 16 ? 120 : 376) &&
                       most == (lane < 16 ? 15 : 31) && of_tile == 8 &&
                       first == static_cast<int>(threadIdx.x / 32 * 32) && __any_sync(0xffffffffu, lane == 3) &&
                       !__all_sync(0xffffffffu, lane == 3);
    to[threadIdx.x] = right;
}

TEST_F(Emulation, VotesAndReductions) {
    int* to = array<int>(64);
    ASSERT_EQ(start({1, 64}, stream, votes_kernel, to), cudaSuccess);
    EXPECT_EQ(read(to, 64), std::vector<int>(64, 1));
}

/// The sum over a cluster by distributed shared memory.
template <bool stays>
__global__ void cluster_kernel(float* to) {
    __shared__ float mine;
    const auto cluster = cooperative_groups::this_cluster();
    if (threadIdx.x == 0) mine = static_cast<float>(blockIdx.x);
    cluster.sync();
    float sum = 0;
    for (unsigned rank = 0; rank < cluster.num_blocks(); ++rank)
        sum += *cluster.map_shared_rank(&mine, static_cast<int>(rank));
    if constexpr (!stays) {
        if (cluster.block_rank() == 1) return;
    }
    cluster.sync();
    if (threadIdx.x == 0) to[blockIdx.x] = sum;
}

TEST_F(Emulation, ClustersShareTheirMemory) {
    float* to = array<float>(12);
    ASSERT_EQ(start({12, 64, 0, 4}, stream, cluster_kernel<true>, to), cudaSuccess);
    EXPECT_EQ(read(to, 12), (std::vector<float>{6, 6, 6, 6, 22, 22, 22, 22, 38, 38, 38, 38}));
    EXPECT_EQ(start({10, 64, 0, 4}, stream, cluster_kernel<true>, to), cudaErrorInvalidConfiguration);
    EXPECT_EQ(start({12, 64, 0, 12}, stream, cluster_kernel<true>, to), cudaErrorInvalidClusterSize);
    ASSERT_EQ(start({4, 64, 0, 4}, stream, cluster_kernel<false>, to), cudaSuccess);
    EXPECT_THAT(fault(), AllOf(HasSubstr("cluster_kernel"), HasSubstr("a block ended before the barrier")));
}

/// A barrier over the grid by hand, and rounds of a shift that need it.
template <bool by_hand>
__global__ void rounds_kernel(int* values, int* next, unsigned* arrived, int rounds) {
    const unsigned at = blockIdx.x;
    for (int round = 0; round < rounds; ++round) {
        if (threadIdx.x == 0) next[at] = values[(at + 1) % gridDim.x] + 1;
        for (int half = 0; half < 2; ++half) {
            if constexpr (by_hand) {
                __syncthreads();
                if (threadIdx.x == 0) {
                    __threadfence();
                    const unsigned wanted = (atomicAdd(arrived, 1) / gridDim.x + 1) * gridDim.x;
                    while (atomicAdd(arrived, 0) < wanted) __nanosleep(50);
                    __threadfence();
                }
                __syncthreads();
            } else {
                cooperative_groups::this_grid().sync();
            }
            if (half == 0 && threadIdx.x == 0) values[at] = next[at];
        }
    }
}

TEST_F(Emulation, BlocksOfACooperativeGridRunTogether) {
    constexpr int blocks = 20, rounds = 5;
    for (const auto kernel : {rounds_kernel<true>, rounds_kernel<false>}) {
        int* values = filled(counting(blocks));
        ASSERT_EQ(
            start({blocks, 32, 0, 1, true}, stream, kernel, values, array<int>(blocks), filled<unsigned>({0}), rounds),
            cudaSuccess);
        const std::vector<int> now = read(values, blocks);
        for (int i = 0; i < blocks; ++i) EXPECT_EQ(now[static_cast<std::size_t>(i)], (i + rounds) % blocks + rounds);
    }
    int* values = filled(counting(blocks));
    ASSERT_EQ(start({blocks, 32}, stream, rounds_kernel<false>, values, values, nullptr, 1), cudaSuccess);
    EXPECT_THAT(fault(), HasSubstr("not launched cooperatively"));
    EXPECT_EQ(start({132 * 32 + 1, 64, 0, 1, true}, stream, rounds_kernel<false>, values, values, nullptr, 1),
              cudaErrorCooperativeLaunchTooLarge);
}

__global__ void chain_kernel(int* values) {
    if (blockIdx.x > 0) values[blockIdx.x] = values[blockIdx.x - 1] + 1;
}

TEST_F(Emulation, BlocksHaveNoOrder) {
    std::vector<int> zeros(64, 0);
    int* values = filled(zeros);
    ASSERT_EQ(start({64, 1}, stream, chain_kernel, values), cudaSuccess);
    EXPECT_NE(read(values, 64), counting(64));
}

}  // namespace
