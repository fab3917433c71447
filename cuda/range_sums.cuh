// Sums over training nodes by ranges (pdadmm/node_ranges.hpp): a pass leaves those of each range, and where a rank
// holds several, or other ranks hold more, a second launch adds them along the tree and takes what follows.
#pragma once

#include "cuda/check.cuh"
#include "cuda/lane.cuh"
#include "pdadmm/node_ranges.hpp"

namespace pdadmm::cuda {

/// Layers of a stack, and how its columns are cut.
struct RangesOf {
    Index layers, ranges = 1;
    bool of_nodes;  // columns are training nodes, of which other ranks may have more
    explicit RangesOf(CMat m) : layers(m.batch), of_nodes(m.range > 0) {
        if (of_nodes) ranges = NodeRanges(m).count;
    }
    bool divided(const Lane& lane) const { return of_nodes && lane.others; }
    /// Training nodes of all ranks.
    Index nodes(const Lane& lane, CMat m) const { return divided(lane) ? lane.others->nodes() : m.cols; }
};

/// Where sums of ranges of nodes are left, those of a range after those of the range before it, layer by layer: of the
/// `values` of a layer from the `first`th on.
struct OfRanges {
    double* sums = nullptr;  // null: there is one range, and no other rank has any
    Index values = 0, first = 0;
    __device__ double* at(Index range, Index layer, Index layers) const {
        return sums + (range * layers + layer) * values + first;
    }
};

/// How many sums of a finish, the leading ones, are sums over ranges: all, or `G::over_ranges`.
template <typename G, int K>
constexpr int sums_over_ranges() {
    if constexpr (requires { G::over_ranges; })
        return G::over_ranges;
    else
        return K;
}

/// What becomes of a layer's sums over one range.
template <int K, typename G>
__device__ void take_range(const G& finish, Index range, Index layer, Index layers, const double (&sums)[K],
                           const OfRanges& of) {
    if constexpr (requires { finish.of_range(range, layer, layers, sums); })
        finish.of_range(range, layer, layers, sums);
    if (!of.sums) return finish(layer, sums);
    for (int k = 0; k < sums_over_ranges<G, K>(); ++k) of.at(range, layer, layers)[k] = sums[k];
}

/// The sum along the tree of add_along_tree over up to 64 parts, of which a thread of a warp holds two: its own, and
/// the 32nd behind it. In thread 0.
__device__ inline double tree_sum(double own, double behind, Index parts) {
    const Index thread = threadIdx.x % 32;
    for (Index stride = 1; stride < 32 && stride < parts; stride *= 2) {
        const double next = __shfl_down_sync(0xffffffffu, own, static_cast<int>(stride)),
                     next_behind = __shfl_down_sync(0xffffffffu, behind, static_cast<int>(stride));
        if (thread % (2 * stride) != 0) continue;
        if (thread + stride < parts) own += next;
        if (thread + 32 + stride < parts) behind += next_behind;
    }
    return parts > 32 ? own + behind : own;
}

/// The sums of ranges of a layer become that of all, a warp a layer, and what follows from it.
template <int K, typename G>
__global__ void __launch_bounds__(32) finish_ranges_kernel(G finish, OfRanges of, Index ranges) {
    const Index layer = blockIdx.x, layers = gridDim.x, thread = threadIdx.x;
    double sums[K] = {};
    for (int k = 0; k < sums_over_ranges<G, K>(); ++k) {
        const auto part = [&](Index range) { return range < ranges ? of.at(range, layer, layers)[k] : 0; };
        sums[k] = tree_sum(part(thread), part(thread + 32), ranges);
    }
    if (thread == 0) finish(layer, sums);
}

/// Where a pass leaves the `values` sums of a layer: nowhere, if there is nothing to add to them.
inline OfRanges of_ranges(Lane& lane, const RangesOf& shape, Index values) {
    const bool whole = shape.ranges == 1 && !shape.divided(lane);
    return {whole ? nullptr : lane.of_ranges.at_least(shape.ranges * shape.layers * values), values, 0};
}

/// The sums of ranges that passes left there become, at the first of them, those of all of this rank's ranges and of
/// all ranks'; returns how many are left to be added.
inline Index add_over_ranks(Lane& lane, const RangesOf& shape, const OfRanges& of) {
    if (!shape.divided(lane)) return shape.ranges;
    complete(lane, of.sums, shape.layers * of.values);
    return 1;
}

/// finish(layer, sums) of what passes left there. Nothing where they have called it.
template <int K, typename G>
void finish_ranges(const char* name, Lane& lane, const RangesOf& shape, const OfRanges& of, G finish) {
    if (!of.sums) return;
    const Index parts = add_over_ranks(lane, shape, of);
    launch(name, finish_ranges_kernel<K, G>, static_cast<unsigned>(shape.layers), 32, lane.stream, finish, of, parts);
}

}  // namespace pdadmm::cuda
