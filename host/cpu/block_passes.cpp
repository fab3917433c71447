// CPU passes of the closed forms (design 2, `block`): sums over nodes, centring, inverses, and the first layer in node
// space.
#include <algorithm>
#include <array>
#include <cmath>

#include "host/blas/blas.hpp"
#include "host/cpu/cpu_backend.hpp"
#include "host/cpu/inverse.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

void mirror_lower(Mat C) {
    for (Index j = 0; j < C.cols; ++j)
        for (Index i = j + 1; i < C.rows; ++i) C.data[i * C.ld + j] = C.data[j * C.ld + i];
}

}  // namespace

// A task forms one part of C of one range of one layer; the ranges' parts are then added along the tree, here or by all
// ranks.
void CpuBackend::begin_node_product(CMat A, CMat B, Mat C, Precision) {
    if (C.rows != A.rows || C.cols != B.rows || A.cols != B.cols || A.batch != C.batch || B.batch != C.batch ||
        !C.contiguous())
        throw Error(ExitCode::internal, "node_product: shapes differ");
    const NodeRanges ranges(A);
    const bool divided = A.range > 0 && others_, several = ranges.count > 1 || divided;
    const bool gram = A.data == B.data && A.rows == B.rows && A.rows <= gemm_block, by_rows = C.rows > C.cols;
    const Index longer = by_rows ? C.rows : C.cols, parts = gram ? 1 : tile_count(longer), width = tile_length(longer),
                size = C.size();
    Products& products = products_[products_[0].C.data ? 1 : 0];
    if (products.C.data) throw Error(ExitCode::internal, "node_product: two are under way");
    std::vector<real>& all = products.parts;
    if (several) all.resize(std::max(all.size(), static_cast<std::size_t>(C.batch * ranges.count * size)));
    const auto part_of = [&](Index layer, Index range) {
        return several ? all.data() + (range * C.batch + layer) * size : C.layer(layer).data;
    };
    each_task_over_sums(C.batch * ranges.count * parts, [&](Index task) {
        const Index part = task % parts, range = task / parts % ranges.count, layer = task / parts / ranges.count;
        const Index first = gram ? 0 : part * width, count = gram ? longer : std::min(width, longer - first);
        if (count <= 0) return;
        const CMat a = A.layer(layer).columns(ranges.first(range), ranges.size(range)),
                   b = B.layer(layer).columns(ranges.first(range), ranges.size(range));
        real* to = part_of(layer, range);
        const int k = static_cast<int>(a.cols), rows = static_cast<int>(C.rows), cols = static_cast<int>(C.cols),
                  n = static_cast<int>(count);
        if (gram)
            blas_gram(rows, k, a.data, static_cast<int>(a.ld), to, rows);
        else if (by_rows)
            blas_gemm(BlasTrans::no, BlasTrans::yes, n, cols, k, 1, a.data + first, static_cast<int>(a.ld), b.data,
                      static_cast<int>(b.ld), 0, to + first, rows);
        else
            blas_gemm(BlasTrans::no, BlasTrans::yes, rows, n, k, 1, a.data, static_cast<int>(a.ld), b.data + first,
                      static_cast<int>(b.ld), 0, to + first * C.rows, rows);
    });
    if (divided) {
        others_->begin(all.data(), C.batch * size);
        products.C = C;
        products.symmetric = gram;
        under_way_ = &products;
        return;
    }
    for (Index layer = 0; layer < C.batch; ++layer) {
        if (several) {
            each_block(C.layer(layer), [&](Block block) {
                const Index at = block.first * C.rows, elements = block.columns * C.rows;
                add_along_tree(ranges.count, [&](Index i, Index j) {
                    real* __restrict to = part_of(layer, i) + at;
                    const real* __restrict from = part_of(layer, j) + at;
#pragma omp simd
                    for (Index e = 0; e < elements; ++e) to[e] += from[e];
                });
                std::copy_n(part_of(layer, 0) + at, elements, C.layer(layer).data + at);
            });
        }
        if (gram) mirror_lower(C.layer(layer));
    }
}

void CpuBackend::end_node_product(Mat C) {
    for (Products& products : products_) {
        if (products.C.data != C.data || !C.data) continue;
        if (under_way_ == &products) others_->end();
        each_block(C, [&](Block block) {
            const Index at = block.first * C.rows;
            std::copy_n(products.parts.data() + block.layer * C.size() + at, block.columns * C.rows,
                        C.layer(block.layer).data + at);
        });
        for (Index layer = 0; products.symmetric && layer < C.batch; ++layer) mirror_lower(C.layer(layer));
        products.C = {};
    }
}

