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

struct RowContext {
    real step;
    const real* row;
};

/// What the pass is under every codec: z, and with it r.
struct ZStep {
    static constexpr bool uses_row = true;
    const real* inverse;
    const real* d;
    Index d_stride;
    const Controls* k;
    Quantizer quantizer;
    __device__ RowContext prepare(Index layer) const { return {inverse[layer], d + layer * d_stride}; }
    __device__ void step_z(RowContext c, Index row, double& linear, real h, real q, real& r, real& z) const {
        const real target = r - (c.step * h + c.row[row]) + z;
        z = hidden_z(target, q, z);
        r = target - z;
        linear += square(r);
    }
};
__device__ void add_coupling(double (&sums)[4], real u, real gap, real kink) {
    sums[1] += square(kink);
    sums[2] += static_cast<double>(u) * static_cast<double>(gap);
    sums[3] += square(gap);
}

template <Codec codec>
struct ActivationStep : ZStep {
    __device__ void operator()(RowContext c, Index row, double (&sums)[4], real p_next, real h, real& r, real& z,
                               real& q, real& u) const {
        const real rho = k->rho, nu = k->nu;
        step_z(c, row, sums[0], h, q, r, z);
        const real wanted = q_step(rho, nu, p_next, u, z);
        q = codec == Codec::grid ? snapped(quantizer.levels, quantizer.level_count, wanted) : wanted;
        u = u_step(rho, u, p_next, q);
        add_coupling(sums, u, p_next - q, q - relu(z));
    }
};

/// Codec difference: leaves in h the change of q that is wanted, and what its codes' width in each range follows from.
template <bool of_largest>
struct WantedChange : ZStep {
    static constexpr int added = of_largest ? 1 : 2;
    __device__ void operator()(RowContext c, Index row, double (&sums)[2], real p_next, real u, real q, real& r,
                               real& z, real& h) const {
        const real rho = k->rho, nu = k->nu;
        step_z(c, row, sums[0], h, q, r, z);
        h = q_step(rho, nu, p_next, u, z) - q;
        if constexpr (of_largest)
            sums[1] = larger(sums[1], fabs(static_cast<double>(h)));
        else
            sums[1] += summand(change_measure(quantizer), h);
    }
};
struct WantedFigures {
    static constexpr int over_ranges = 1;
    LayerFigures* figures;
    double* measured;  // layer by layer in each range
    __device__ void of_range(Index range, Index layer, Index layers, const double (&sums)[2]) const {
        measured[range * layers + layer] = sums[1];
    }
    __device__ void operator()(Index layer, const double (&sums)[2]) const {
        figures[layer].linear_sq = sums[0];
        figures[layer].risk = 0;
    }
};
/// And takes the change as a receiver decodes it, which stays in h for a message.
struct DecodedChange {
    static constexpr bool uses_row = false;
    const Controls* k;
    Quantizer quantizer;
    Index count, each;  // of a layer's changes, and of those of a range
    std::int32_t largest;
    const double* measured;
    MessageHeader* headers;
    __device__ real prepare(Index layer) const {
        const Index place = static_cast<Index>(blockIdx.z) * gridDim.y + layer, left = count - blockIdx.z * each;
        const real width = difference_width(quantizer, measured[place], left < each ? left : each);
        if (blockIdx.x == 0 && threadIdx.x == 0) headers[place] = {width, 1};
        return width;
    }
    __device__ void operator()(real width, Index, double (&sums)[4], real z, real p_next, real& change, real& q,
                               real& u) const {
        change = difference_round(change, width, largest);
        q += change;
        u = u_step(k->rho, u, p_next, q);
        add_coupling(sums, u, p_next - q, q - relu(z));
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
    __device__ void operator()(int, Index, double (&sums)[3], real r, real V, real& T) const {
        const real h = W_gradient_of(k->nu, k->mu, T, V);
        sums[0] += static_cast<double>(r) * static_cast<double>(T);
        sums[1] += static_cast<double>(r) * static_cast<double>(V);
        sums[2] += square(h);
        T = h;
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
    __device__ void operator()(real step, Index, real r, real H, real& S, real& V) const {
        S = node_space_sum_of(k->nu, k->mu, step, S, r);
        V -= step * H;
    }
};

struct ScaleByC : PlainPass {
    const NodeSpaceScalars* s;
    __device__ void operator()(int, Index, real& a) const { a *= static_cast<real>(s->c); }
};

struct CloseResidual {
    static constexpr bool uses_row = true;
    const real* b;
    Index b_stride;
    __device__ const real* prepare(Index layer) const { return b + layer * b_stride; }
    __device__ void operator()(const real* bias, Index row, real z, real& r) const { r += bias[row] - z; }
};

struct RebuildQ : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, real z, real u, real& q) const { q = rebuilt_q(k->nu, z, u); }
};

