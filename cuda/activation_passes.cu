// CUDA passes of the b, z, q and u subproblems, the first layer in node space, and the forward pass (design 2).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

constexpr int row_threads = 32;  // rows of a tile of bias_step
constexpr int row_slices = 8;    // columns that a block works on at once
constexpr int most_row_blocks = 64;

/// Partial sums of r - inverse h over a slice of columns: partial[(layer * gridDim.z + slice) * n + row].
__global__ void __launch_bounds__(row_threads* row_slices) row_sum_kernel(const real* r, const real* h, Index stride, Index n, Index N, const real* inverse, double* partial) {
    __shared__ double shared[row_slices][row_threads];
    const Index layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * row_threads + threadIdx.x;
    const real step = inverse[layer];
    const Index each = (N + gridDim.z - 1) / gridDim.z, first = blockIdx.z * each, end = first + each < N ? first + each : N;
    double sum = 0;
    if (row < n)
        for (Index j = first + threadIdx.y; j < end; j += row_slices) {
            const Index at = layer * stride + j * n + row;
            sum += static_cast<double>(r[at] - step * h[at]);
        }
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || row >= n) return;
    for (int slice = 1; slice < row_slices; ++slice) sum += shared[slice][threadIdx.x];
    partial[(layer * gridDim.z + blockIdx.z) * n + row] = sum;
}

__global__ void bias_kernel(const double* partial, int slices, Index n, Index N, real* d, Index d_stride, real* b, Index b_stride) {
    const Index layer = blockIdx.y, row = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= n) return;
    double sum = 0;
    for (int slice = 0; slice < slices; ++slice) sum += partial[(layer * slices + slice) * n + row];
    const real mean = static_cast<real>(sum / static_cast<double>(N));
    d[layer * d_stride + row] = mean;
    b[layer * b_stride + row] -= mean;
}

struct RowContext {
    real step;
    const real* row;
};

/// in: h (but for codec difference) and p_next; io: r, z, q, u (difference: r, z, q, h).
template <Codec codec>
struct ActivationPass {
    static constexpr bool uses_row = true;
    const real* inverse;
    const real* d;
    Index d_stride;
    const Controls* k;
    Quantizer quantizer;
    __device__ RowContext prepare(Index layer) const { return {inverse[layer], d + layer * d_stride}; }
    __device__ void operator()(RowContext c, Index row, const real (&in)[2], real (&io)[4], const real (&)[1], double (&sums)[4]) const {
        const real rho = k->rho, nu = k->nu;
        real &r = io[0], &z = io[1], &q = io[2], &last = io[3];
        const real p = in[0], u_old = codec == Codec::difference ? in[1] : last, h = codec == Codec::difference ? last : in[1];
        const real target = r - (c.step * h + c.row[row]) + z;
        z = hidden_z(target, q, z);
        r = target - z;
        sums[0] += static_cast<double>(r) * static_cast<double>(r);
        real wanted = q_step(rho, nu, p, u_old, z);
        if constexpr (codec == Codec::difference) {
            last = wanted - q;
        } else {
            if constexpr (codec == Codec::grid) wanted = quantizer.levels[nearest_level(quantizer.levels, quantizer.level_count, wanted)];
            q = wanted;
            last = u_step(rho, u_old, p, q);
            add_coupling(sums, last, p - q, q - relu(z));
        }
    }
    static __device__ void add_coupling(double (&sums)[4], real u, real gap, real kink) {
        sums[1] += static_cast<double>(kink) * static_cast<double>(kink);
        sums[2] += static_cast<double>(u) * static_cast<double>(gap);
        sums[3] += static_cast<double>(gap) * static_cast<double>(gap);
    }
};

/// Second half under codec difference; in: the decoded change of q, z, p_next; io: q, u.
struct DifferenceQ : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, const real (&in)[3], real (&io)[2], const real (&)[1], double (&sums)[4]) const {
        const real p = in[2];
        io[0] += in[0];
        io[1] = u_step(k->rho, io[1], p, io[0]);
        ActivationPass<Codec::difference>::add_coupling(sums, io[1], p - io[0], io[0] - relu(in[1]));
    }
};

