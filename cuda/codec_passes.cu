// Quantised p and q on CUDA devices: moves on a grid, coded changes, and messages between ranks (design 4).
#include "cuda/cuda_backend.cuh"
#include "cuda/pass.cuh"

namespace pdadmm {
namespace {

using namespace cuda;

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
    __device__ void operator()(Context c, Index, real p, real g, real& d) const {
        if (c.active) d = snapped(q.levels, q.level_count, p - c.step * g) - p;
    }
};

struct Snap : PlainPass {
    Quantizer q;
    __device__ void operator()(int, Index, real& x) const { x = snapped(q.levels, q.level_count, x); }
};

struct DifferenceMove {
    static constexpr bool uses_row = false;
    Quantizer q;
    Index count;  // of a layer's changes
    std::int32_t largest;
    const real* inverse;
    const double* measured;  // of the layer's inverse g
    MessageHeader* headers;
    struct Context {
        real step, width;
    };
    __device__ Context prepare(Index layer) const {
        const Context c{inverse[layer], difference_width(q, measured[layer], count)};
        if (blockIdx.x == 0 && threadIdx.x == 0) headers[layer] = {c.width, 1};
        return c;
    }
    __device__ void operator()(Context c, Index, real g, real& d) const {
        d = difference_round(-(c.step * g), c.width, largest);
    }
};

/// What the width of the codes of changes follows from, their largest or a sum.
template <bool of_largest>
struct ChangeSize : StepPass {
    static constexpr int added = of_largest ? 0 : 1;
    ChangeMeasure measure;
    __device__ void operator()(real step, Index, double (&sums)[1], real g) const {
        if constexpr (of_largest)
            sums[0] = larger(sums[0], fabs(static_cast<double>(step * g)));
        else
            sums[0] += summand(measure, step * g);
    }
};

/// Of |d|^2 and |h|^2.
struct GridFinish {
    const Controls* k;
    real* inverse;
    std::int32_t* pending;
    __device__ void operator()(Index layer, const double (&sums)[2]) const {
        grid_decide(k->nu, k->rho, sums[0], sums[1], inverse[layer], pending[layer]);
    }
};

struct DifferenceFinish {
    const Controls* k;
    real* inverse;
    MessageHeader* headers;
    __device__ void operator()(Index layer, const double (&sums)[2]) const {
        headers[layer].factor = static_cast<real>(difference_factor(inverse[layer], k->nu, k->rho, sums[0], sums[1]));
        inverse[layer] = -headers[layer].factor;
    }
};

__global__ void set_inverse_kernel(real* inverse, Index layers, real value) {
    if (threadIdx.x + blockIdx.x * blockDim.x < layers) inverse[threadIdx.x + blockIdx.x * blockDim.x] = value;
}
__global__ void set_pending_kernel(std::int32_t* pending, Index layers, std::int32_t value) {
    if (threadIdx.x + blockIdx.x * blockDim.x < layers) pending[threadIdx.x + blockIdx.x * blockDim.x] = value;
}

constexpr int scalar_threads = 128;
unsigned scalar_blocks(Index layers) { return static_cast<unsigned>((layers + scalar_threads - 1) / scalar_threads); }

/// A thread has the elements of one access of 16 bytes, so that a warp's accesses lie side by side whatever the bits.
template <bool aligned>
__device__ Vector elements(const real* x, Index first, Index count) {
    if (aligned && first + lane_width <= count) return *reinterpret_cast<const Vector*>(x + first);
    Vector v;
    for (int k = 0; k < lane_width; ++k) v.value[k] = first + k < count ? x[first + k] : 0;
    return v;
}
template <bool aligned>
__device__ void put_elements(const Vector& v, real* x, Index first, Index count) {
    if (aligned && first + lane_width <= count) return store(x + first, v);
    for (int k = 0; k < lane_width && first + k < count; ++k) x[first + k] = v.value[k];
}

__device__ Index first_element() { return (static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x) * lane_width; }
__device__ Index codes_begin(const Quantizer& q) {
    return q.codec == Codec::difference ? static_cast<Index>(sizeof(MessageHeader) / 4) : 0;
}

/// Codes of fewer than 32 bits a thread meet in the first thread of a word's.
template <bool aligned>
__global__ void __launch_bounds__(pass_threads)
    encode_kernel(Quantizer q, const real* x, Index count, const MessageHeader* header, std::uint32_t* message) {
    const Index first = first_element();
    const bool difference = q.codec == Codec::difference;
    if (difference && first == 0) *reinterpret_cast<MessageHeader*>(message) = *header;
    const real width = difference ? header->width : real(0);
    const Vector v = elements<aligned>(x, first, count);
    std::uint64_t codes = 0;
    for (int k = 0; k < lane_width; ++k)
        if (first + k < count) codes |= static_cast<std::uint64_t>(wire_code(q, v.value[k], width)) << (k * q.bits);
    const int own = lane_width * q.bits;
    auto word = static_cast<std::uint32_t>(codes);
    for (int bits = own; bits < 32; bits *= 2)
        word |= __shfl_down_sync(0xffffffffu, word, static_cast<unsigned>(bits / own)) << bits;
    if (first >= count || first * q.bits % 32 != 0) return;
    std::uint32_t* const to = message + codes_begin(q) + first * q.bits / 32;
    to[0] = word;
    if (own > 32 && first + 32 / q.bits < count) to[1] = static_cast<std::uint32_t>(codes >> 32);
}

template <bool aligned>
__global__ void __launch_bounds__(pass_threads)
    decode_kernel(Quantizer q, const std::uint32_t* message, real* x, Index count) {
    const Index first = first_element();
    if (first >= count) return;
    const bool difference = q.codec == Codec::difference;
    const MessageHeader header = difference ? *reinterpret_cast<const MessageHeader*>(message) : MessageHeader{};
    const std::uint32_t* const from = message + codes_begin(q) + first * q.bits / 32;
    std::uint64_t codes = from[0] >> (first * q.bits % 32);
    if (lane_width * q.bits > 32 && first + 32 / q.bits < count) codes |= static_cast<std::uint64_t>(from[1]) << 32;
    const std::uint32_t mask = (std::uint32_t(1) << q.bits) - 1;
    Vector v{};
    if (difference) v = elements<aligned>(x, first, count);
    for (int k = 0; k < lane_width; ++k)
        v.value[k] = decoded(q, static_cast<std::uint32_t>(codes >> (k * q.bits)) & mask, header, v.value[k]);
    put_elements<aligned>(v, x, first, count);
}

unsigned element_blocks(Index count) {
    constexpr Index each = Index{pass_threads} * lane_width;
    return static_cast<unsigned>((count + each - 1) / each);
}
bool is_aligned(const real* x) { return reinterpret_cast<std::uintptr_t>(x) % 16 == 0; }

struct DualStep : PlainPass {
    const Controls* k;
    __device__ void operator()(int, Index, real p_next, real q, real& u) const { u = u_step(k->rho, u, p_next, q); }
};

}  // namespace

