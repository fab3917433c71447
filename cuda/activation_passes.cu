// CUDA passes of the b, z, q and u subproblems, the first layer in node space, and the forward pass (design 2).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"
#include "cuda/row_sums.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

/// r - inverse h, whose mean over nodes is the change of b.
struct ClosedResidual {
    CMat r, h;
    const real* inverse;
    __device__ double operator()(Index layer, Index at) const {
        return static_cast<double>(r.data[layer * r.stride + at] - inverse[layer] * h.data[layer * h.stride + at]);
    }
};
struct BiasFinish {
    Mat d, b;
    Index nodes;
    __device__ void operator()(Index layer, Index row, double sum) const {
        real& bias = b.data[layer * b.stride + row];
        const real change = bias_change(static_cast<real>(sum / static_cast<double>(nodes)), bias);
        d.data[layer * d.stride + row] = change;
        bias -= change;
    }
};

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
    __device__ void operator()(RowContext c, Index row, const real (&in)[2], real (&io)[4], const real (&)[1],
                               double (&sums)[4]) const {
        const real rho = k->rho, nu = k->nu;
        real &r = io[0], &z = io[1], &q = io[2], &last = io[3];
        const real p = in[0], u_old = codec == Codec::difference ? in[1] : last,
                   h = codec == Codec::difference ? last : in[1];
        const real target = r - (c.step * h + c.row[row]) + z;
        z = hidden_z(target, q, z);
        r = target - z;
        sums[0] += static_cast<double>(r) * static_cast<double>(r);
        real wanted = q_step(rho, nu, p, u_old, z);
        if constexpr (codec == Codec::difference) {
            last = wanted - q;
        } else {
            if constexpr (codec == Codec::grid) wanted = snapped(quantizer.levels, quantizer.level_count, wanted);
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
    __device__ void operator()(int, Index, const real (&in)[3], real (&io)[2], const real (&)[1],
                               double (&sums)[4]) const {
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
    __device__ void operator()(int, Index, const real (&in)[2], real (&T)[1], const real (&)[1],
                               double (&sums)[3]) const {
        const real r = in[0], v = in[1], h = W_gradient_of(k->nu, k->mu, T[0], v);
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
    LayerFigures* figures;
    __device__ void operator()(Index, const double (&sums)[3]) const {
        *inverse = static_cast<real>(node_space_decide(spec, k->nu, k->mu, {sums[0], sums[1], sums[2]}, *s));
        figures->weight_sq = s->weight_sq;
    }
};

struct NodeSpaceDescend : StepPass {
    const Controls* k;
    template <typename... Sums>
    __device__ void operator()(real step, Index, const real (&in)[2], real (&io)[2], const real (&)[1],
                               Sums&...) const {
        io[0] = node_space_sum_of(k->nu, k->mu, step, io[0], in[0]);
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
    __device__ void operator()(const real* row_of, Index row, const real (&z)[1], real (&r)[1], const real (&)[1],
                               Sums&...) const {
        r[0] += row_of[row] - z[0];
    }
};

struct RebuildQ : PlainPass {
    const Controls* k;
    template <typename... Sums>
    __device__ void operator()(int, Index, const real (&in)[2], const real (&)[1], real (&q)[1], Sums&...) const {
        q[0] = rebuilt_q(k->nu, in[0], in[1]);
    }
};

struct AddBias {
    static constexpr bool uses_row = true;
    const real* b;
    Index b_stride;
    bool linear;
    __device__ const real* prepare(Index layer) const { return b + layer * b_stride; }
    template <typename... Sums>
    __device__ void operator()(const real* row_of, Index row, const real (&)[1], real (&a)[1], const real (&)[1],
                               Sums&...) const {
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

/// A matrix whose columns are apart, which no pass can take: column by column.
__global__ void fill_kernel(real* a, Index ld, Index stride, Index rows, Index cols, real value) {
    a += blockIdx.y * stride;
    for (Index at = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; at < rows * cols;
         at += static_cast<Index>(gridDim.x) * blockDim.x)
        a[at / rows * ld + at % rows] = value;
}

__global__ void schedule_kernel(RhoSchedule rule, const double* watched, Controls* k) {
    if (!stalled(*watched, rule.threshold, rule.patience, k->last_watched, k->stalls)) return;
    k->rho = grown(k->rho, rule.factor, rule.most);
    k->nu = grown(k->nu, rule.factor, rule.most);
}

__global__ void archive_kernel(const LayerFigures* figures, const Controls* k, History h) {
    const Index at = *h.position, slot = at % h.capacity;
    for (int l = static_cast<int>(threadIdx.x); l < h.layers; l += static_cast<int>(blockDim.x))
        h.figures[slot * h.layers + l] = figures[l];
    __syncthreads();  // every thread has read the position
    if (threadIdx.x == 0) {
        h.controls[slot] = *k;
        *h.position = at + 1;
    }
}

}  // namespace

void CudaBackend::fill(Mat a, real value) {
    const Extent extent(a);
    if (a.contiguous()) return pass<0, 0, 1>("fill", lane(), extent, Fill{{}, value}, {}, {}, {a});
    launch("fill", fill_kernel, extent.grid(), pass_threads, lane().stream, a.data, a.ld, a.stride, a.rows, a.cols,
           value);
}

void CudaBackend::bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) {
    if (!r.contiguous() || !h.contiguous() || r.size() != h.size() || r.batch != h.batch)
        throw Error(ExitCode::internal, "bias_step: shapes differ");
    row_sums("bias_step", lane(), r, ClosedResidual{r, h, inverse}, BiasFinish{d, b, r.cols});
}

void CudaBackend::activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer,
                                  LayerFigures* figures, MessageHeader* headers) {
    const Extent extent(a.r);
    const ActivationFigures finish{figures};
    switch (quantizer.codec) {
        case Codec::none:
            return sum_pass<4, 2, 4, 0>("activation_step", lane(), extent,
                                        ActivationPass<Codec::none>{a.inverse, a.d.data, a.d.stride, k, quantizer},
                                        finish, {a.p_next, a.h}, {a.r, a.z, a.q, a.u}, {});
        case Codec::grid:
            return sum_pass<4, 2, 4, 0>("activation_step", lane(), extent,
                                        ActivationPass<Codec::grid>{a.inverse, a.d.data, a.d.stride, k, quantizer},
                                        finish, {a.p_next, a.h}, {a.r, a.z, a.q, a.u}, {});
        case Codec::difference:
            sum_pass<4, 2, 4, 0>("activation_step", lane(), extent,
                                 ActivationPass<Codec::difference>{a.inverse, a.d.data, a.d.stride, k, quantizer},
                                 finish, {a.p_next, a.u}, {a.r, a.z, a.q, a.h}, {});
    }
    // The quantiser of p serves q with a step of -1 for every layer.
    real* minus_one = lane().minus_one.at_least(a.h.batch);
    set_inverse(minus_one, a.h.batch, -1);
    difference_move(quantizer, a.h, minus_one, a.h, headers);
    sum_pass<4, 3, 2, 0>("difference_q", lane(), extent, DifferenceQ{{}, k}, CouplingFigures{figures},
                         {a.h, a.z, a.p_next}, {a.q, a.u}, {});
}

void CudaBackend::node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse,
                                  NodeSpaceScalars* s, LayerFigures* figures) {
    sum_pass<3, 2, 1, 0>("node_space_step", lane(), Extent(r), NodeSpaceStep{{}, k},
                         NodeSpaceFinish{k, spec, inverse, s, figures}, {r, V}, {T}, {});
}

void CudaBackend::node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) {
    pass<2, 2, 0>("node_space_descend", lane(), Extent(r), NodeSpaceDescend{{inverse}, k}, {r, H}, {S, V}, {});
}

void CudaBackend::scale_by_c(const NodeSpaceScalars* s, Mat A) {
    pass<0, 1, 0>("scale_by_c", lane(), Extent(A), ScaleByC{{}, s}, {}, {A}, {});
}

void CudaBackend::rebuild_q(CMat z, CMat u, const Controls* k, Mat q) {
    pass<2, 0, 1>("rebuild_q", lane(), Extent(q), RebuildQ{{}, k}, {z, u}, {}, {q});
}

void CudaBackend::close_residual(CMat b, CMat z, Mat r) {
    pass<1, 1, 0>("close_residual", lane(), Extent(r), CloseResidual{b.data, b.stride}, {z}, {r}, {});
}

void CudaBackend::schedule(const RhoSchedule& rule, const double* watched, Controls* k) {
    launch("schedule", schedule_kernel, 1, 1, lane().stream, rule, watched, k);
}

void CudaBackend::archive(const LayerFigures* figures, const Controls* k, const History& history) {
    launch("archive", archive_kernel, 1, 128, lane().stream, figures, k, history);
}

void CudaBackend::add_bias(CMat b, bool linear, Mat A) {
    pass<0, 1, 0>("add_bias", lane(), Extent(A), AddBias{b.data, b.stride, linear}, {}, {A}, {});
}

}  // namespace pdadmm
