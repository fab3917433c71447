// CPU passes of the b, z, q and u subproblems, the first layer in node space, and the forward pass (design 2).
#include <algorithm>
#include <cmath>

#include "host/cpu/cpu_backend.hpp"

namespace pdadmm {
namespace {

constexpr Index elements_per_chunk = 2048;  // a few arrays of it stay in a core's first-level cache between two loops

}  // namespace

void CpuBackend::bias_step(CMat r, CMat h, const real* inverse, Mat d, Mat b) {
    check_shapes("bias_step", r, {h});
    const Index n = r.rows;
    each_block_sum(
        r, 2 * n,
        [&](Block block, double* sums) {
            add_columns(r.layer(block.layer).data + block.first * n, n, n, block.columns, sums);
            add_columns(h.layer(block.layer).data + block.first * n, n, n, block.columns, sums + n);
        },
        [&](Index l, auto&& sum) {
            for (Index i = 0; i < n; ++i)
                take_bias(sum(i), sum(n + i), inverse[l], node_count(r), d.layer(l).data[i], b.layer(l).data[i]);
        });
}

void CpuBackend::take_bias(double sum_r, double sum_h, real inverse, Index nodes, real& d, real& b) {
    const double sum = sum_r - static_cast<double>(inverse) * sum_h;
    d = bias_change(static_cast<real>(sum / static_cast<double>(nodes)), b);
    b -= d;
}

// Per chunk of columns: close r, then z, r, q and u in one loop. Under codec `difference` q and u wait for the layer's
// width of a code, so the loop leaves q's wanted change in h (the rest is difference_q).
template <Codec codec>
void CpuBackend::activation_pass(const Activation& a, const Controls* k, const Quantizer& quantizer,
                                 LayerFigures* figures) {
    each_block_sum<4>(
        a.r,
        [&](Block block) {
            const Index n = a.r.rows, chunk = std::max<Index>(1, elements_per_chunk / n);
            const real rho = k->rho, nu = k->nu, step = a.inverse[block.layer];
            const real* __restrict ds = a.d.layer(block.layer).data;
            std::array<double, 4> sums{};
            for (Index first = block.first; first < block.first + block.columns; first += chunk) {
                const Index columns = std::min(chunk, block.first + block.columns - first), at = first * n,
                            count = columns * n;
                real* __restrict rs = a.r.layer(block.layer).data + at;
                real* __restrict hs = a.h.layer(block.layer).data + at;
                real* __restrict zs = a.z.layer(block.layer).data + at;
                real* __restrict qs = a.q.layer(block.layer).data + at;
                real* __restrict us = a.u.layer(block.layer).data + at;
                const real* __restrict ps = a.p_next.layer(block.layer).data + at;
                for (Index j = 0; j < columns; ++j) {
#pragma omp simd
                    for (Index i = 0; i < n; ++i) rs[j * n + i] -= step * hs[j * n + i] + ds[i];
                }
                real linear = 0, activation = 0, coupling = 0, primal = 0;  // over one chunk; in double from there on
#pragma omp simd reduction(+ : linear, activation, coupling, primal)
                for (Index i = 0; i < count; ++i) {
                    const real z_old = zs[i], q_old = qs[i], u_old = us[i], p = ps[i];
                    const real target = rs[i] + z_old, z = hidden_z(target, q_old, z_old), r = target - z;
                    zs[i] = z;
                    rs[i] = r;
                    linear += r * r;
                    real q = q_step(rho, nu, p, u_old, z);
                    if constexpr (codec == Codec::difference) {
                        hs[i] = q - q_old;
                    } else {
                        if constexpr (codec == Codec::grid) q = snapped(quantizer.levels, quantizer.level_count, q);
                        const real u = u_step(rho, u_old, p, q), gap = p - q, kink = q - relu(z);
                        qs[i] = q;
                        us[i] = u;
                        activation += kink * kink;
                        coupling += u * gap;
                        primal += gap * gap;
                    }
                }
                const std::array<real, 4> of_chunk{linear, activation, coupling, primal};
                for (std::size_t i = 0; i < 4; ++i) sums[i] += static_cast<double>(of_chunk[i]);
            }
            return sums;
        },
        [&](Index l, const auto& sums) { figures[l] = {sums[0], sums[1], sums[2], sums[3], figures[l].weight_sq, 0}; });
}

void CpuBackend::difference_q(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                              MessageHeader* headers) {
    const real one = -1;  // difference_move quantises -inverse * g
    const std::vector<real> inverse(static_cast<std::size_t>(a.h.batch), one);
    difference_move(quantizer, a.h, inverse.data(), a.h, headers);
    each_block_sum<3>(
        a.q,
        [&](Block block) {
            const real rho = k->rho;
            const Index at = block.first * a.q.rows, count = block.columns * a.q.rows;
            const real* __restrict hs = a.h.layer(block.layer).data + at;
            const real* __restrict zs = a.z.layer(block.layer).data + at;
            const real* __restrict ps = a.p_next.layer(block.layer).data + at;
            real* __restrict qs = a.q.layer(block.layer).data + at;
            real* __restrict us = a.u.layer(block.layer).data + at;
            double activation = 0, coupling = 0, primal = 0;
#pragma omp simd reduction(+ : activation, coupling, primal)
            for (Index i = 0; i < count; ++i) {
                const real p = ps[i], z = zs[i], u_old = us[i];
                const real q = qs[i] + hs[i], u = u_step(rho, u_old, p, q), gap = p - q, kink = q - relu(z);
                qs[i] = q;
                us[i] = u;
                activation += static_cast<double>(kink) * static_cast<double>(kink);
                coupling += static_cast<double>(u) * static_cast<double>(gap);
                primal += static_cast<double>(gap) * static_cast<double>(gap);
            }
            return std::array<double, 3>{activation, coupling, primal};
        },
        [&](Index l, const auto& sums) {
            figures[l].activation_sq = sums[0];
            figures[l].coupling = sums[1];
            figures[l].primal_sq = sums[2];
        });
}

void CpuBackend::activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer,
                                 LayerFigures* figures, MessageHeader* headers) {
    check_shapes("activation_step", a.r, {a.h, a.p_next, a.z, a.q, a.u});
    switch (quantizer.codec) {
        case Codec::none:
            return activation_pass<Codec::none>(a, k, quantizer, figures);
        case Codec::grid:
            return activation_pass<Codec::grid>(a, k, quantizer, figures);
        case Codec::difference:
            activation_pass<Codec::difference>(a, k, quantizer, figures);
            return difference_q(a, k, quantizer, figures, headers);
    }
}