const double* CpuBackend::row_sums(CMat X) {
    constexpr Index strip = 512;
    const Blocks blocks(X);
    const Index n = X.rows, strips = (n + strip - 1) / strip, all = X.batch * n;
    of_ranges_.resize(std::max(of_ranges_.size(), static_cast<std::size_t>(blocks.ranges.count * all)));
    each_task(X.batch * strips, [&](Index task) {
        const Index layer = task / strips, first = task % strips * strip, rows = std::min(strip, n - first);
        const real* x = X.layer(layer).data + first;
        for (Index range = 0; range < blocks.ranges.count; ++range) {
            double* __restrict sums = of_ranges_.data() + range * all + layer * n + first;
            std::fill_n(sums, rows, 0.0);
            for (Index block = blocks.before(range); block < blocks.before(range + 1); ++block) {
                const Block nodes = blocks[layer * blocks.per_layer + block];
                std::array<double, strip> of_block{};
                add_columns(x + nodes.first * n, n, rows, nodes.columns, of_block.data());
                for (Index i = 0; i < rows; ++i) sums[i] += of_block[static_cast<std::size_t>(i)];
            }
        }
    });
    add_ranges(blocks.of_nodes, blocks.ranges.count, of_ranges_.data(), all);
    return of_ranges_.data();
}

void CpuBackend::subtract_means(CMat X, Mat Y) {  // X may be Y
    constexpr Index many_rows = 2048;
    const Index n = X.rows;
    means_.resize(std::max(means_.size(), static_cast<std::size_t>(n * X.batch)));
    const auto take = [&](Index layer, Index i, double sum) {
        means_[static_cast<std::size_t>(layer * n + i)] = static_cast<real>(sum / static_cast<double>(node_count(X)));
    };
    if (n >= many_rows) {
        const double* sums = row_sums(X);
        for (Index layer = 0; layer < X.batch; ++layer)
            for (Index i = 0; i < n; ++i) take(layer, i, sums[layer * n + i]);
    } else {
        each_row_sum(
            X,
            [&](Block block, double* sums) {
                add_columns(X.layer(block.layer).data + block.first * n, n, n, block.columns, sums);
            },
            take);
    }
    each_block(X, [&](Block block) {
        const real* __restrict ms = means_.data() + block.layer * n;
        for (Index j = block.first; j < block.first + block.columns; ++j) {
            const real* xs = X.layer(block.layer).data + j * n;  // may be ys
            real* ys = Y.layer(block.layer).data + j * n;
#pragma omp simd
            for (Index i = 0; i < n; ++i) ys[i] = xs[i] - ms[i];
        }
    });
}

void CpuBackend::center(CMat X, Mat Y) {
    check_shapes("center", X, {Y});
    subtract_means(X, Y);
}

void CpuBackend::node_space_target(const Controls* k, DecayTo decay, CMat p, CMat z, CMat r, Mat y) {
    check_shapes("node_space_target", y, {z, r});
    if (decay == DecayTo::identity) check_shapes("node_space_target", y, {p});
    each_block(y, [&](Block block) {
        const bool to_identity = decay == DecayTo::identity;
        const real mu = k->mu;
        const Index at = block.first * y.rows;
        const real* __restrict ps = to_identity ? p.layer(block.layer).data + at : nullptr;
        const real* __restrict zs = z.layer(block.layer).data + at;
        const real* __restrict rs = r.layer(block.layer).data + at;
        real* __restrict ys = y.layer(block.layer).data + at;
        for (Index i = 0; i < block.columns * y.rows; ++i)
            ys[i] = node_space_target_of(mu, to_identity ? ps[i] : 0, zs[i], rs[i]);
    });
    subtract_means(y, y);
}

void CpuBackend::invert(Variable variable, const Controls* k, Mat F, std::int32_t* failed) {
    if (!F.contiguous() || F.rows != F.cols)
        throw Error(ExitCode::internal, "invert: expected square matrices without gaps");
    const double kappa = static_cast<double>(variable == Variable::p ? k->rho : k->mu), nu = static_cast<double>(k->nu);
    const auto size = static_cast<std::size_t>(F.size());
    if (F.rows > inverse_tile) {  // the pool works on one matrix
        factors_.resize(std::max(factors_.size(), size));
        for (Index l = 0; l < F.batch; ++l)
            failed[l] |=
                invert_regularised(pool_, F.layer(l), nu, kappa, factors_.data(), nullptr) ? 0 : bit_of(variable);
        return;
    }
    factors_.resize(std::max(factors_.size(), size * static_cast<std::size_t>(F.batch)));
    each_task(F.batch, [&](Index l) {
        if (!invert_small(F.layer(l), nu, kappa, factors_.data() + l * F.size())) failed[l] |= bit_of(variable);
    });
}

