// CUDA passes of the p and W subproblems, unquantised and quantised (design 2 and 4).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

struct CouplingGradient : PlainPass {
    const Controls* k;
    template <typename... S>
    __device__ void operator()(int, Index, const real (&in)[3], const real (&)[1], real (&g)[1], S&...) const {
        g[0] = in[0] + k->rho * (in[1] - in[2]);
    }
};

struct DecayGradient : PlainPass {
    const Controls* k;
    template <typename... S>
    __device__ void operator()(int, Index, const real (&W)[1], const real (&)[1], real (&G)[1], S&...) const {
        G[0] = k->mu * W[0];
    }
};

struct Square : PlainPass {
    __device__ void operator()(int, Index, const real (&x)[1], const real (&)[1], const real (&)[1], double (&sums)[1]) const {
        sums[0] += static_cast<double>(x[0]) * static_cast<double>(x[0]);
    }
};

struct Descend : StepPass {
    template <typename... S>
    __device__ void operator()(real step, Index, const real (&g)[1], real (&x)[1], const real (&)[1], S&...) const {
        x[0] -= step * g[0];
    }
};

struct GridMove {
    static constexpr bool uses_row = false;
    Quantizer q;
    const real* inverse;
    const std::int32_t* pending;
    struct Context {
        real step;
        bool active;
    };
    __device__ Context prepare(Index layer) const { return {inverse[layer], pending[layer] > 0}; }
    template <typename... S>
    __device__ void operator()(Context c, Index, const real (&in)[2], real (&d)[1], const real (&)[1], S&...) const {
        if (c.active) d[0] = q.levels[nearest_level(q.levels, q.level_count, in[0] - c.step * in[1])] - in[0];
    }
};

struct Snap : PlainPass {
    Quantizer q;
    template <typename... S>
    __device__ void operator()(int, Index, const real (&)[1], real (&x)[1], const real (&)[1], S&...) const {
        x[0] = q.levels[nearest_level(q.levels, q.level_count, x[0])];
    }
};

struct DifferenceMove {
    static constexpr bool uses_row = false;
    std::int32_t largest;
    const real* inverse;
    const double* most;  // the layer's largest |inverse g|
    struct Context {
        real step, width;
    };
    __device__ Context prepare(Index layer) const { return {inverse[layer], difference_width(static_cast<real>(most[layer]), largest)}; }
    template <typename... S>
    __device__ void operator()(Context c, Index, const real (&g)[1], const real (&)[1], real (&d)[1], S&...) const {
        d[0] = difference_round(-(c.step * g[0]), c.width, largest);
    }
};

/// most[layer] = the largest |inverse g|, one block a layer and slice, by an integer maximum: non-negative floating-point
/// numbers are ordered like their bits, so the order of the atomics does not matter.
__global__ void largest_kernel(const real* g, Index stride, Index count, const real* inverse, unsigned long long* most) {
    const Index layer = blockIdx.y;
    const real step = inverse[layer];
    double largest = 0;
    for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<Index>(gridDim.x) * blockDim.x) {
        const double value = static_cast<double>(fabs(step * g[layer * stride + i]));
        largest = value > largest || value != value ? value : largest;
    }
    for (int offset = 16; offset > 0; offset /= 2) {
        const double other = __shfl_down_sync(0xffffffffu, largest, offset);
        largest = other > largest || other != other ? other : largest;
    }
    if (threadIdx.x % 32 == 0) atomicMax(most + layer, static_cast<unsigned long long>(__double_as_longlong(largest)));
}

struct StepFinish {
    const double* gg;
    const Controls* k;
    bool of_p;
    StepSpec spec;
    real* inverse;
    __device__ void operator()(Index layer, const double (&hh)[1]) const {
        inverse[layer] = static_cast<real>(inverse_step(spec, k->nu, of_p ? k->rho : k->mu, gg[layer], hh[0]));
    }
};

struct GridFinish {
    const double* dd;
    const Controls* k;
    real* inverse;
    std::int32_t* pending;
    __device__ void operator()(Index layer, const double (&hh)[1]) const { grid_decide(k->nu, k->rho, dd[layer], hh[0], inverse[layer], pending[layer]); }
};

struct DifferenceFinish {
    const double* dd;
    const Controls* k;
    real* inverse;
    __device__ void operator()(Index layer, const double (&hh)[1]) const {
        inverse[layer] = -static_cast<real>(difference_factor(inverse[layer], k->nu, k->rho, dd[layer], hh[0]));
    }
};

struct Keep {
    double* to;
    __device__ void operator()(Index layer, const double (&sums)[1]) const { to[layer] = sums[0]; }
};

struct WeightFinish {
    LayerFigures* figures;
    __device__ void operator()(Index layer, const double (&sums)[1]) const { figures[layer].weight_sq = sums[0]; }
};

