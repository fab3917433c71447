// CUDA passes of full-batch backpropagation: activations with dropout, gradients of the logits and of hidden
// activations, and the optimizers' steps (pdadmm/gradients.hpp).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"
#include "cuda/row_sums.cuh"
#include "pdadmm/sigmoid.hpp"

namespace pdadmm {
namespace {

using namespace cuda;

constexpr Index most_blocks = 2048;

__global__ void count_step_kernel(Index* step) { ++*step; }

struct DropoutContext {
    const real* bias;
    std::uint64_t stream;
};
/// The pass's "row" is the element's number in its layer.
struct DroppedActivation {
    static constexpr bool uses_row = true;
    const real* b;
    Index b_stride, rows;
    Dropout dropout;
    real kept;
    const Index* step;
    __device__ DropoutContext prepare(Index layer) const {
        return {b + layer * b_stride, dropout_stream(dropout, *step, layer)};
    }
    __device__ void operator()(DropoutContext c, Index element, real& A) const {
        A = relu(A + c.bias[element % rows]) *
            dropout_factor(c.stream, dropout.node * rows + element, dropout.rate, kept);
    }
};

/// The sigmoid cross entropy of a node whose logits z become its gradient.
__device__ double label_gradients(real* z, std::int32_t count, const std::uint8_t* targets, double scale) {
    double risk = 0;
    for (std::int32_t i = 0; i < count; ++i) {
        const double logit = static_cast<double>(z[i]), t = static_cast<double>(targets[i]);
        risk += label_cost(logit, t);
        z[i] = static_cast<real>(scale * label_gradient(logit, t));
    }
    return risk;
}

__global__ void __launch_bounds__(pass_threads)
    loss_gradient_kernel(real* Z, std::int32_t classes, Index nodes, Labels labels, double scale, LayerFigures* figures,
                         Meeting meeting) {
    double sums[1] = {};
    for (Index node = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; node < nodes;
         node += static_cast<Index>(gridDim.x) * pass_threads)
        sums[0] += labels.several()
                       ? label_gradients(Z + node * classes, classes, labels.targets_of(node, classes), scale)
                       : cross_entropy_gradient(Z + node * classes, classes, labels[node], scale, labels.weight(node));
    if (meet(sums, blockIdx.x, gridDim.x, meeting)) figures->risk = sums[0];
}

/// Masks an element of g and returns it.
struct MaskedGradient {
    CMat A;
    real scale;
    Mat g;
    __device__ double operator()(Index layer, Index at) const {
        real& value = g.data[layer * g.stride + at];
        if (A.data) value = relu_gradient(A.data[layer * A.stride + at], scale * value);
        return static_cast<double>(value);
    }
};
struct BlendRow {
    real beta;
    Mat d;
    __device__ void operator()(Index layer, Index row, double sum) const {
        real& value = d.data[layer * d.stride + row];
        value = blended(beta, value, sum);
    }
};

struct Pull {
    static constexpr bool uses_row = false;
    real strength;
    __device__ int prepare(Index) const { return 0; }
    __device__ void operator()(int, Index, real to, real& x) const { x = pulled(x, to, strength); }
};
struct ElasticPull {
    static constexpr bool uses_row = false;
    real strength, workers;
    __device__ int prepare(Index) const { return 0; }
    __device__ void operator()(int, Index, real sum, real& x, real& centre) const {
        elastic_pull_of(strength, workers, sum, x, centre);
    }
};

/// Of w and of as much memory as the optimizer has.
template <Optimizer optimizer>
struct OptimizerStep {
    static constexpr bool uses_row = false;
    UpdateRule rule;
    const Index* step;
    __device__ UpdateFactors prepare(Index) const { return update_factors(rule, *step); }
    __device__ void operator()(const UpdateFactors& f, Index, double (&norm)[1], real G, real& w, real& first,
                               real& second) const {
        norm[0] += square(w);
        update_parameter<optimizer>(f, G, w, first, second);
    }
    __device__ void operator()(const UpdateFactors& f, Index row, double (&norm)[1], real G, real& w,
                               real& first) const {
        real none = 0;
        (*this)(f, row, norm, G, w, first, none);
    }
    __device__ void operator()(const UpdateFactors& f, Index row, double (&norm)[1], real G, real& w) const {
        real none = 0;
        (*this)(f, row, norm, G, w, none);
    }
};
struct KeepWeightSquare {
    LayerFigures* figures;
    __device__ void operator()(Index layer, const double (&sums)[1]) const { figures[layer].weight_sq = sums[0]; }
};

}  // namespace

void CudaBackend::count_step(Index* step) { launch("count_step", count_step_kernel, 1, 1, lane().stream, step); }

void CudaBackend::dropped_activation(CMat b, const Dropout& dropout, const Index* step, Mat A) {
    Extent extent(A);
    extent.rows = extent.count;
    pass("dropped_activation", lane(), extent,
         DroppedActivation{b.data, b.stride, A.rows, dropout, dropout_scale(dropout.rate), step}, reads(), updates(A),
         writes());
}

void CudaBackend::loss_gradient(Labels labels, double scale, Mat Z, LayerFigures* figures) {
    if (!Z.contiguous()) throw Error(ExitCode::internal, "loss_gradient: shapes differ");
    const Index wanted = (Z.cols + pass_threads - 1) / pass_threads;
    const auto blocks = static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks);
    const Meeting meeting{lane().partials.at_least(static_cast<Index>(blocks)), lane().arrivals.at_least(1)};
    launch("loss_gradient", loss_gradient_kernel, blocks, pass_threads, lane().stream, Z.data,
           static_cast<std::int32_t>(Z.rows), Z.cols, labels, scale, figures, meeting);
}

void CudaBackend::activation_gradient(CMat A, real scale, Mat g, real beta, Mat d) {
    if (!g.contiguous() || (A.data && (!A.contiguous() || A.rows != g.rows || A.cols != g.cols || A.batch != g.batch)))
        throw Error(ExitCode::internal, "activation_gradient: shapes differ");
    row_sums("activation_gradient", lane(), g, MaskedGradient{A, scale, g}, BlendRow{beta, d});
}

void CudaBackend::pull(real strength, CMat to, Mat x) {
    pass("pull", lane(), Extent(x), Pull{strength}, reads(to), updates(x), writes());
}

void CudaBackend::elastic_pull(real strength, int workers, CMat sum, Mat x, Mat centre) {
    pass("elastic_pull", lane(), Extent(x), ElasticPull{strength, static_cast<real>(workers)}, reads(sum),
         updates(x, centre), writes());
}

void CudaBackend::optimizer_step(const UpdateRule& rule, const Index* step, CMat G, Mat w, Mat first, Mat second,
                                 LayerFigures* figures) {
    with_optimizer(rule.optimizer, [&](auto of) {
        constexpr Optimizer optimizer = decltype(of)::value;
        constexpr int memories = optimizer_memories(optimizer);
        const auto run = [&](const auto& updated) {
            sum_pass<1>("optimizer_step", lane(), OptimizerStep<optimizer>{rule, step}, KeepWeightSquare{figures},
                        reads(G), updated, writes());
        };
        if constexpr (memories == 0)
            run(updates(w));
        else if constexpr (memories == 1)
            run(updates(w, first));
        else
            run(updates(w, first, second));
    });
}

}  // namespace pdadmm