struct ActivationFigures {
    LayerFigures* figures;
    __device__ void operator()(Index layer, const double (&sums)[4]) const {
        figures[layer] = {sums[0], sums[1], sums[2], sums[3], figures[layer].weight_sq, 0};
    }
};
struct CouplingFigures {
    LayerFigures* figures;
    __device__ void operator()(Index layer, const double (&sums)[4]) const {
        figures[layer].activation_sq = sums[1];
        figures[layer].coupling = sums[2];
        figures[layer].primal_sq = sums[3];
    }
};

struct NodeSpaceStep : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, const real (&in)[2], real (&T)[1], const real (&)[1], double (&sums)[3]) const {
        const real r = in[0], v = in[1], h = k->nu * T[0] + k->mu * v;
        sums[0] += static_cast<double>(r) * static_cast<double>(T[0]);
        sums[1] += static_cast<double>(r) * static_cast<double>(v);
        sums[2] += static_cast<double>(h) * static_cast<double>(h);
        T[0] = h;
    }
};
struct NodeSpaceFinish {
    const Controls* k;
    StepSpec spec;
    real* inverse;
    NodeSpaceScalars* s;
    __device__ void operator()(Index, const double (&sums)[3]) const {
        *inverse = static_cast<real>(node_space_decide(spec, k->nu, k->mu, {sums[0], sums[1], sums[2]}, *s));
    }
};

struct NodeSpaceDescend : StepPass {
    const Controls* k;
    template <typename... Sums>
    __device__ void operator()(real step, Index, const real (&in)[2], real (&io)[2], const real (&)[1], Sums&...) const {
        const real keep = 1 - k->mu * step, add = k->nu * step;
        io[0] = keep * io[0] + add * in[0];
        io[1] -= step * in[1];
    }
};

struct ScaleByC : PlainPass {
    const NodeSpaceScalars* s;
    template <typename... Sums>
    __device__ void operator()(int, Index, const real (&)[1], real (&a)[1], const real (&)[1], Sums&...) const {
        a[0] *= static_cast<real>(s->c);
    }
};

struct CloseResidual {
    static constexpr bool uses_row = true;
    const real* b;
    Index b_stride;
    __device__ const real* prepare(Index layer) const { return b + layer * b_stride; }
    template <typename... Sums>
    __device__ void operator()(const real* row_of, Index row, const real (&z)[1], real (&r)[1], const real (&)[1], Sums&...) const {
        r[0] += row_of[row] - z[0];
    }
};

struct AddBias {
    static constexpr bool uses_row = true;
    const real* b;
    Index b_stride;
    bool linear;
    __device__ const real* prepare(Index layer) const { return b + layer * b_stride; }
    template <typename... Sums>
    __device__ void operator()(const real* row_of, Index row, const real (&)[1], real (&a)[1], const real (&)[1], Sums&...) const {
        a[0] = linear ? a[0] + row_of[row] : relu(a[0] + row_of[row]);
    }
};

struct Fill : PlainPass {
    real value;
    template <typename... Sums>
    __device__ void operator()(int, Index, const real (&)[1], const real (&)[1], real (&a)[1], Sums&...) const {
        a[0] = value;
    }
};

__global__ void node_weight_kernel(const NodeSpaceScalars* s, LayerFigures* figures) { figures->weight_sq = s->weight_sq; }

__global__ void schedule_kernel(RhoSchedule rule, const double* watched, Controls* k) {
    if (!stalled(*watched, rule.threshold, rule.patience, k->last_watched, k->stalls)) return;
    k->rho = grown(k->rho, rule.factor, rule.most);
    k->nu = grown(k->nu, rule.factor, rule.most);
}

Index partial_count(const Extent& e, int sums) { return static_cast<Index>(e.blocks()) * e.layers * sums; }

}  // namespace

void CudaBackend::fill(Mat a, real value) { pass<0, 0, 0, 1>("fill", stream_, Extent(a), Fill{{}, value}, {}, {}, {a}); }