struct AddBias {
    static constexpr bool uses_row = true;
    const real* b;
    Index b_stride;
    bool linear;
    __device__ const real* prepare(Index layer) const { return b + layer * b_stride; }
    __device__ void operator()(const real* bias, Index row, real& a) const {
        a = linear ? a + bias[row] : relu(a + bias[row]);
    }
};

struct Fill : PlainPass {
    real value;
    __device__ void operator()(int, Index, real& a) const { a = value; }
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
    if (a.contiguous()) return pass("fill", lane(), Fill{{}, value}, reads(), updates(), writes(a));
    launch("fill", fill_kernel, Extent(a).grid(), pass_threads, lane().stream, a.data, a.ld, a.stride, a.rows, a.cols,
           value);
}

void CudaBackend::bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) {
    if (!r.contiguous() || !h.contiguous() || r.size() != h.size() || r.batch != h.batch)
        throw Error(ExitCode::internal, "bias_step: shapes differ");
    row_sums("bias_step", lane(), r, ClosedResidual{r, h, inverse}, BiasFinish{d, b, RangesOf(r).nodes(lane(), r)});
}

void CudaBackend::activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer,
                                  LayerFigures* figures, MessageHeader* headers) {
    const ActivationFigures finish{figures};
    const ZStep step{a.inverse, a.d.data, a.d.stride, k, quantizer};
    switch (quantizer.codec) {
        case Codec::none:
            return sum_pass<4>("activation_step", lane(), ActivationStep<Codec::none>{step}, finish,
                               reads(a.p_next, a.h), updates(a.r, a.z, a.q, a.u), writes());
        case Codec::grid:
            return sum_pass<4>("activation_step", lane(), ActivationStep<Codec::grid>{step}, finish,
                               reads(a.p_next, a.h), updates(a.r, a.z, a.q, a.u), writes());
        case Codec::difference:
            break;
    }
    const Extent extent(a.h);
    double* measured = lane().kept.at_least(extent.ranges * extent.layers);
    const auto want = [&](const auto& f) {
        sum_pass<2>("activation_step", lane(), f, WantedFigures{figures, measured}, reads(a.p_next, a.u, a.q),
                    updates(a.r, a.z, a.h), writes());
    };
    if (change_measure(quantizer) == ChangeMeasure::largest)
        want(WantedChange<true>{step});
    else
        want(WantedChange<false>{step});
    sum_pass<4>("difference_q", lane(),
                DecodedChange{k, quantizer, extent.count, extent.each, largest_code(quantizer.bits), measured, headers},
                CouplingFigures{figures}, reads(a.z, a.p_next), updates(a.h, a.q, a.u), writes());
}

void CudaBackend::node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse,
                                  NodeSpaceScalars* s, LayerFigures* figures) {
    sum_pass<3>("node_space_step", lane(), NodeSpaceStep{{}, k}, NodeSpaceFinish{k, spec, inverse, s, figures},
                reads(r, V), updates(T), writes());
}

void CudaBackend::node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) {
    pass("node_space_descend", lane(), NodeSpaceDescend{{inverse}, k}, reads(r, H), updates(S, V), writes());
}

void CudaBackend::scale_by_c(const NodeSpaceScalars* s, Mat A) {
    pass("scale_by_c", lane(), ScaleByC{{}, s}, reads(), updates(A), writes());
}

void CudaBackend::rebuild_q(CMat z, CMat u, const Controls* k, Mat q) {
    pass("rebuild_q", lane(), RebuildQ{{}, k}, reads(z, u), updates(), writes(q));
}

void CudaBackend::close_residual(CMat b, CMat z, Mat r) {
    pass("close_residual", lane(), CloseResidual{b.data, b.stride}, reads(z), updates(r), writes());
}

void CudaBackend::schedule(const RhoSchedule& rule, const double* watched, Controls* k) {
    launch("schedule", schedule_kernel, 1, 1, lane().stream, rule, watched, k);
}

void CudaBackend::archive(const LayerFigures* figures, const Controls* k, const History& history) {
    launch("archive", archive_kernel, 1, 128, lane().stream, figures, k, history);
}

void CudaBackend::add_bias(CMat b, bool linear, Mat A) {
    pass("add_bias", lane(), AddBias{b.data, b.stride, linear}, reads(), updates(A), writes());
}

}  // namespace pdadmm
