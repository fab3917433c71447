// Training nodes of which other ranks hold some, on CUDA devices: parts of sums, and columns of all ranks.
#include <algorithm>

#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

struct PartSums {
    PartSum sums[NodeParts::most_sums];
    int count;
};

template <typename T>
__global__ void __launch_bounds__(pass_threads) add_parts_kernel(PartSums all, Index count, T* parts) {
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < count;
         at += static_cast<Index>(gridDim.x) * pass_threads)
        for (int i = 0; i < all.count; ++i) parts[all.sums[i].to * count + at] += parts[all.sums[i].from * count + at];
}

template <typename T>
void add_in_order(Lane& lane, std::span<const PartSum> sums, Index count, T* parts) {
    if (sums.empty() || count == 0) return;
    PartSums all{};
    if (sums.size() > std::size(all.sums)) throw Error(ExitCode::internal, "add_parts: too many");
    std::copy(sums.begin(), sums.end(), all.sums);
    all.count = static_cast<int>(sums.size());
    const Index blocks = std::min<Index>(pass_blocks, (count + pass_threads - 1) / pass_threads);
    launch("add_parts", add_parts_kernel<T>, static_cast<unsigned>(blocks), pass_threads, lane.stream, all, count,
           parts);
}

}  // namespace

void CudaBackend::divide_nodes(NodeSums* others) {
    others_ = others;
    for (Lane& one : lanes_) one.others = others;
}

CMat CudaBackend::all_nodes(CMat own, Mat whole) {
    if (!others_) return own;
    if (whole.rows != own.rows || whole.cols != others_->nodes() || whole.batch != own.batch || !own.contiguous() ||
        !whole.contiguous())
        throw Error(ExitCode::internal, "all_nodes: shapes differ");
    for (Index l = 0; l < own.batch; ++l)
        send(lane(), [others = others_, from = own.layer(l), to = whole.layer(l)] {
            others->gather(reinterpret_cast<const std::byte*>(from.data), reinterpret_cast<std::byte*>(to.data),
                           static_cast<std::size_t>(from.rows) * sizeof(real));
        });
    return whole;
}

void CudaBackend::add_parts(std::span<const PartSum> sums, Index count, float* parts) {
    add_in_order(lane(), sums, count, parts);
}
void CudaBackend::add_parts(std::span<const PartSum> sums, Index count, double* parts) {
    add_in_order(lane(), sums, count, parts);
}

void CudaBackend::copy_bytes(const void* from, void* to, std::size_t bytes) {
    if (bytes) PDADMM_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, lane().stream));
}

}  // namespace pdadmm