void CudaBackend::set_inverse(real* inverse, Index layers, double value) {
    launch("set_inverse", set_inverse_kernel, scalar_blocks(layers), scalar_threads, lane().stream, inverse, layers,
           static_cast<real>(1 / value));
}

void CudaBackend::reset_pending(std::int32_t* pending, Index layers) {
    launch("reset_pending", set_pending_kernel, scalar_blocks(layers), scalar_threads, lane().stream, pending, layers,
           backtracking_trials + 1);
}

void CudaBackend::grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                            Mat d) {
    pass("grid_move", lane(), GridMove{q, inverse, pending}, reads(p, g), updates(d), writes());
}

void CudaBackend::grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) {
    pair_sums("grid_check", lane(), Square{}, GridFinish{k, inverse, pending}, d, h);
}

void CudaBackend::snap(const Quantizer& q, Mat x) { pass("snap", lane(), Snap{{}, q}, reads(), updates(x), writes()); }

void CudaBackend::difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) {
    double* measured = lane().kept.at_least(d.batch);
    const ChangeMeasure measure = change_measure(q);
    const auto size_up = [&](const auto& f) {
        sum_pass<1>("change_size", lane(), f, Keep{measured}, reads(g), updates(), writes());
    };
    if (measure == ChangeMeasure::largest)
        size_up(ChangeSize<true>{{inverse}, measure});
    else
        size_up(ChangeSize<false>{{inverse}, measure});
    pass("difference_move", lane(), DifferenceMove{q, g.size(), largest_code(q.bits), inverse, measured, headers},
         reads(g), updates(), writes(d));
}

void CudaBackend::difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) {
    pair_sums("difference_check", lane(), Square{}, DifferenceFinish{k, inverse, headers}, d, h);
}

void CudaBackend::encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) {
    if (!x.contiguous() || x.batch != 1) throw Error(ExitCode::internal, "encode: expected one layer without gaps");
    if (q.codec == Codec::none) {
        PDADMM_CUDA_CHECK(cudaMemcpyAsync(message, x.data, static_cast<std::size_t>(x.size()) * sizeof(real),
                                          cudaMemcpyDeviceToDevice, lane().stream));
        return;
    }
    launch("encode", is_aligned(x.data) ? encode_kernel<true> : encode_kernel<false>, element_blocks(x.size()),
           pass_threads, lane().stream, q, x.data, x.size(), header, reinterpret_cast<std::uint32_t*>(message));
}

void CudaBackend::decode(const Quantizer& q, const std::byte* message, Mat x) {
    if (!x.contiguous() || x.batch != 1) throw Error(ExitCode::internal, "decode: expected one layer without gaps");
    if (q.codec == Codec::none) {
        PDADMM_CUDA_CHECK(cudaMemcpyAsync(x.data, message, static_cast<std::size_t>(x.size()) * sizeof(real),
                                          cudaMemcpyDeviceToDevice, lane().stream));
        return;
    }
    launch("decode", is_aligned(x.data) ? decode_kernel<true> : decode_kernel<false>, element_blocks(x.size()),
           pass_threads, lane().stream, q, reinterpret_cast<const std::uint32_t*>(message), x.data, x.size());
}

void CudaBackend::dual_step(CMat p_next, CMat q, const Controls* k, Mat u) {
    pass("dual_step", lane(), DualStep{{}, k}, reads(p_next, q), updates(u), writes());
}

}  // namespace pdadmm
