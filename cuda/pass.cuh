// Passes over stacks: one kernel that reads some arrays, updates some and writes some, 16 bytes a thread and access,
// with the layer as grid dimension y, and its form that also sums.
//
// A pass is a functor over one element, `f(context, row, [sums,] operands...)`: first what it reads, then what it
// updates, then what it writes, each by its own name and in the order in which reads(), updates() and writes() list
// them. The context is the layer's, made once a thread by `f.prepare(layer)`. Sums are formed in a fixed order: a block
// adds its own elements, and the last block of a layer to arrive adds the blocks' sums by their number and hands them
// to `finish(layer, sums)`, so that a pass with its sums is one launch. A sum may be a largest value instead.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cuda/check.cuh"
#include "cuda/lane.cuh"
#include "cuda/range_sums.cuh"

namespace pdadmm::cuda {

constexpr int pass_threads = 256;
// Of one layer: six for each of the 132 processors of an H100 or H200. One layer alone must fill the device, as 16
// ranks have it: two blocks a processor would have 32 KiB on their way from memory there, which just hides its latency,
// six have three times as much. Passes of so many registers that three blocks fit a processor take two whole turns.
constexpr int pass_blocks = 792;
constexpr int lane_width = 16 / static_cast<int>(sizeof(real));

struct alignas(16) Vector {
    real value[lane_width];
};

/// In one access, also where the compiler would store parts of it as they come out of branches.
__device__ inline void store(real* to, const Vector& v) {
    using Whole = std::conditional_t<sizeof(real) == sizeof(double), double2, float4>;
    __stwb(reinterpret_cast<Whole*>(to), std::bit_cast<Whole>(v));
}

template <int Count>
struct Arrays {
    real* data[Count > 0 ? Count : 1];
    Index stride[Count > 0 ? Count : 1];
};

/// Size of a pass: elements a layer, layers, rows of a column (for row vectors), and how it is cut into ranges of nodes
/// where it forms sums over them.
struct Extent : RangesOf {
    Index count, rows;
    Index each;  // elements of a range, of which the last may have fewer
    explicit Extent(CMat m)
        : RangesOf(m), count(m.size()), rows(m.rows), each(of_nodes ? m.range * m.rows : m.size()) {}
    /// Blocks of one layer: by shape alone, so that sums do not depend on the number of layers.
    unsigned blocks() const { return blocks_of(count); }
    dim3 grid() const { return {blocks(), static_cast<unsigned>(layers), 1}; }
    /// Where sums are formed range by range: also in a range with fewer nodes, whoever holds it.
    unsigned blocks_of_range() const { return blocks_of(each); }

private:
    static unsigned blocks_of(Index elements) {
        const Index lanes = (elements + lane_width - 1) / lane_width,
                    wanted = (lanes + pass_threads - 1) / pass_threads;
        return static_cast<unsigned>(wanted < pass_blocks ? wanted : pass_blocks);
    }
};

/// Of two values that are not negative the larger one; NaN where either is.
__device__ inline double larger(double a, double b) { return b > a || b != b ? b : a; }

/// How the k-th sum of a pass goes on: the first `added` are sums, the others largest values.
template <int added>
__device__ double combined(int k, double a, double b) {
    return k < added ? a + b : larger(a, b);
}

/// Sums of `K` values over a block of pass_threads threads in a fixed order; the result is in thread 0.
template <int K, int added = K>
__device__ void block_sum(double (&sums)[K]) {
    __shared__ double shared[K][pass_threads / 32];
    for (int k = 0; k < K; ++k) {
        for (int offset = 16; offset > 0; offset /= 2)
            sums[k] = combined<added>(k, sums[k], __shfl_down_sync(0xffffffffu, sums[k], offset));
        if (threadIdx.x % 32 == 0) shared[k][threadIdx.x / 32] = sums[k];
    }
    __syncthreads();
    if (threadIdx.x == 0)
        for (int k = 0; k < K; ++k) {
            double total = 0;
            for (int warp = 0; warp < pass_threads / 32; ++warp) total = combined<added>(k, total, shared[k][warp]);
            sums[k] = total;
        }
    __syncthreads();
}

/// Where blocks leave their sums: `partial` has K doubles for each of `blocks` blocks, `arrived` counts them.
struct Meeting {
    double* partial;
    unsigned* arrived;
};

/// After every thread of a block has its own sums: true in thread 0 of the last of `blocks` blocks, where `sums` then
/// holds the totals. The counter wraps to 0 by itself, ready for the next launch.
template <int K, int added = K>
__device__ bool meet(double (&sums)[K], unsigned block, unsigned blocks, Meeting m) {
    __shared__ bool last;
    block_sum<K, added>(sums);
    if (threadIdx.x == 0) {
        for (int k = 0; k < K; ++k) m.partial[static_cast<Index>(block) * K + k] = sums[k];
        __threadfence();  // the sums before the arrival,
        last = atomicInc(m.arrived, blocks - 1) == blocks - 1;
        __threadfence();  // and the arrival before what the others left is read, by all behind the barrier
    }
    __syncthreads();
    if (!last) return false;
    for (int k = 0; k < K; ++k) {
        sums[k] = 0;
        for (unsigned b = threadIdx.x; b < blocks; b += pass_threads)
            sums[k] = combined<added>(k, sums[k], m.partial[static_cast<Index>(b) * K + k]);
    }
    block_sum<K, added>(sums);
    return threadIdx.x == 0;
}

/// Sums of a pass with K of them: all, unless its functor says that those behind the first `F::added` are largest
/// values.
template <typename F, int K>
constexpr int added_sums() {
    if constexpr (requires { F::added; })
        return F::added;
    else
        return K;
}

struct NoFinish {
    __device__ void operator()(Index, const double (&)[1]) const {}
};

/// f on one element: what is read, what is updated and what is written, each an argument of its own.
template <bool with_sums, typename F, typename Context, int K, int A, int B, int C, int... I, int... J, int... O>
__device__ void apply(const F& f, const Context& context, Index row, double (&sums)[K], const real (&in)[A],
                      real (&io)[B], real (&out)[C], std::integer_sequence<int, I...>, std::integer_sequence<int, J...>,
                      std::integer_sequence<int, O...>) {
    if constexpr (with_sums)
        f(context, row, sums, in[I]..., io[J]..., out[O]...);
    else
        f(context, row, in[I]..., io[J]..., out[O]...);
}

/// f on the elements of a layer, from the `begin`th on, that are this thread's. Sums are those of as many elements in a
/// row where these lie in no vectors, as the first node of a rank and the number of its nodes decide.
template <int K, bool aligned, int In, int Io, int Out, typename F, int Sums>
__device__ __forceinline__ void walk(const F& f, const Arrays<In>& in, const Arrays<Io>& io, const Arrays<Out>& out,
                                     Index begin, Index count, Index rows, double (&sums)[Sums]) {
    const Index layer = blockIdx.y;
    const auto context = f.prepare(layer);
    constexpr int width = aligned || K > 0 ? lane_width : 1;
    for (Index at = (static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x) * width; at < count;
         at += static_cast<Index>(gridDim.x) * pass_threads * width) {
        const int here = aligned || count - at > width ? width : static_cast<int>(count - at);
        Vector x[In > 0 ? In : 1], y[Io > 0 ? Io : 1], w[Out > 0 ? Out : 1];
        const auto load = [&](Vector& v, const real* from) {
            if constexpr (aligned)
                v = *reinterpret_cast<const Vector*>(from + begin + at);
            else
                for (int e = 0; e < width; ++e) v.value[e] = e < here ? from[begin + at + e] : real(0);
        };
        for (int k = 0; k < In; ++k) load(x[k], in.data[k] + layer * in.stride[k]);
        for (int k = 0; k < Io; ++k) load(y[k], io.data[k] + layer * io.stride[k]);
        Index row = 0;
        if constexpr (F::uses_row)
            row = count <= UINT32_MAX ? static_cast<std::uint32_t>(at) % static_cast<std::uint32_t>(rows) : at % rows;
        for (int e = 0; e < width; ++e) {
            if (e >= here) break;
            real a[In > 0 ? In : 1], b[Io > 0 ? Io : 1], c[Out > 0 ? Out : 1];
            for (int k = 0; k < In; ++k) a[k] = x[k].value[e];
            for (int k = 0; k < Io; ++k) b[k] = y[k].value[e];
            apply<(K > 0)>(f, context, row, sums, a, b, c, std::make_integer_sequence<int, In>(),
                           std::make_integer_sequence<int, Io>(), std::make_integer_sequence<int, Out>());
            if (F::uses_row && ++row == rows) row = 0;  // a vector never crosses a column, others may
            for (int k = 0; k < Io; ++k) y[k].value[e] = b[k];
            for (int k = 0; k < Out; ++k) w[k].value[e] = c[k];
        }
        const auto put = [&](const Vector& v, real* to) {
            if constexpr (aligned)
                store(to + begin + at, v);
            else
                for (int e = 0; e < width; ++e)
                    if (e < here) to[begin + at + e] = v.value[e];
        };
        for (int k = 0; k < Io; ++k) put(y[k], io.data[k] + layer * io.stride[k]);
        for (int k = 0; k < Out; ++k) put(w[k], out.data[k] + layer * out.stride[k]);
    }
}

/// `each` elements of a layer are one range of nodes, grid z is which.
template <int In, int Io, int Out, int K, bool aligned, typename F, typename G>
__global__ void __launch_bounds__(pass_threads)
    pass_kernel(F f, G finish, Arrays<In> in, Arrays<Io> io, Arrays<Out> out, Index count, Index each, Index rows,
                Meeting meeting, OfRanges of) {
    const Index layer = blockIdx.y, range = blockIdx.z, begin = range * each, place = layer * gridDim.z + range;
    double sums[K > 0 ? K : 1] = {};
    walk<K, aligned>(f, in, io, out, begin, count - begin < each ? count - begin : each, rows, sums);
    if constexpr (K > 0)
        if (meet<K, added_sums<F, K>()>(sums, blockIdx.x, gridDim.x,
                                        {meeting.partial + place * gridDim.x * K, meeting.arrived + place}))
            take_range(finish, range, layer, gridDim.y, sums, of);
}

/// Elements of an array in a layer, and in a range of nodes.
struct Cut {
    Index count, each;
    __device__ Index begin(Index range) const { return range * each; }
    __device__ Index size(Index range) const { return count - begin(range) < each ? count - begin(range) : each; }
};

/// One sum of f over an array, and one over another: by grid z, which also is the range.
template <bool aligned, typename F, typename G>
__global__ void __launch_bounds__(pass_threads)
    pair_sum_kernel(F f, G finish, Arrays<1> x, Cut first, Arrays<1> y, Cut second, Meeting meeting, OfRanges of) {
    const Index layer = blockIdx.y, range = blockIdx.z / 2, place = layer * (gridDim.z / 2) + range;
    const bool of_first = blockIdx.z % 2 == 0;
    const Cut& cut = of_first ? first : second;
    double mine[1] = {};
    walk<1, aligned>(f, of_first ? x : y, Arrays<0>{}, Arrays<0>{}, cut.begin(range), cut.size(range), 1, mine);
    double sums[2] = {of_first ? mine[0] : 0, of_first ? 0 : mine[0]};
    const unsigned blocks = 2 * gridDim.x;
    if (meet(sums, (blockIdx.z % 2) * gridDim.x + blockIdx.x, blocks,
             {meeting.partial + place * blocks * 2, meeting.arrived + place}))
        take_range(finish, range, layer, gridDim.y, sums, of);
}

/// x -= step y on one array of `first` elements and on another of `second`: one launch, grid z is which.
template <bool first_aligned, bool second_aligned, typename F>
__global__ void __launch_bounds__(pass_threads)
    pair_kernel(F f, Arrays<1> y, Arrays<1> x, Index first, Arrays<1> y2, Arrays<1> x2, Index second) {
    double none[1];
    if (blockIdx.z == 0)
        walk<0, first_aligned>(f, y, x, Arrays<0>{}, 0, first, 1, none);
    else
        walk<0, second_aligned>(f, y2, x2, Arrays<0>{}, 0, second, 1, none);
}

template <int Count>
Arrays<Count> arrays(const std::array<CMat, Count>& views) {
    Arrays<Count> result{};
    for (int k = 0; k < Count; ++k) {
        result.data[k] = const_cast<real*>(views[k].data);
        result.stride[k] = views[k].stride;
    }
    return result;
}

template <int Count>
bool fits(const Extent& extent, const std::array<CMat, Count>& views, bool& aligned) {
    for (const CMat& m : views) {
        if (!m.contiguous() || m.size() != extent.count || m.batch != extent.layers) return false;
        aligned = aligned && reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 && m.stride % lane_width == 0;
    }
    return true;
}

/// What a pass reads, updates and writes: stacks of one shape.
template <int Count>
struct Reads {
    std::array<CMat, Count> views;
};
template <int Count>
struct Updates {
    std::array<CMat, Count> views;
};
template <int Count>
struct Writes {
    std::array<CMat, Count> views;
};
template <typename... M>
Reads<sizeof...(M)> reads(const M&... m) {
    return {{CMat(m)...}};
}
template <typename... M>
requires(std::same_as<M, Mat>&&...) Updates<sizeof...(M)> updates(const M&... m) { return {{CMat(m)...}}; }
template <typename... M>
requires(std::same_as<M, Mat>&&...) Writes<sizeof...(M)> writes(const M&... m) { return {{CMat(m)...}}; }

/// Runs a pass over `extent` that leaves K sums of each layer and range in `of`, and where there is nothing to add ends
/// with finish(layer, sums).
template <int K, int In, int Io, int Out, typename F, typename G>
void range_pass(const char* name, Lane& lane, const Extent& extent, const OfRanges& of, F f, G finish,
                const Reads<In>& in, const Updates<Io>& io, const Writes<Out>& out) {
    bool aligned = extent.count % lane_width == 0 && (!F::uses_row || extent.rows % lane_width == 0);
    if (!fits<In>(extent, in.views, aligned) || !fits<Io>(extent, io.views, aligned) ||
        !fits<Out>(extent, out.views, aligned))
        throw Error(ExitCode::internal, std::string(name) + ": shapes differ");
    const auto kernel = aligned ? pass_kernel<In, Io, Out, K, true, F, G> : pass_kernel<In, Io, Out, K, false, F, G>;
    Meeting meeting{};
    dim3 grid = extent.grid();
    if constexpr (K > 0) {
        grid = {extent.blocks_of_range(), grid.y, static_cast<unsigned>(extent.ranges)};
        meeting = {lane.partials.at_least(static_cast<Index>(grid.x) * extent.ranges * extent.layers * K),
                   lane.arrivals.at_least(extent.ranges * extent.layers)};
    }
    launch(name, kernel, grid, pass_threads, lane.stream, f, finish, arrays<In>(in.views), arrays<Io>(io.views),
           arrays<Out>(out.views), extent.count, K > 0 ? extent.each : extent.count, extent.rows, meeting, of);
}

/// Runs a pass over `extent` that forms K sums a layer and ends with finish(layer, sums).
template <int K, int In, int Io, int Out, typename F, typename G>
void sum_pass(const char* name, Lane& lane, const Extent& extent, F f, G finish, const Reads<In>& in,
              const Updates<Io>& io, const Writes<Out>& out) {
    OfRanges of;
    if constexpr (K > 0) of = of_ranges(lane, extent, sums_over_ranges<G, K>());
    range_pass<K>(name, lane, extent, of, f, finish, in, io, out);
    if constexpr (K > 0) finish_ranges<K>(name, lane, extent, of, finish);
}

/// The same over the extent of what it updates, else writes, else reads.
template <int K, int In, int Io, int Out, typename F, typename G>
void sum_pass(const char* name, Lane& lane, F f, G finish, const Reads<In>& in, const Updates<Io>& io,
              const Writes<Out>& out) {
    const auto first = [&] {
        if constexpr (Io > 0)
            return io.views[0];
        else if constexpr (Out > 0)
            return out.views[0];
        else
            return in.views[0];
    };
    sum_pass<K>(name, lane, Extent(first()), f, finish, in, io, out);
}

/// Runs a pass without sums.
template <typename F, typename... Operands>
void pass(const char* name, Lane& lane, F f, const Operands&... operands) {
    sum_pass<0>(name, lane, f, NoFinish{}, operands...);
}
template <typename F, typename... Operands>
void pass(const char* name, Lane& lane, const Extent& extent, F f, const Operands&... operands) {
    sum_pass<0>(name, lane, extent, f, NoFinish{}, operands...);
}

/// f updates x by y, and x2 by y2, which have another size: one launch.
template <typename F>
void pair_pass(const char* name, Lane& lane, F f, CMat y, Mat x, CMat y2, Mat x2) {
    const Extent first(x), second(x2);
    bool of_first = first.count % lane_width == 0, of_second = second.count % lane_width == 0;
    if (!fits<2>(first, {y, x}, of_first) || !fits<2>(second, {y2, x2}, of_second) || first.layers != second.layers)
        throw Error(ExitCode::internal, std::string(name) + ": shapes differ");
    const auto kernel = of_first    ? of_second ? pair_kernel<true, true, F> : pair_kernel<true, false, F>
                           : of_second ? pair_kernel<false, true, F>
                                    : pair_kernel<false, false, F>;
    launch(name, kernel, dim3(std::max(first.blocks(), second.blocks()), static_cast<unsigned>(first.layers), 2),
           pass_threads, lane.stream, f, arrays<1>({y}), arrays<1>({x}), first.count, arrays<1>({y2}), arrays<1>({x2}),
           second.count);
}

/// finish(layer, sums) with a sum of f over x and one over y, which has another size: one launch.
template <typename F, typename G>
void pair_sums(const char* name, Lane& lane, F f, G finish, CMat x, CMat y) {
    const Extent first(x), second(y);
    bool aligned = first.count % lane_width == 0 && second.count % lane_width == 0;
    if (!fits<1>(first, {x}, aligned) || !fits<1>(second, {y}, aligned) || first.layers != second.layers)
        throw Error(ExitCode::internal, std::string(name) + ": shapes differ");
    if (first.ranges != second.ranges) throw Error(ExitCode::internal, std::string(name) + ": ranges differ");
    const dim3 grid(std::max(first.blocks_of_range(), second.blocks_of_range()), static_cast<unsigned>(first.layers),
                    static_cast<unsigned>(2 * first.ranges));
    const Meeting meeting{lane.partials.at_least(Index{2} * grid.x * grid.z * first.layers),
                          lane.arrivals.at_least(first.ranges * first.layers)};
    const OfRanges of = of_ranges(lane, first, 2);
    launch(name, aligned ? pair_sum_kernel<true, F, G> : pair_sum_kernel<false, F, G>, grid, pass_threads, lane.stream,
           f, finish, arrays<1>({x}), Cut{first.count, first.each}, arrays<1>({y}), Cut{second.count, second.each},
           meeting, of);
    finish_ranges<2>(name, lane, first, of, finish);
}

/// No context and no row: the default base of a functor.
struct PlainPass {
    static constexpr bool uses_row = false;
    __device__ int prepare(Index) const { return 0; }
};
/// The layer's step size as context.
struct StepPass {
    static constexpr bool uses_row = false;
    const real* inverse;
    __device__ real prepare(Index layer) const { return inverse[layer]; }
};

__device__ inline double square(real x) { return static_cast<double>(x) * static_cast<double>(x); }

struct Square : PlainPass {
    __device__ void operator()(int, Index, double (&norm)[1], real x) const { norm[0] += square(x); }
};

/// As finish: leaves the sum of every layer.
struct Keep {
    double* to;
    __device__ void operator()(Index layer, const double (&sums)[1]) const { to[layer] = sums[0]; }
};

}  // namespace pdadmm::cuda