void CpuBackend::node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse,
                                 NodeSpaceScalars* s, LayerFigures* figures) {
    check_shapes("node_space_step", r, {T, V});
    each_block_sum<3>(
        r,
        [&](Block block) {
            const real nu = k->nu, mu = k->mu;
            const Index at = block.first * r.rows, count = block.columns * r.rows;
            const real* __restrict rs = r.data + at;
            const real* __restrict vs = V.data + at;
            real* __restrict ts = T.data + at;
            double rT = 0, rV = 0, HH = 0;
#pragma omp simd reduction(+ : rT, rV, HH)
            for (Index i = 0; i < count; ++i) {
                const real r_old = rs[i], t = ts[i], v = vs[i], h = W_gradient_of(nu, mu, t, v);
                rT += static_cast<double>(r_old) * static_cast<double>(t);
                rV += static_cast<double>(r_old) * static_cast<double>(v);
                HH += static_cast<double>(h) * static_cast<double>(h);
                ts[i] = h;
            }
            return std::array<double, 3>{rT, rV, HH};
        },
        [&](Index, const auto& sums) {
            *inverse = static_cast<real>(node_space_decide(spec, k->nu, k->mu, {sums[0], sums[1], sums[2]}, *s));
            figures->weight_sq = s->weight_sq;
        });
}

void CpuBackend::node_space_descend(const real* inverse, CMat r, CMat H, const Controls* k, Mat S, Mat V) {
    check_shapes("node_space_descend", r, {H, S, V});
    each_block(r, [&](Block block) {
        const real step = *inverse, nu = k->nu, mu = k->mu;
        const Index at = block.first * r.rows, count = block.columns * r.rows;
        const real* __restrict rs = r.data + at;
        const real* __restrict hs = H.data + at;
        real* __restrict ss = S.data + at;
        real* __restrict vs = V.data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) {
            ss[i] = node_space_sum_of(nu, mu, step, ss[i], rs[i]);
            vs[i] -= step * hs[i];
        }
    });
}

void CpuBackend::scale_by_c(const NodeSpaceScalars* s, Mat A) {
    each_block(A, [&](Block block) {
        const real c = static_cast<real>(s->c);
        real* __restrict as = A.layer(block.layer).data + block.first * A.rows;
#pragma omp simd
        for (Index i = 0; i < block.columns * A.rows; ++i) as[i] *= c;
    });
}

void CpuBackend::rebuild_q(CMat z, CMat u, const Controls* k, Mat q) {
    check_shapes("rebuild_q", q, {z, u});
    each_block(q, [&](Block block) {
        const real nu = k->nu;
        const Index at = block.first * q.rows, count = block.columns * q.rows;
        const real* __restrict zs = z.layer(block.layer).data + at;
        const real* __restrict us = u.layer(block.layer).data + at;
        real* __restrict qs = q.layer(block.layer).data + at;
#pragma omp simd
        for (Index i = 0; i < count; ++i) qs[i] = rebuilt_q(nu, zs[i], us[i]);
    });
}

void CpuBackend::close_residual(CMat b, CMat z, Mat r) {
    check_shapes("close_residual", r, {z});
    each_block(r, [&](Block block) {
        const real* __restrict bs = b.layer(block.layer).data;
        for (Index j = block.first; j < block.first + block.columns; ++j) {
            const real* __restrict zs = z.layer(block.layer).data + j * r.rows;
            real* __restrict rs = r.layer(block.layer).data + j * r.rows;
#pragma omp simd
            for (Index i = 0; i < r.rows; ++i) rs[i] += bs[i] - zs[i];
        }
    });
}

void CpuBackend::schedule(const RhoSchedule& rule, const double* watched, Controls* k) {
    if (!stalled(*watched, rule.threshold, rule.patience, k->last_watched, k->stalls)) return;
    k->rho = grown(k->rho, rule.factor, rule.most);
    k->nu = grown(k->nu, rule.factor, rule.most);
}

void CpuBackend::archive(const LayerFigures* figures, const Controls* k, const History& history) {
    const Index slot = (*history.position)++ % history.capacity;
    std::copy_n(figures, history.layers, history.figures + slot * history.layers);
    history.controls[slot] = *k;
}

void CpuBackend::add_bias(CMat b, bool linear, Mat A) {
    check_shapes("add_bias", A, {});
    each_block(A, [&](Block block) {
        const real* __restrict bs = b.layer(block.layer).data;
        for (Index j = block.first; j < block.first + block.columns; ++j) {
            real* __restrict as = A.layer(block.layer).data + j * A.rows;
#pragma omp simd
            for (Index i = 0; i < A.rows; ++i) as[i] = linear ? as[i] + bs[i] : relu(as[i] + bs[i]);
        }
    });
}

}  // namespace pdadmm
