// The subproblem updates of pdADMM-G on a block's part of a layer (design 2), for the persistent kernel.
// Only sums, G and (in node space) r are exchanged between the blocks of a layer, and p, q, u between layers, node by
// node. Shapes: small_network_part.cuh. `done`: iterations that the flags count so far. What a neighbour published is
// expected before a product and read behind it.
#pragma once

#include "cuda/small_network_part.cuh"
#include "cuda/warp_lanes.cuh"

namespace pdadmm::cuda::small {

__device__ inline double square(real x) { return static_cast<double>(x) * static_cast<double>(x); }

/// g = nu g + u + rho (p - q) over g = W' r; returns the thread's share of |g|^2.
__device__ inline double close_gradient(const Part& s) {
    struct Coupling {
        real u, q;
    };
    const real *u = s.global.u_prev + s.inputs_at(), *q = s.global.q_prev + s.inputs_at();
    double sum = 0;
    each_element(
        s.of_m, s.count,
        [&](const Element& e) {
            return Coupling{u[e.at], q[e.at]};
        },
        [&](const Element& e, const Coupling& c) {
            const int at = e.column * s.ldm + e.row;
            s.g()[at] = p_gradient_of(s.rho, s.nu, s.g()[at], c.u, s.p()[at], c.q);
            sum += square(s.g()[at]);
        });
    return sum;
}

template <int width>
__device__ void update_p(const Part& s, Flag done) {
    double sums[2] = {};
    expect(s, s.global.q_prev_ready + s.rank, done, Stall::Of::q_before);
    multiply<true, width>(s.W(), s.ldn, s.m, s.r(), s.ldn, s.count, s.n,
                          [&](int i, int j, real value) { s.g()[j * s.ldm + i] = value; });  // g = W' r
    __syncthreads();
    sums[0] = close_gradient(s);
    __syncthreads();
    multiply<false, width>(s.W(), s.ldn, s.n, s.g(), s.ldm, s.count, s.m, [&](int i, int j, real value) {  // h = W g
        s.h()[j * s.ldn + i] = value;
        sums[1] += square(value);
    });
    cluster_sum(s, s.p_sums(), sums);
    const real step = static_cast<real>(inverse_step(s.spec, s.nu, s.rho, sums[0], sums[1]));
    each_element(s.of_m, s.count, [&](const Element& e) {
        const int at = e.column * s.ldm + e.row;
        s.p()[at] -= step * s.g()[at];
        s.global.p[s.inputs_at() + e.at] = s.p()[at];
    });
    each_element(s.of_n, s.count, [&](const Element& e) {
        const int at = e.column * s.ldn + e.row;
        s.r()[at] -= step * s.h()[at];
    });
    publish(s.global.p_ready + s.rank, done + 1);
}

/// G = nu (sum of the blocks' r p') + mu W for this block's share, sent to all; returns the thread's share of |G|^2.
__device__ inline double gather_gradient(const Part& s) {
    const Share share = share_of_weights(s);
    double sum = 0;
    for (int at = share.first + static_cast<int>(threadIdx.x); at < share.end; at += threads) {
        Quad parts[most_cluster], total{};
        for (int rank = 0; rank < most_cluster; ++rank)  // all loads under way before the first is needed
            if (rank < s.cluster) parts[rank] = quad(of_rank(s.G(), rank) + 4 * at);
        for (int rank = 0; rank < most_cluster; ++rank)
            for (int e = 0; e < 4; ++e)
                if (rank < s.cluster) total.value[e] += parts[rank].value[e];
        const Quad W = quad(s.W() + 4 * at);
        for (int e = 0; e < 4; ++e) {
            total.value[e] = W_gradient_of(s.nu, s.mu, total.value[e], W.value[e]);
            sum += square(total.value[e]);
        }
        for (int rank = 0; rank < s.cluster; ++rank) quad(of_rank(s.G(), rank) + 4 * at) = total;
    }
    return sum;
}

/// Sums of r and of H over the part's nodes, row by row, to all blocks: the mean of r - H/theta needs no exchange of
/// its own.
__device__ inline void send_row_sums(const Part& s) {
    for (int i = static_cast<int>(threadIdx.x); i < 2 * s.n; i += threads) {
        const real* from = i < s.n ? s.r() + i : s.H() + (i - s.n);
        double sum = 0;
        for (int j = 0; j < s.count; ++j) sum += static_cast<double>(from[j * s.ldn]);
        for (int rank = 0; rank < s.cluster; ++rank) of_rank(s.row_sums(), rank)[s.rank * 2 * s.n + i] = sum;
    }
}

/// Forms G and H = G p, and returns 1/theta. W -= G/theta waits until q and u are on their way (descend_W), and r -=
/// H/theta for the pass that reads r anyway.
template <int width>
__device__ real update_W(const Part& s, Flag done) {
    double sums[2] = {};
    multiply_outer(s.r(), s.ldn, s.n, s.p(), s.ldm, s.m, s.count, s.G());  // G = r p' of the part's nodes
    cluster_barrier();
    collect_figures(s, done);
    sums[0] = gather_gradient(s);
    cluster_barrier();
    if (s.global.p_next) expect(s, s.global.p_next_ready + s.rank, done + 1, Stall::Of::p_behind);
    multiply<false, width>(s.G(), s.ldn, s.n, s.p(), s.ldm, s.count, s.m, [&](int i, int j, real value) {  // H = G p
        s.H()[j * s.ldn + i] = value;
        sums[1] += square(value);
    });
    __syncthreads();
    send_row_sums(s);
    cluster_sum(s, s.W_sums(), sums);
    return static_cast<real>(inverse_step(s.spec, s.nu, s.mu, sums[0], sums[1]));
}

/// W -= G/theta; returns the thread's share of |W|^2.
__device__ inline double descend_W(const Part& s, real step) {
    const Share share = share_of_weights(s);
    double sum = 0;
    for (int at = static_cast<int>(threadIdx.x); at < s.ldn / 4 * s.m; at += threads) {
        const Quad G = quad(s.G() + 4 * at);
        Quad W = quad(s.W() + 4 * at);
        for (int e = 0; e < 4; ++e) W.value[e] -= step * G.value[e];
        quad(s.W() + 4 * at) = W;
        if (at >= share.first && at < share.end)
            for (int e = 0; e < 4; ++e) sum += square(W.value[e]);
    }
    return sum;
}

/// The first layer in node space: H = nu r K1 + mu V moves V; returns 1/theta.
template <int width>
__device__ real update_W_in_node_space(Part& s, Flag done) {
    double sums[3] = {};
    cluster_barrier();  // r of all nodes is here (send_residual)
    collect_figures(s, done);
    expect(s, s.global.p_next_ready + s.rank, done + 1, Stall::Of::p_behind);
    multiply<false, width>(s.r_all(), s.ldn, s.n, s.K(), padded(s.global.shape.N), s.count, s.global.shape.N,
                           [&](int i, int j, real value) { s.H()[j * s.ldn + i] = value; });  // T = r K1
    __syncthreads();
    real *V = s.global.V + s.outputs_at(), *S = s.global.S + s.outputs_at();
    each_element(
        s.of_n, s.count, [&](const Element& e) { return V[e.at]; },
        [&](const Element& e, real v) {
            const int at = e.column * s.ldn + e.row;
            const real r = s.r()[at], T = s.H()[at], h = W_gradient_of(s.nu, s.mu, T, v);
            s.H()[at] = h;
            sums[0] += static_cast<double>(r) * static_cast<double>(T);
            sums[1] += static_cast<double>(r) * static_cast<double>(v);
            sums[2] += square(h);
        });
    __syncthreads();
    send_row_sums(s);
    cluster_sum(s, s.W_sums(), sums);
    NodeSpaceScalars scalars = s.scalars[done % 2];
    const real step = static_cast<real>(node_space_decide(s.spec, s.nu, s.mu, {sums[0], sums[1], sums[2]}, scalars));
    if (threadIdx.x == 0) s.scalars[(done + 1) % 2] = scalars;
    struct Old {
        real V, S;
    };
    each_element(
        s.of_n, s.count,
        [&](const Element& e) {
            return Old{V[e.at], S[e.at]};
        },
        [&](const Element& e, const Old& old) {
            const int at = e.column * s.ldn + e.row;
            V[e.at] = old.V - step * s.H()[at];
            S[e.at] = node_space_sum_of(s.nu, s.mu, step, old.S, s.r()[at]);
        });
    return step;
}

/// d = mean over all nodes of r - H/theta;  b -= d.
__device__ inline void update_b(const Part& s, real step) {
    for (int i = static_cast<int>(threadIdx.x); i < s.n; i += threads) {
        double r = 0, H = 0;
        for (int rank = 0; rank < s.cluster; ++rank) {
            r += s.row_sums()[rank * 2 * s.n + i];
            H += s.row_sums()[rank * 2 * s.n + s.n + i];
        }
        const real mean = static_cast<real>((r - static_cast<double>(step) * H) / s.global.shape.N);
        s.d()[i] = bias_change(mean, s.b()[i]);
        s.b()[i] -= s.d()[i];
    }
    __syncthreads();
}

/// r -= H/theta + d;  z;  r;  q;  u;  the thread's share of the figures.
__device__ inline void update_z_q_u(const Part& s, real step, Flag done, double (&figures)[figure_count]) {
    struct Old {
        real p, q, u;
    };
    const real* p = s.global.p_next + s.outputs_at();
    real *q = s.global.q + s.outputs_at(), *u = s.global.u + s.outputs_at();
    each_element(
        s.of_n, s.count,
        [&](const Element& e) {
            return Old{p[e.at], q[e.at], u[e.at]};
        },
        [&](const Element& e, const Old& old) {
            const int at = e.column * s.ldn + e.row;
            const real target = s.r()[at] - (step * s.H()[at] + s.d()[e.row]) + s.z()[at];
            const real z = hidden_z(target, old.q, s.z()[at]), r = target - z;
            const real new_q = q_step(s.rho, s.nu, old.p, old.u, z), new_u = u_step(s.rho, old.u, old.p, new_q);
            s.z()[at] = z;
            s.r()[at] = r;
            q[e.at] = new_q;
            u[e.at] = new_u;
            const real gap = old.p - new_q;
            figures[0] += square(r);
            figures[1] += square(new_q - relu(z));
            figures[2] += static_cast<double>(new_u) * static_cast<double>(gap);
            figures[3] += square(gap);
        });
    publish(s.global.q_ready + s.rank, done + 1);
}

/// r -= H/theta + d;  z_L = prox at r + z;  r. A group of lanes a node: the prox waits for one logarithm after the
/// other, so that a second round of nodes would cost as much as the first.
__device__ inline void update_last_z(const Part& s, real step, double (&figures)[figure_count]) {
    const Group group{group_width(warps, s.count, s.n)};
    const Labels& labels = s.global.labels;
    for (int j = static_cast<int>(threadIdx.x) / group.width; j < s.count; j += threads / group.width) {
        const int at = j * s.ldn;
        const int node = s.first + j;
        last_node({s.n, labels[node], labels.weight(node), labels.targets_of(node, s.n), step, s.H() + at, s.d(),
                   s.r() + at, s.z() + at, group},
                  s.nu, figures[5], figures[0]);
    }
}

/// In node space every block multiplies with the r of all nodes. r is complete since publish().
__device__ inline void send_residual(const Part& s) {
    const int quads = s.ldn / 4 * s.count, offset = s.ldn * s.first;
    for (int at = static_cast<int>(threadIdx.x); at < quads; at += threads) {
        const Quad r = quad(s.r() + 4 * at);
        for (int rank = 0; rank < s.cluster; ++rank)
            if (rank != s.rank) quad(of_rank(s.r_all(), rank) + offset + 4 * at) = r;
    }
}

}  // namespace pdadmm::cuda::small