void CudaBackend::bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) {
    if (!r.contiguous() || !h.contiguous() || r.stride != h.stride) throw Error(ExitCode::internal, "bias_step: shapes differ");
    const Index n = r.rows, wanted = (r.cols + 4 * row_slices - 1) / (4 * row_slices);
    const int slices = static_cast<int>(wanted < most_row_blocks ? wanted : most_row_blocks);
    double* partial = partials(r.batch * slices * n);
    const auto tiles = static_cast<unsigned>((n + row_threads - 1) / row_threads);
    launch("row_sum", row_sum_kernel, dim3(tiles, static_cast<unsigned>(r.batch), static_cast<unsigned>(slices)), dim3(row_threads, row_slices), stream_,
           r.data, h.data, r.stride, n, r.cols, inverse, partial);
    launch("bias", bias_kernel, dim3(tiles, static_cast<unsigned>(r.batch)), row_threads, stream_, partial, slices, n, r.cols, d.data, d.stride, b.data, b.stride);
}

void CudaBackend::activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures) {
    const Extent extent(a.r);
    double* partial = partials(partial_count(extent, 4));
    switch (quantizer.codec) {
        case Codec::none:
            pass<4, 2, 4, 0>("activation_step", stream_, extent, ActivationPass<Codec::none>{a.inverse, a.d.data, a.d.stride, k, quantizer}, {a.p_next, a.h},
                             {a.r, a.z, a.q, a.u}, {}, partial);
            break;
        case Codec::grid:
            pass<4, 2, 4, 0>("activation_step", stream_, extent, ActivationPass<Codec::grid>{a.inverse, a.d.data, a.d.stride, k, quantizer}, {a.p_next, a.h},
                             {a.r, a.z, a.q, a.u}, {}, partial);
            break;
        case Codec::difference:
            pass<4, 2, 4, 0>("activation_step", stream_, extent, ActivationPass<Codec::difference>{a.inverse, a.d.data, a.d.stride, k, quantizer},
                             {a.p_next, a.u}, {a.r, a.z, a.q, a.h}, {}, partial);
            break;
    }
    finish<4>("figures", stream_, extent, ActivationFigures{figures}, partial);
    if (quantizer.codec != Codec::difference) return;
    // The quantiser of p serves q with a step of -1 for every layer.
    if (minus_one_.count() < a.h.batch) {
        minus_one_ = {*this, a.h.batch};
        set_inverse(minus_one_.data(), a.h.batch, -1);
    }
    difference_move(quantizer, a.h, minus_one_.data(), a.h);
    partial = partials(partial_count(extent, 4));
    pass<4, 3, 2, 0>("difference_q", stream_, extent, DifferenceQ{{}, k}, {a.h, a.z, a.p_next}, {a.q, a.u}, {}, partial);
    finish<4>("figures", stream_, extent, CouplingFigures{figures}, partial);
}

void CudaBackend::node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s) {
    const Extent extent(r);
    double* partial = partials(partial_count(extent, 3));
    pass<3, 2, 1, 0>("node_space_step", stream_, extent, NodeSpaceStep{{}, k}, {r, V}, {T}, {}, partial);
    finish<3>("node_space_decide", stream_, extent, NodeSpaceFinish{k, spec, inverse, s}, partial);
}

void CudaBackend::node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) {
    pass<0, 2, 2, 0>("node_space_descend", stream_, Extent(r), NodeSpaceDescend{{inverse}, k}, {r, H}, {S, V}, {});
}

void CudaBackend::scale_by_c(const NodeSpaceScalars* s, Mat A) { pass<0, 0, 1, 0>("scale_by_c", stream_, Extent(A), ScaleByC{{}, s}, {}, {A}, {}); }

void CudaBackend::weight_norm(const NodeSpaceScalars* s, LayerFigures* figures) {
    launch("weight_norm", node_weight_kernel, 1, 1, stream_, s, figures);
}

void CudaBackend::close_residual(CMat b, CMat z, Mat r) {
    pass<0, 1, 1, 0>("close_residual", stream_, Extent(r), CloseResidual{b.data, b.stride}, {z}, {r}, {});
}

void CudaBackend::schedule(const RhoSchedule& rule, const double* watched, Controls* k) {
    launch("schedule", schedule_kernel, 1, 1, stream_, rule, watched, k);
}

void CudaBackend::add_bias(CMat b, bool linear, Mat A) {
    pass<0, 0, 1, 0>("add_bias", stream_, Extent(A), AddBias{b.data, b.stride, linear}, {}, {A}, {});
}

}  // namespace pdadmm