void CpuBackend::push_through(Variable variable, const Controls* k, CMat X, Mat Y, real* inverse,
                              std::int32_t* failed) {
    check_shapes("push_through", Y, {X});
    const bool of_p = variable == Variable::p;
    const double kappa = static_cast<double>(of_p ? k->rho : k->mu), nu = static_cast<double>(k->nu);
    const Index at_once = (of_p ? X.rows : X.cols) > inverse_tile ? 1 : X.batch;  // then the pool works on one matrix
    factors_.resize(
        std::max(factors_.size(), static_cast<std::size_t>(push_through_scratch(X.layers(0, at_once), !of_p))));
    of_layers_.resize(std::max(of_layers_.size(), static_cast<std::size_t>(X.batch)));
    double* ridges = of_layers_.data();
    for (Index l = 0; l < X.batch; l += at_once)
        pdadmm::push_through(pool_, X.layers(l, at_once), !of_p, nu, kappa, factors_.data(), Y.layers(l, at_once),
                             ridges + l);
    for (Index l = 0; l < X.batch; ++l) {
        inverse[l] = static_cast<real>(1 / ridges[l]);
        if (std::isnan(ridges[l])) failed[l] |= bit_of(variable);
    }
}

void CpuBackend::keep_inverse(CMat gram, const Controls* k, KeptInverse* kept, Mat F, std::int32_t* failed) {
    const double nu = static_cast<double>(k->nu), mu = static_cast<double>(k->mu);
    if (kept->nu == nu && kept->mu == mu) return;
    copy(gram, F);
    factors_.resize(std::max(factors_.size(), static_cast<std::size_t>(F.size())));
    *kept = {nu, mu, 0};
    if (!invert_regularised(pool_, F, nu, mu, factors_.data(), &kept->kappa)) *failed |= bit_of(Variable::W);
    // Twice as large as F, where hidden layers need little; made anew only where penalties grow.
    factors_ = std::vector<double>();
}

void CpuBackend::descent_check(const Quantizer& q, CMat g, CMat d, CMat h, const Controls* k, real* inverse,
                               std::int32_t* pending, MessageHeader* headers) {
    check_shapes("descent_check", d, {g});
    along_.resize(std::max(along_.size(), static_cast<std::size_t>(d.batch)));
    each_block_sum<1>(
        d,
        [&](Block block) {
            const Index at = block.first * d.rows;
            const real* __restrict gs = g.layer(block.layer).data + at;
            const real* __restrict ds = d.layer(block.layer).data + at;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (Index i = 0; i < block.columns * d.rows; ++i)
                sum += static_cast<double>(gs[i]) * static_cast<double>(ds[i]);
            return std::array<double, 1>{sum};
        },
        [&](Index l, const auto& sums) { along_[static_cast<std::size_t>(l)] = sums[0]; });
    each_pair_of_squares(d, h, [&](Index l, double dd, double hh) {
        const double gd = along_[static_cast<std::size_t>(l)];
        if (q.codec == Codec::grid) return grid_descends(k->nu, k->rho, gd, dd, hh, inverse[l], pending[l]);
        headers[l].factor = static_cast<real>(descending_factor(k->nu, k->rho, gd, dd, hh));
        inverse[l] = -headers[l].factor;
    });
}

void CpuBackend::node_space_close(const NodeSpaceClosing& a, const Controls* k, const KeptInverse* kept,
                                  NodeSpaceScalars* s, LayerFigures* figures) {
    check_shapes("node_space_close", a.h, {a.raw, a.z, a.r, a.S, a.V});
    const Index n = a.h.rows;
    each_block_sum<1>(
        a.h,
        [&](Block block) {
            const real nu = k->nu, mu = k->mu;
            const double kappa = kept->kappa;
            const real* __restrict ws = a.w.data;
            const real* __restrict bs = a.b.data;
            double sum = 0;
            for (Index j = block.first; j < block.first + block.columns; ++j) {
                const real* __restrict raws = a.raw.data + j * n;
                const real* __restrict zs = a.z.data + j * n;
                const real* __restrict rs = a.r.data + j * n;
                real* __restrict hs = a.h.data + j * n;
                real* __restrict Ss = a.S.data + j * n;
                real* __restrict Vs = a.V.data + j * n;
#pragma omp simd reduction(+ : sum)
                for (Index i = 0; i < n; ++i) {
                    const NodeSpaceSolution now =
                        node_space_minimiser(nu, mu, kappa, hs[i], raws[i], ws[i], Ss[i], Vs[i]);
                    Ss[i] = now.S;
                    Vs[i] = now.V;
                    hs[i] = rs[i] - (now.V + bs[i] - zs[i]);
                    sum += now.weight;
                }
            }
            return std::array<double, 1>{sum};
        },
        [&](Index, const auto& sums) {
            s->weight_sq = k->mu > 0 ? sums[0] : s->weight_sq + sums[0];
            if (k->mu > 0) s->c = 0;
            figures->weight_sq = s->weight_sq;
        });
}

}  // namespace pdadmm
