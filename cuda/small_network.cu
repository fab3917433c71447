// The persistent kernel for small networks, its plan and its launch (small_network.cuh).
//
// Flags: p_ready and q_ready of a block count iterations since the plan was made, so nothing is reset between launches,
// and a block finds in its own flag what all others have reached. One copy of p, q and u is enough: a block overwrites
// q only after its neighbour has published the p that it computed from the last q, and p only after it has read a q
// that its neighbour computed from the last p.
#include "cuda/small_network.cuh"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/small_network_steps.cuh"

namespace pdadmm::cuda {
namespace small {
namespace {

/// What all blocks of a launch share.
struct Run {
    const Controls* k;
    StepSpec spec;
    LayerFigures* figures;
    Controls* controls;
    int iterations;
    unsigned polls;
    Stall* stall;
};

__device__ void describe(Part& s, const Run& run) {
    const Shape& shape = s.global.shape;
    s.n = shape.n;
    s.m = shape.m;
    s.ldn = padded(shape.n);
    s.ldm = padded(shape.m);
    s.cluster = shape.cluster;
    s.rank = cluster_rank();
    s.first = first_node(shape.N, shape.cluster, s.rank);
    s.count = first_node(shape.N, shape.cluster, s.rank + 1) - s.first;
    s.rho = run.k->rho;
    s.nu = run.k->nu;
    s.mu = run.k->mu;
    s.spec = run.spec;
    s.polls = run.polls;
    s.stall = run.stall;
    s.of_n = walk_of(shape.n);
    s.of_m = walk_of(shape.m);
    s.start = (s.global.q ? s.global.q_ready : s.global.p_ready)[s.rank];
    s.launch_figures = run.figures;
    if (shape.node_space) s.scalars[s.start % 2] = *s.global.scalars;
}

/// A number of columns of device memory into shared memory with leading dimension ld, and back.
__device__ void load(const real* from, const Walk& walk, int columns, real* to, int ld) {
    each_element(
        walk, columns, [&](const Element& e) { return from[e.at]; },
        [&](const Element& e, real value) { to[e.column * ld + e.row] = value; });
}
__device__ void store(const real* from, int ld, const Walk& walk, int columns, real* to) {
    each_element(walk, columns, [&](const Element& e) { to[e.at] = from[e.column * ld + e.row]; });
}

/// All of shared memory is zero first: what lies between the rows stays so.
__device__ void load_part(const Part& s) {
    for (int at = static_cast<int>(threadIdx.x) * 16; at < s.global.layout.bytes; at += threads * 16)
        *reinterpret_cast<uint4*>(dynamic_shared + at) = uint4{0, 0, 0, 0};
    __syncthreads();
    const int N = s.global.shape.N;
    load(s.global.z + s.outputs_at(), s.of_n, s.count, s.z(), s.ldn);
    load(s.global.b, s.of_n, 1, s.b(), s.ldn);
    if (s.global.shape.node_space) {
        load(s.global.r, s.of_n, N, s.r_all(), s.ldn);
        load(s.global.K + static_cast<Index>(s.first) * N, walk_of(N), s.count, s.K(), padded(N));
    } else {
        load(s.global.r + s.outputs_at(), s.of_n, s.count, s.r(), s.ldn);
        load(s.global.W, s.of_n, s.m, s.W(), s.ldn);
        load(s.global.p + s.inputs_at(), s.of_m, s.count, s.p(), s.ldm);
    }
    cluster_barrier();  // before another block writes here
}

/// p, q, u, V and S are in device memory already.
__device__ void store_part(const Part& s, Flag done) {
    store(s.z(), s.ldn, s.of_n, s.count, s.global.z + s.outputs_at());
    store(s.r(), s.ldn, s.of_n, s.count, s.global.r + s.outputs_at());
    if (!s.global.shape.node_space) {
        const int first = first_node(s.m, s.cluster, s.rank), end = first_node(s.m, s.cluster, s.rank + 1);
        store(s.W() + first * s.ldn, s.ldn, s.of_n, end - first, s.global.W + static_cast<Index>(first) * s.n);
    }
    if (s.rank != 0) return;
    store(s.b(), s.ldn, s.of_n, 1, s.global.b);
    if (s.global.shape.node_space && threadIdx.x == 0) *s.global.scalars = s.scalars[done % 2];
}

/// One iteration of design 2.
template <int width>
__device__ void iterate(Part& s, Flag done) {
    double figures[figure_count] = {};
    if (s.global.q_prev) update_p<width>(s, done);
    const bool node_space = s.global.shape.node_space;
    const real step = node_space ? update_W_in_node_space<width>(s, done) : update_W<width>(s, done);
    update_b(s, step);
    if (s.global.q)
        update_z_q_u(s, step, done, figures);
    else
        update_last_z(s, step, figures);
    if (node_space) {
        send_residual(s);
        if (s.rank == 0 && threadIdx.x == 0) figures[4] = s.scalars[(done + 1) % 2].weight_sq;
    } else {
        figures[4] = descend_W(s, step);
    }
    send_figures(s, figures);
}

template <int width>
__global__ void __launch_bounds__(threads, 1) small_network_kernel(const Layer* layers, Run run) {
    __shared__ Part s;
    if (threadIdx.x == 0) s.global = layers[blockIdx.y];
    __syncthreads();
    if (threadIdx.x == 0) describe(s, run);
    __syncthreads();
    load_part(s);
    if (blockIdx.x == 0 && blockIdx.y == 0)
        for (int i = static_cast<int>(threadIdx.x); i < run.iterations; i += threads) run.controls[i] = *run.k;
    const Flag end = s.start + static_cast<Flag>(run.iterations);
    for (Flag done = s.start; done != end; ++done) iterate<width>(s, done);
    cluster_barrier();  // figures are here, and no block leaves while another may write to it
    collect_figures(s, end);
    store_part(s, end);
}

using Kernel = void (*)(const Layer*, Run);
Kernel kernel_of(int width) {
    switch (width) {
        case 4:
            return small_network_kernel<4>;
        case 5:
            return small_network_kernel<5>;
        default:
            return small_network_kernel<6>;
    }
}

bool contiguous(const CMat& m, Index rows, Index cols) {
    return m.data && m.rows == rows && m.cols == cols && m.contiguous();
}

/// The layers of the groups one by one; false where a view has gaps, layers are missing, or nodes are in ranges.
bool take_apart(std::span<const LayerGroup> groups, std::vector<Layer>& layers) {
    if (groups.empty() || !groups.front().is_first || !groups.back().is_last) return false;
    for (const LayerGroup& group : groups)
        for (Index k = 0; k < group.count; ++k) {
            const Index n = group.z.rows, m = group.p.rows, N = group.z.cols;
            if (group.ranges > 1) return false;  // its sums are those of all nodes at once
            if (!contiguous(group.z, n, N) || !contiguous(group.r, n, N) || !contiguous(group.p, m, N)) return false;
            if (group.node_space
                    ? !contiguous(group.K, N, N) || !contiguous(group.V, n, N) || !contiguous(group.S, n, N)
                    : !contiguous(group.W, n, m))
                return false;
            if (!group.is_last &&
                (!contiguous(group.q, n, N) || !contiguous(group.u, n, N) || !contiguous(group.p_next, n, N)))
                return false;
            if (!group.is_first && (!contiguous(group.q_prev, m, N) || !contiguous(group.u_prev, m, N))) return false;
            Layer layer{};
            layer.shape = {static_cast<int>(n), static_cast<int>(m), static_cast<int>(N), 0, group.node_space};
            layer.W = group.W.layer(k).data;
            layer.b = group.b.layer(k).data;
            layer.p = group.p.layer(k).data;
            layer.z = group.z.layer(k).data;
            layer.r = group.r.layer(k).data;
            if (!group.is_last) {
                layer.q = group.q.layer(k).data;
                layer.u = group.u.layer(k).data;
                layer.p_next = group.p_next.layer(k).data;
            }
            if (!group.is_first) {
                layer.q_prev = group.q_prev.layer(k).data;
                layer.u_prev = group.u_prev.layer(k).data;
            }
            if (group.node_space) {
                layer.K = group.K.data;
                layer.V = group.V.data;
                layer.S = group.S.data;
                layer.scalars = group.node_scalars;
            }
            layer.labels = group.labels;
            layers.push_back(layer);
        }
    return true;
}

/// Cuts every layer for `cluster` blocks and returns the shared memory of the largest part.
Index cut(std::vector<Layer>& layers, int cluster) {
    Index most = 0;
    for (Layer& layer : layers) {
        layer.shape.cluster = cluster;
        layer.layout = layout_of(layer.shape);
        most = std::max<Index>(most, layer.layout.bytes);
    }
    return most;
}

}  // namespace
}  // namespace small

namespace {

Launch launch_of(int cluster, int layers, std::size_t shared_bytes, cudaStream_t stream) {
    return {dim3(static_cast<unsigned>(cluster), static_cast<unsigned>(layers)),
            dim3(small::threads),
            stream,
            shared_bytes,
            static_cast<unsigned>(cluster),
            true};
}

/// What a launch says that the device cannot hold, or has not; nothing has run then.
bool too_large(cudaError_t status) {
    return status == cudaErrorCooperativeLaunchTooLarge || status == cudaErrorLaunchOutOfResources ||
           status == cudaErrorInvalidConfiguration || status == cudaErrorInvalidClusterSize ||
           status == cudaErrorNotSupported;
}

}  // namespace

std::optional<SmallNetwork> SmallNetwork::plan(Backend& memory, std::span<const LayerGroup> groups, const Controls* k,
                                               StepSpec spec, cudaStream_t stream, Stall* stall, unsigned polls) {
    std::vector<small::Layer> layers;
    if (!small::take_apart(groups, layers) || layers.size() < 2) return std::nullopt;
    const int N = layers[0].shape.N;
    int n = 0, device = 0, most_shared = 0, major = 0;
    for (const small::Layer& layer : layers) {
        n = std::max(n, layer.shape.n);
        if (std::max({layer.shape.n, N, layer.shape.node_space ? 0 : layer.shape.m}) > small::largest_side)
            return std::nullopt;
    }
    PDADMM_CUDA_CHECK(cudaGetDevice(&device));
    PDADMM_CUDA_CHECK(cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    PDADMM_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    if (major < 9) return std::nullopt;
    const auto count = static_cast<int>(layers.size());
    for (int cluster = std::min(small::most_cluster, N); cluster >= 1; --cluster) {
        const Index bytes = small::cut(layers, cluster);
        if (bytes + small::static_bytes > most_shared) continue;
        SmallNetwork plan;
        plan.layers_ = count;
        plan.cluster_ = cluster;
        plan.width_ = small::best_width(n, small::most_nodes(N, cluster));
        plan.shared_bytes_ = static_cast<std::size_t>(bytes);
        plan.spec_ = spec;
        plan.k_ = k;
        plan.stall_ = stall;
        plan.polls_ = polls;
        const auto kernel = small::kernel_of(plan.width_);
        if (clusters_at_once("small_network", kernel, launch_of(cluster, count, plan.shared_bytes_, nullptr)) < count)
            continue;
        plan.flags_ =
            Buffer<std::uint32_t>(memory, std::vector<std::uint32_t>(static_cast<std::size_t>(2 * count * cluster)));
        for (int l = 0; l < count; ++l) {
            std::uint32_t* flags = plan.flags_.data() + 2 * l * cluster;  // p_ready, then q_ready
            small::Layer& layer = layers[static_cast<std::size_t>(l)];
            layer.p_ready = flags;
            layer.q_ready = flags + cluster;
            layer.p_next_ready = l + 1 < count ? flags + 2 * cluster : nullptr;
            layer.q_prev_ready = l > 0 ? flags - cluster : nullptr;
        }
        std::vector<std::byte> table(layers.size() * sizeof(small::Layer));
        std::memcpy(table.data(), layers.data(), table.size());
        plan.table_ = Buffer<std::byte>(memory, table);
        const cudaError_t status = plan.try_enqueue(stream, nullptr, nullptr, 0);
        if (too_large(status)) {
            cudaGetLastError();  // not sticky: forget it
            continue;
        }
        check(status, "small_network");
        PDADMM_CUDA_CHECK(cudaStreamSynchronize(stream));
        return plan;
    }
    return std::nullopt;
}

cudaError_t SmallNetwork::try_enqueue(cudaStream_t stream, LayerFigures* figures, Controls* controls,
                                      int iterations) const {
    const small::Run run{k_, spec_, figures, controls, iterations, polls_, stall_};
    return try_launch("small_network", small::kernel_of(width_), launch_of(cluster_, layers_, shared_bytes_, stream),
                      reinterpret_cast<const small::Layer*>(table_.data()), run);
}

void SmallNetwork::enqueue(cudaStream_t stream, LayerFigures* figures, Controls* controls, int iterations) const {
    if (iterations > 0) check(try_enqueue(stream, figures, controls, iterations), "small_network");
}

std::string words_of(const Stall& stall) {
    const bool before = stall.of() == Stall::Of::q_before;
    return "the persistent kernel: block " + std::to_string(stall.block()) + " of layer " +
           std::to_string(stall.layer()) + " has waited for " + (before ? "q of layer " : "p of layer ") +
           std::to_string(stall.layer() + (before ? -1 : 1)) +
           " in vain, expected it within an iteration; train without --fused, and report this";
}

std::shared_ptr<Stall> page_locked_stall() {
    void* memory = nullptr;
    PDADMM_CUDA_CHECK(cudaHostAlloc(&memory, sizeof(Stall), cudaHostAllocMapped));
    return {new (memory) Stall, [](Stall* stall) { cudaFreeHost(stall); }};
}

}  // namespace pdadmm::cuda
