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

/// One thread a 32-bit word of codes.
__global__ void __launch_bounds__(pass_threads)
    encode_kernel(Quantizer q, const real* x, Index count, const MessageHeader* header, std::uint32_t* message) {
    const Index word = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x;
    constexpr Index header_words = sizeof(MessageHeader) / 4;
    const bool difference = q.codec == Codec::difference;
    if (difference && word == 0) *reinterpret_cast<MessageHeader*>(message) = *header;
    if (word * (32 / q.bits) >= count) return;
    message[(difference ? header_words : 0) + word] =
        pack_word(q, word, count, difference ? header->width : real(0), [x](Index i) { return x[i]; });
}

__global__ void __launch_bounds__(pass_threads)
    decode_kernel(Quantizer q, const std::uint32_t* message, real* x, Index count) {
    const Index word = static_cast<Index>(blockIdx.x) * pass_threads + threadIdx.x;
    constexpr Index header_words = sizeof(MessageHeader) / 4;
    if (word * (32 / q.bits) >= count) return;
    const bool difference = q.codec == Codec::difference;
    const MessageHeader header = difference ? *reinterpret_cast<const MessageHeader*>(message) : MessageHeader{};
    unpack_word(q, message[(difference ? header_words : 0) + word], word, count,
                [&](Index i, std::uint32_t code) { x[i] = decoded(q, code, header, x[i]); });
}

unsigned word_blocks(const Quantizer& q, Index count) {
    const Index words = (count * q.bits + 31) / 32;
    return static_cast<unsigned>((words + pass_threads - 1) / pass_threads);
}

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
    launch("encode", encode_kernel, word_blocks(q, x.size()), pass_threads, lane().stream, q, x.data, x.size(), header,
           reinterpret_cast<std::uint32_t*>(message));
}

void CudaBackend::decode(const Quantizer& q, const std::byte* message, Mat x) {
    if (!x.contiguous() || x.batch != 1) throw Error(ExitCode::internal, "decode: expected one layer without gaps");
    if (q.codec == Codec::none) {
        PDADMM_CUDA_CHECK(cudaMemcpyAsync(x.data, message, static_cast<std::size_t>(x.size()) * sizeof(real),
                                          cudaMemcpyDeviceToDevice, lane().stream));
        return;
    }
    launch("decode", decode_kernel, word_blocks(q, x.size()), pass_threads, lane().stream, q,
           reinterpret_cast<const std::uint32_t*>(message), x.data, x.size());
}

void CudaBackend::dual_step(CMat p_next, CMat q, const Controls* k, Mat u) {
    pass("dual_step", lane(), DualStep{{}, k}, reads(p_next, q), updates(u), writes());
}

}  // namespace pdadmm
