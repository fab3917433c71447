// The last layer's proximal step at one node, by a warp or a part of one.
#pragma once

#include "pdadmm/sigmoid.hpp"

namespace pdadmm::cuda {

constexpr int warp_width = 32;
constexpr unsigned whole_warp = 0xffffffffu;

/// `width` lanes of a warp (a power of two) that work on one node.
struct Group {
    int width = warp_width;
    __device__ int lane() const { return static_cast<int>(threadIdx.x) % width; }
    __device__ unsigned mask() const {
        return width == warp_width ? whole_warp
                                   : ((1u << width) - 1) << (static_cast<int>(threadIdx.x) % warp_width - lane());
    }
};

/// Lanes that work on a node if a block has `warps` warps for `nodes` nodes: a whole warp, but fewer where one round
/// then is enough and they still have a lane for each class.
PDADMM_HD constexpr int group_width(int warps, int nodes, int classes) {
    int width = warp_width;
    while (warps * (warp_width / width) < nodes && width / 2 >= classes) width /= 2;
    return width;
}

struct Pair {
    double sum = 0, slope = 0;
};

/// Classes of one node over the lanes of a group (prox.hpp, prox_cross_entropy). Sums run as a butterfly, so that every
/// lane holds the same bits.
struct WarpLanes {
    using Number = double;
    std::int32_t classes;
    real* z;
    Group group{};
    template <typename F>
    __device__ Pair sum2(F&& f) const {
        Pair pair;
        for (std::int32_t i = group.lane(); i < classes; i += group.width) f(i, pair.sum, pair.slope);
        for (int offset = group.width / 2; offset > 0; offset /= 2) {
            pair.sum += __shfl_xor_sync(group.mask(), pair.sum, offset);
            pair.slope += __shfl_xor_sync(group.mask(), pair.slope, offset);
        }
        return pair;
    }
    template <typename F>
    __device__ void each(F&& f) const {
        for (std::int32_t i = group.lane(); i < classes; i += group.width) f(i);
    }
    __device__ void store(std::int32_t i, double value) const { z[i] = static_cast<real>(value); }
    __device__ void store_where(bool mask, std::int32_t i, double value) const {
        if (mask) store(i, value);
    }
};

__device__ inline double log_sum_exp(const real* z, std::int32_t classes, Group group) {
    double most = -HUGE_VAL, sum = 0;
    for (std::int32_t i = group.lane(); i < classes; i += group.width) most = fmax(most, static_cast<double>(z[i]));
    for (int offset = group.width / 2; offset > 0; offset /= 2)
        most = fmax(most, __shfl_xor_sync(group.mask(), most, offset));
    for (std::int32_t i = group.lane(); i < classes; i += group.width) sum += exp(static_cast<double>(z[i]) - most);
    for (int offset = group.width / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(group.mask(), sum, offset);
    return most + log(sum);
}

struct LastNode {
    std::int32_t classes, label;
    double weight;
    const std::uint8_t* targets;  // of each of several labels; null: one class
    real step;                    // 1/theta
    const real *h, *d;
    real *r, *z;
    Group group{};
};

/// The same of a node with several labels, whose risk each lane adds for its own.
__device__ inline void last_labels(const LastNode& s, const WarpLanes& lanes, double nu, double& risk, double& linear) {
    const double log_nu = log_of(nu);
    lanes.each([&](std::int32_t i) {
        const real target = s.r[i] - (s.step * s.h[i] + s.d[i]) + s.z[i];
        const LabelProx<double> found =
            prox_label(static_cast<double>(target), static_cast<double>(s.targets[i]), nu, log_nu);
        s.z[i] = static_cast<real>(found.z);
        s.r[i] = static_cast<real>(static_cast<double>(target) - static_cast<double>(s.z[i]));
        risk += found.cost;
        linear += static_cast<double>(s.r[i]) * static_cast<double>(s.r[i]);
    });
}

/// r -= step h + d;  z = prox at r + z;  r. Adds the node's risk (in lane 0) and |r|^2 (each lane its classes).
/// r holds the target while the group works: z is overwritten by the result.
__device__ inline void last_node(const LastNode& s, double nu, double& risk, double& linear) {
    const WarpLanes lanes{s.classes, s.z, s.group};
    if (s.targets) return last_labels(s, lanes, nu, risk, linear);
    const double start = log_sum_exp(s.z, s.classes, s.group);
    lanes.each([&](std::int32_t i) { s.r[i] = s.r[i] - (s.step * s.h[i] + s.d[i]) + s.z[i]; });
    __syncwarp(s.group.mask());
    const ProxResult<double> result = prox_cross_entropy(
        lanes, [&](std::int32_t i) { return static_cast<double>(s.r[i]); }, static_cast<double>(s.label), nu, start,
        s.weight);
    __syncwarp(s.group.mask());
    if (s.group.lane() == 0) risk += result.risk;
    lanes.each([&](std::int32_t i) {
        s.r[i] = static_cast<real>(static_cast<double>(s.r[i]) - static_cast<double>(s.z[i]));
        linear += static_cast<double>(s.r[i]) * static_cast<double>(s.r[i]);
    });
}

}  // namespace pdadmm::cuda
