// CUDA passes of the closed forms (design 2, `block`): sums over nodes, centring, and the first layer in node space.
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"
#include "cuda/row_sums.cuh"
#include "pdadmm/node_ranges.hpp"

namespace pdadmm {
namespace {

using namespace cuda;

/// C[layer] = the sum of its `count` parts along the tree of add_along_tree, element by element; a part is all layers.
__global__ void __launch_bounds__(pass_threads)
    add_products_kernel(const real* parts, Index count, Index size, real* C, Index stride) {
    const Index part = gridDim.y * size;
    parts += blockIdx.y * size;
    for (Index at = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x; at < size;
         at += static_cast<Index>(gridDim.x) * pass_threads) {
        real sums[NodeRanges::most];
        for (Index i = 0; i < count; ++i) sums[i] = parts[i * part + at];
        for (Index step = 1; step < count; step *= 2)
            for (Index i = 0; i + step < count; i += 2 * step) sums[i] += sums[i + step];
        C[blockIdx.y * stride + at] = sums[0];
    }
}

struct Element {
    CMat x;
    __device__ double operator()(Index layer, Index at) const {
        return static_cast<double>(x.data[layer * x.stride + at]);
    }
};
/// The same of node_space_target_of; p is any array where W_ref = 0.
struct TargetElement {
    CMat p, z, r;
    bool to_identity;
    const Controls* k;
    __device__ double operator()(Index layer, Index at) const {
        const auto of = [&](const CMat& x) { return x.data[layer * x.stride + at]; };
        return static_cast<double>(node_space_target_of(k->mu, to_identity ? of(p) : real(0), of(z), of(r)));
    }
};
struct MeanFinish {
    real* means;
    Index rows, nodes;
    __device__ void operator()(Index layer, Index row, double sum) const {
        means[layer * rows + row] = static_cast<real>(sum / static_cast<double>(nodes));
    }
};

struct RowMeans {
    static constexpr bool uses_row = true;
    const real* means;
    Index rows;
    __device__ const real* prepare(Index layer) const { return means + layer * rows; }
};
struct Center : RowMeans {
    __device__ void operator()(const real* mean, Index row, real x, real& y) const { y = x - mean[row]; }
};
struct CenterTarget : RowMeans {
    bool to_identity;
    const Controls* k;
    __device__ void operator()(const real* mean, Index row, real p, real z, real r, real& y) const {
        y = node_space_target_of(k->mu, to_identity ? p : real(0), z, r) - mean[row];
    }
};

struct AlongMove : PlainPass {
    __device__ void operator()(int, Index, double (&sums)[2], real g, real d) const {
        sums[0] += static_cast<double>(g) * static_cast<double>(d);
        sums[1] += square(d);
    }
};
struct KeepPair {
    double* to;
    __device__ void operator()(Index layer, const double (&sums)[2]) const {
        to[2 * layer] = sums[0];
        to[2 * layer + 1] = sums[1];
    }
};
struct DescentFinish {
    const double* kept;  // <g,d> and |d|^2 a layer
    const Controls* k;
    bool grid;
    real* inverse;
    std::int32_t* pending;
    MessageHeader* headers;
    __device__ void operator()(Index layer, const double (&hh)[1]) const {
        const double gd = kept[2 * layer], dd = kept[2 * layer + 1];
        if (grid) return grid_descends(k->nu, k->rho, gd, dd, hh[0], inverse[layer], pending[layer]);
        headers[layer].factor = static_cast<real>(descending_factor(k->nu, k->rho, gd, dd, hh[0]));
        inverse[layer] = -headers[layer].factor;
    }
};

struct NodeSpaceClose {
    static constexpr bool uses_row = true;
    const real *w, *b;
    const Controls* k;
    const KeptInverse* kept;
    __device__ int prepare(Index) const { return 0; }
    __device__ void operator()(int, Index row, double (&sums)[1], real raw, real z, real r, real& h, real& S,
                               real& V) const {
        const NodeSpaceSolution now = node_space_minimiser(k->nu, k->mu, kept->kappa, h, raw, w[row], S, V);
        S = now.S;
        V = now.V;
        h = r - (now.V + b[row] - z);
        sums[0] += now.weight;
    }
};
struct NodeSpaceCloseFinish {
    const Controls* k;
    NodeSpaceScalars* s;
    LayerFigures* figures;
    __device__ void operator()(Index, const double (&sums)[1]) const {
        s->weight_sq = k->mu > 0 ? sums[0] : s->weight_sq + sums[0];
        if (k->mu > 0) s->c = 0;
        figures->weight_sq = s->weight_sq;
    }
};

}  // namespace

// A range's product has the algorithm of its own shape, whatever the number of ranges and layers in a call. Layers that
// go at once follow from the ranges of all ranks, since their parts are one message.
void CudaBackend::node_product(CMat A, CMat B, Mat C, Precision precision) {
    const NodeRanges ranges(A);
    const bool divided = A.range > 0 && others_;
    if (ranges.count == 1 && !divided) return gemm(Trans::no, Trans::yes, 1, A, B, 0, C, precision);
    if (C.rows != A.rows || C.cols != B.rows || A.cols != B.cols || A.batch != C.batch || B.batch != C.batch ||
        !C.contiguous())
        throw Error(ExitCode::internal, "node_product: shapes differ");
    const Index size = C.size(), part = C.batch * size, equal = A.cols / ranges.length,
                of_all = divided ? (others_->nodes() + ranges.length - 1) / ranges.length : ranges.count;
    if (in_slices<real>(C.batch, of_all * size, [&](Index first, Index count) {
            node_product(A.layers(first, count), B.layers(first, count), C.layers(first, count), precision);
        }))
        return;
    real* parts = lane().parts.at_least(ranges.count * part);
    const auto multiply_some = [&](Index layer, Index first, Index count, Index length) {
        const auto of = [&](CMat m) {
            const CMat at = m.layer(layer).columns(first * ranges.length, length);
            return CMat{at.data, at.rows, at.cols, at.ld, count, ranges.length * m.ld};
        };
        real* to = parts + first * part + layer * size;
        if (count > 0)
            gemm(Trans::no, Trans::yes, 1, of(A), of(B), 0, {to, C.rows, C.cols, C.rows, count, part}, precision);
    };
    for (Index layer = 0; layer < C.batch; ++layer) {
        multiply_some(layer, 0, equal, ranges.length);
        multiply_some(layer, equal, ranges.count - equal, ranges.size(ranges.count - 1));
    }
    if (divided) {
        complete(lane(), parts, part);
        return copy({parts, C.rows, C.cols, C.rows, C.batch, size}, C);
    }
    launch("add_parts", add_products_kernel, Extent(C).grid(), pass_threads, lane().stream, parts, ranges.count, size,
           C.data, C.stride);
}

void CudaBackend::center(CMat X, Mat Y) {
    real* means = lane().means.at_least(X.rows * X.batch);
    row_sums("means", lane(), X, Element{X}, MeanFinish{means, X.rows, RangesOf(X).nodes(lane(), X)});
    pass("center", lane(), Center{{means, X.rows}}, reads(X), updates(), writes(Y));
}

void CudaBackend::node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) {
    const bool to_identity = decay == DecayTo::identity;
    if (!to_identity) p = z;
    if (p.size() != z.size() || r.size() != z.size())
        throw Error(ExitCode::internal, "node_space_target: shapes differ");
    real* means = lane().means.at_least(z.rows * z.batch);
    row_sums("means", lane(), z, TargetElement{p, z, r, to_identity, k},
             MeanFinish{means, z.rows, RangesOf(z).nodes(lane(), z)});
    pass("center_target", lane(), CenterTarget{{means, z.rows}, to_identity, k}, reads(p, z, r), updates(), writes(y));
}

void CudaBackend::descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                                std::int32_t* pending, MessageHeader* headers) {
    double* kept = lane().kept.at_least(2 * d.batch);
    sum_pass<2>("along_move", lane(), AlongMove{}, KeepPair{kept}, reads(g, d), updates(), writes());
    sum_pass<1>("decide", lane(), Square{}, DescentFinish{kept, k, q.codec == Codec::grid, inverse, pending, headers},
                reads(h), updates(), writes());
}

void CudaBackend::node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept,
                                   NodeSpaceScalars* s, LayerFigures* figures) {
    sum_pass<1>("node_space_close", lane(), NodeSpaceClose{a.w.data, a.b.data, k, kept},
                NodeSpaceCloseFinish{k, s, figures}, reads(a.raw, a.z, a.r), updates(a.h, a.S, a.V), writes());
}

}  // namespace pdadmm