__global__ void set_inverse_kernel(real* inverse, Index layers, real value) {
    if (threadIdx.x + blockIdx.x * blockDim.x < layers) inverse[threadIdx.x + blockIdx.x * blockDim.x] = value;
}
__global__ void set_pending_kernel(std::int32_t* pending, Index layers, std::int32_t value) {
    if (threadIdx.x + blockIdx.x * blockDim.x < layers) pending[threadIdx.x + blockIdx.x * blockDim.x] = value;
}

constexpr int scalar_threads = 128;
unsigned scalar_blocks(Index layers) { return static_cast<unsigned>((layers + scalar_threads - 1) / scalar_threads); }

Index partial_count(const Extent& e) { return static_cast<Index>(e.blocks()) * e.layers; }

/// |x|^2 of every layer into kept[layer], then finish(layer, |y|^2). `scratch` holds kept and the partial sums.
template <typename G>
void pair_of_squares(cudaStream_t stream, CMat x, CMat y, double* scratch, G g) {
    const Extent of_x(x), of_y(y);
    double* kept = scratch;
    double* partial = scratch + of_x.layers;
    pass<1, 1, 0, 0>("square", stream, of_x, Square{}, {x}, {}, {}, partial);
    finish<1>("square", stream, of_x, Keep{kept}, partial);
    pass<1, 1, 0, 0>("square", stream, of_y, Square{}, {y}, {}, {}, partial);
    finish<1>("decide", stream, of_y, g, partial);
}

Index pair_scratch(CMat x, CMat y) { return x.batch + std::max(partial_count(Extent(x)), partial_count(Extent(y))); }

}  // namespace

void CudaBackend::coupling_gradient(CMat u, CMat p, CMat q, const Controls* k, Mat g) {
    pass<0, 3, 0, 1>("coupling_gradient", stream_, Extent(g), CouplingGradient{{}, k}, {u, p, q}, {}, {g});
}

void CudaBackend::decay_gradient(CMat W, const Controls* k, Mat G) {
    pass<0, 1, 0, 1>("decay_gradient", stream_, Extent(G), DecayGradient{{}, k}, {W}, {}, {G});
}

void CudaBackend::step_size(Variable variable, CMat g, CMat h, const Controls* k, StepSpec spec, real* inverse) {
    double* scratch = partials(pair_scratch(g, h));
    pair_of_squares(stream_, g, h, scratch, StepFinish{scratch, k, variable == Variable::p, spec, inverse});
}

void CudaBackend::descend(const real* inverse, CMat g, Mat x) { pass<0, 1, 1, 0>("descend", stream_, Extent(x), Descend{{inverse}}, {g}, {x}, {}); }

void CudaBackend::descend(const real* inverse, CMat g, Mat x, CMat h, Mat r) {
    descend(inverse, g, x);
    descend(inverse, h, r);
}

void CudaBackend::set_inverse(real* inverse, Index layers, double value) {
    launch("set_inverse", set_inverse_kernel, scalar_blocks(layers), scalar_threads, stream_, inverse, layers, static_cast<real>(1 / value));
}

void CudaBackend::reset_pending(std::int32_t* pending, Index layers) {
    launch("reset_pending", set_pending_kernel, scalar_blocks(layers), scalar_threads, stream_, pending, layers, backtracking_trials + 1);
}

void CudaBackend::grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending, Mat d) {
    pass<0, 2, 1, 0>("grid_move", stream_, Extent(d), GridMove{q, inverse, pending}, {p, g}, {d}, {});
}

void CudaBackend::grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) {
    double* scratch = partials(pair_scratch(d, h));
    pair_of_squares(stream_, d, h, scratch, GridFinish{scratch, k, inverse, pending});
}

void CudaBackend::snap(const Quantizer& q, Mat x) { pass<0, 0, 1, 0>("snap", stream_, Extent(x), Snap{{}, q}, {}, {x}, {}); }

void CudaBackend::difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d) {
    const Extent extent(d);
    double* most = partials(extent.layers);
    PDADMM_CUDA_CHECK(cudaMemsetAsync(most, 0, static_cast<std::size_t>(extent.layers) * sizeof(double), stream_));
    launch("largest", largest_kernel, extent.grid(), pass_threads, stream_, g.data, g.stride, g.size(), inverse,
           reinterpret_cast<unsigned long long*>(most));
    pass<0, 1, 0, 1>("difference_move", stream_, extent, DifferenceMove{largest_code(q.bits), inverse, most}, {g}, {}, {d});
}

void CudaBackend::difference_check(CMat d, CMat h, const Controls* k, real* inverse) {
    double* scratch = partials(pair_scratch(d, h));
    pair_of_squares(stream_, d, h, scratch, DifferenceFinish{scratch, k, inverse});
}

void CudaBackend::weight_norm(CMat W, LayerFigures* figures) {
    const Extent extent(W);
    double* partial = partials(partial_count(extent));
    pass<1, 1, 0, 0>("weight_norm", stream_, extent, Square{}, {W}, {}, {}, partial);
    finish<1>("weight_norm", stream_, extent, WeightFinish{figures}, partial);
}

}  // namespace pdadmm
