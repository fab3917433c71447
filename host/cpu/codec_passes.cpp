// Quantised p and q on the CPU: moves on a grid, coded changes, and messages between ranks (design 4).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "host/cpu/cpu_backend.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index words_per_task = 4096;

/// The measure of the changes step * g, or their part of it.
double measured(ChangeMeasure measure, const real* g, Index count, real step) {
    if (measure == ChangeMeasure::largest) {
        real most = 0, nan = 0;  // a maximum alone would pass over NaN
#pragma omp simd reduction(max : most) reduction(+ : nan)
        for (Index i = 0; i < count; ++i) {
            const real change = step * g[i];
            most = std::max(most, std::fabs(change));
            nan += change - change;
        }
        return static_cast<double>(most + nan);
    }
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < count; ++i) sum += summand(measure, step * g[i]);
    return sum;
}

}  // namespace

void CpuBackend::set_inverse(real* inverse, Index layers, double value) {
    std::fill_n(inverse, layers, static_cast<real>(1 / value));
}

void CpuBackend::reset_pending(std::int32_t* pending, Index layers) {
    std::fill_n(pending, layers, backtracking_trials + 1);
}

void CpuBackend::grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                           Mat d) {
    check_shapes("grid_move", d, {p, g});
    each_block(d, [&](Block block) {
        if (pending[block.layer] <= 0) return;
        const Index at = block.first * d.rows, count = block.columns * d.rows;
        const real step = inverse[block.layer];
        const real* ps = p.layer(block.layer).data + at;
        const real* gs = g.layer(block.layer).data + at;
        real* ds = d.layer(block.layer).data + at;
        for (Index i = 0; i < count; ++i) ds[i] = snapped(q.levels, q.level_count, ps[i] - step * gs[i]) - ps[i];
    });
}

void CpuBackend::grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) {
    each_pair_of_squares(
        d, h, [&](Index l, double dd, double hh) { grid_decide(k->nu, k->rho, dd, hh, inverse[l], pending[l]); });
}

void CpuBackend::snap(const Quantizer& q, Mat x) {
    each_block(x, [&](Block block) {
        real* xs = x.layer(block.layer).data + block.first * x.rows;
        for (Index i = 0; i < block.columns * x.rows; ++i) xs[i] = snapped(q.levels, q.level_count, xs[i]);
    });
}

void CpuBackend::difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) {
    check_shapes("difference_move", d, {g});
    const std::int32_t largest = largest_code(q.bits);
    const ChangeMeasure measure = change_measure(q);
    const Blocks blocks(g);
    const NodeRanges ranges = g.range > 0 ? NodeRanges(g) : NodeRanges(g.cols, 1);
    partial_.resize(std::max(partial_.size(), static_cast<std::size_t>(blocks.count())));
    each_task(blocks.count(), [&](Index task) {
        const Block block = blocks[task];
        partial_[static_cast<std::size_t>(task)] = measured(measure, g.layer(block.layer).data + block.first * g.rows,
                                                            block.columns * g.rows, inverse[block.layer]);
    });
    for (Index l = 0, task = 0; l < g.batch; ++l)
        for (Index range = 0; range < ranges.count; ++range) {
            double of_range = 0;
            const Index end = ranges.count == 1 ? blocks.per_layer : blocks.before(range + 1);
            for (; task < l * blocks.per_layer + end; ++task) {
                const double part = partial_[static_cast<std::size_t>(task)];
                if (measure != ChangeMeasure::largest)
                    of_range += part;
                else if (part > of_range || part != part)
                    of_range = part;
            }
            headers[range * g.batch + l] = {difference_width(q, of_range, g.rows * ranges.size(range)), 1};
        }
    each_block(g, [&](Block block) {
        const Index at = block.first * g.rows;
        const Index range = ranges.of(block.first);
        const real step = inverse[block.layer], w = headers[range * g.batch + block.layer].width;
        const real* __restrict gs = g.layer(block.layer).data + at;
        real* __restrict ds = d.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < block.columns * g.rows; ++i) ds[i] = difference_round(-(step * gs[i]), w, largest);
    });
}

void CpuBackend::difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) {
    each_pair_of_squares(d, h, [&](Index l, double dd, double hh) {
        headers[l].factor = static_cast<real>(difference_factor(inverse[l], k->nu, k->rho, dd, hh));
        inverse[l] = -headers[l].factor;
    });
}

void CpuBackend::repeat_while(const std::int32_t* pending, Index layers, int most, const std::function<void()>& body) {
    for (int trial = 0;
         trial < most && std::any_of(pending, pending + layers, [](std::int32_t left) { return left > 0; }); ++trial)
        body();
}

void CpuBackend::encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) {
    if (!x.contiguous() || x.batch != 1) throw Error(ExitCode::internal, "encode: expected one layer without gaps");
    if (q.codec == Codec::none) {
        std::memcpy(message, x.data, static_cast<std::size_t>(x.size()) * sizeof(real));
        return;
    }
    if (q.codec == Codec::difference) {
        std::memcpy(message, header, sizeof *header);
        message += sizeof *header;
    }
    const real width = q.codec == Codec::difference ? header->width : 0;
    auto* words = reinterpret_cast<std::uint32_t*>(message);
    const Index each = 32 / q.bits, count = (x.size() + each - 1) / each;
    each_task((count + words_per_task - 1) / words_per_task, [&](Index task) {
        for (Index w = task * words_per_task; w < std::min(count, (task + 1) * words_per_task); ++w)
            words[w] = pack_word(q, w, x.size(), width, [x](Index i) { return x.data[i]; });
    });
}

void CpuBackend::decode(const Quantizer& q, const std::byte* message, Mat x) {
    if (!x.contiguous() || x.batch != 1) throw Error(ExitCode::internal, "decode: expected one layer without gaps");
    if (q.codec == Codec::none) {
        std::memcpy(x.data, message, static_cast<std::size_t>(x.size()) * sizeof(real));
        return;
    }
    MessageHeader header;
    if (q.codec == Codec::difference) {
        std::memcpy(&header, message, sizeof header);
        message += sizeof header;
    }
    const auto* words = reinterpret_cast<const std::uint32_t*>(message);
    const Index each = 32 / q.bits, count = (x.size() + each - 1) / each;
    each_task((count + words_per_task - 1) / words_per_task, [&](Index task) {
        for (Index w = task * words_per_task; w < std::min(count, (task + 1) * words_per_task); ++w)
            unpack_word(q, words[w], w, x.size(),
                        [&](Index i, std::uint32_t code) { x.data[i] = decoded(q, code, header, x.data[i]); });
    });
}

void CpuBackend::dual_step(CMat p_next, CMat q, const Controls* k, Mat u) {
    check_shapes("dual_step", u, {p_next, q});
    each_block(u, [&](Block block) {
        const real rho = k->rho;
        const Index at = block.first * u.rows, count = block.columns * u.rows;
        const real* __restrict ps = p_next.layer(block.layer).data + at;
        const real* __restrict qs = q.layer(block.layer).data + at;
        real* __restrict us = u.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) us[i] = u_step(rho, us[i], ps[i], qs[i]);
    });
}

}  // namespace pdadmm
