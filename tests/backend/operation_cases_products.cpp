// Cases of products, copies and the forward pass (tests/backend/operation_cases.hpp).
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::absolute;
using reference::Array;
using reference::multiply;

std::string text(const OperationShape& s) { return fmt::format("n{}_m{}_N{}_batch{}", s.n, s.m, s.N, s.batch); }

std::vector<OperationShape> operation_shapes() {
    std::vector<OperationShape> shapes{{1, 1, 1, 1},     {2, 3, 1, 1},   {1, 5, 7, 3},      {17, 13, 33, 4},
                                       {31, 31, 127, 2}, {5, 3, 700, 1}, {33, 17, 1000, 2}, {64, 64, 257, 1}};
    if (const char* wanted = std::getenv("PDADMM_TEST_SHAPES"))
        std::erase_if(shapes, [list = fmt::format(",{},", wanted)](const OperationShape& s) {
            return list.find(fmt::format(",{},", text(s))) == std::string::npos;
        });
    return shapes;
}

std::vector<real> steps(Index batch) {
    std::vector<real> values;
    for (Index l = 0; l < batch; ++l)
        values.push_back(static_cast<real>(l % 3 == 2 ? -1 : 0.5 + 0.25 * static_cast<double>(l)));
    return values;
}

std::vector<OperationCase> operation_cases() {
    std::vector<OperationCase> all = product_cases();
    for (auto&& more : {weight_cases(), step_cases(), block_cases(), inverse_cases(), conjugate_cases(), codec_cases(),
                        activation_cases(), label_cases(), backpropagation_cases()})
        all.insert(all.end(), more.begin(), more.end());
    return all;
}

namespace {

/// op(A) op(B): A or B may be shared by all layers, columns may be apart, C may start as NaN where beta is 0.
OperationCase gemm_case(const OperationShape& s, Trans ta, Trans tb, bool shared_B, real beta) {
    const bool a_yes = ta == Trans::yes, b_yes = tb == Trans::yes;
    const double flops = 2.0 * static_cast<double>(s.n * s.m * s.N * s.batch);
    const double bytes =
        static_cast<double>((s.n * s.m + s.m * s.N + s.n * s.N) * s.batch * static_cast<Index>(sizeof(real)));
    return {fmt::format("gemm_{}{}{}{}_{}", a_yes ? 'T' : 'N', b_yes ? 'T' : 'N', shared_B ? "_shared" : "",
                        beta != 0 ? "_add" : "", text(s)),
            flops, bytes, [=](Workbench& bench) {
                const Index gap = s.n % 2;
                Stack A = bench.stack("A", a_yes ? s.m : s.n, a_yes ? s.n : s.m, s.batch, 1, gap);
                Stack B = bench.stack("B", b_yes ? s.N : s.m, b_yes ? s.m : s.N, shared_B ? 1 : s.batch, 1, 2 * gap);
                std::vector<Array> start(static_cast<std::size_t>(s.batch), Array(s.n, s.N));
                for (Array& c : start)
                    for (double& x : c.values) x = beta == 0 ? NAN : bench.normal();
                Stack C = bench.from("C", start, gap);
                CMat b = B.view;
                if (shared_B) b.stride = 0, b.batch = s.batch;
                return Prepared{[&bench, ta, tb, a = CMat(A.view), b, beta, c = C.view] {
                                    bench.backend.gemm(ta, tb, real(-1.5), a, b, beta, c);
                                },
                                [&bench, A, B, C, a_yes, b_yes, shared_B, beta]() mutable {
                                    std::vector<Array> expected, magnitude;
                                    for (std::size_t l = 0; l < A.before.size(); ++l) {
                                        const Array& b_l = B.before[shared_B ? 0 : l];
                                        Array e = multiply(A.before[l], a_yes, b_l, b_yes);
                                        Array m = multiply(absolute(A.before[l]), a_yes, absolute(b_l), b_yes);
                                        for (std::size_t i = 0; i < e.size(); ++i) {
                                            const double c =
                                                beta == 0 ? 0 : static_cast<double>(beta) * C.before[l].values[i];
                                            e.values[i] = -1.5 * e.values[i] + c;
                                            m.values[i] = 1.5 * m.values[i] + std::fabs(c);
                                        }
                                        expected.push_back(e);
                                        magnitude.push_back(m);
                                    }
                                    bench.expect(C, expected, magnitude, 8);  // 16 rounding units
                                }};
            }};
}

/// A'A, of more columns than a tile has in the longer shapes.
OperationCase gram_case(const OperationShape& s) {
    return {"gram_" + text(s), 0, 0, [=](Workbench& bench) {
                const Index gap = s.n % 2;
                Stack A = bench.stack("A", s.m, s.N, 1, 1, gap);
                Stack C = bench.from("C", {Array(s.N, s.N)}, gap);
                return Prepared{[&bench, a = CMat(A.view), c = C.view] { bench.backend.gram(a, c); },
                                [&bench, A, C]() mutable {
                                    const Array size = absolute(A.before[0]);
                                    bench.expect(C, {multiply(A.before[0], true, A.before[0], false)},
                                                 {multiply(size, true, size, false)}, 8);
                                }};
            }};
}

/// few: 0 to 4 entries a row; none: no entry at all; hub: few, and one row with all columns.
enum class Rows { few, none, hub };

OperationCase spmm_case(const OperationShape& s, Rows kind) {
    const char* names[] = {"spmm_", "spmm_none_", "spmm_hub_"};
    return {
        names[static_cast<int>(kind)] + text(s), 0, 0, [=](Workbench& bench) {
            const Index nodes = s.N, sources = s.N + 3;
            std::vector<Index> offsets{0};
            std::vector<std::int32_t> columns;
            std::vector<real> values;  // repeated entries of an edge add up, and may cancel
            for (Index i = 0; i < nodes; ++i) {
                const bool hub = kind == Rows::hub && i == nodes / 2;
                const Index drawn =
                    i == 0 || kind == Rows::none ? 0 : static_cast<Index>(bench.random() % 5);  // node 0 is isolated
                const Index degree = hub ? sources : drawn;
                for (Index e = 0; e < degree; ++e) {
                    const auto j = hub ? e : static_cast<Index>(bench.random() % static_cast<std::uint64_t>(sources));
                    columns.push_back(static_cast<std::int32_t>(j));
                    values.push_back(static_cast<real>(bench.normal()));
                }
                offsets.push_back(static_cast<Index>(columns.size()));
            }
            Stack X = bench.stack("X", s.n, sources, 1, 1, 1), Y = bench.stack("Y", s.n, nodes, 1, 1, 2);
            const CsrView view{nodes,
                               sources,
                               static_cast<Index>(values.size()),
                               bench.cells("offsets", offsets).data,
                               bench.cells("columns", columns).data,
                               bench.cells("values", values).data};
            return Prepared{[&bench, view, x = CMat(X.view), y = Y.view] { bench.backend.spmm(view, x, y); },
                            [&bench, offsets, columns, values, X, Y]() mutable {
                                Array e(Y.view.rows, Y.view.cols), m = e;
                                for (Index node = 0; node < e.cols; ++node)
                                    for (auto k = static_cast<std::size_t>(offsets[static_cast<std::size_t>(node)]);
                                         k < static_cast<std::size_t>(offsets[static_cast<std::size_t>(node) + 1]); ++k)
                                        for (Index i = 0; i < e.rows; ++i) {
                                            const double term =
                                                static_cast<double>(values[k]) * X.before[0](i, columns[k]);
                                            e(i, node) += term;
                                            m(i, node) += std::fabs(term);
                                        }
                                bench.expect(Y, {e}, {m}, 64);
                            }};
        }};
}

/// `gap`: rows between columns, on which a wide load depends.
OperationCase gather_case(const OperationShape& s, Index gap) {
    return {fmt::format("gather_columns_gap{}_{}", gap, text(s)), 0, 0, [=](Workbench& bench) {
                std::vector<std::int32_t> columns;
                for (Index j = 0; j < s.N; ++j)
                    columns.push_back(static_cast<std::int32_t>(bench.random() % static_cast<std::uint64_t>(s.N + 2)));
                const auto c = bench.cells("columns", columns);
                Stack X = bench.stack("X", s.n, s.N + 2, 1, 1, gap), Y = bench.stack("Y", s.n, s.N, 1, 1, gap);
                return Prepared{
                    [&bench, c, x = CMat(X.view), y = Y.view] { bench.backend.gather_columns(x, c.data, y); },
                    [&bench, columns, X, Y]() mutable {
                        Array e = Y.before[0];
                        for (Index j = 0; j < e.cols; ++j)
                            for (Index i = 0; i < e.rows; ++i)
                                e(i, j) = X.before[0](i, columns[static_cast<std::size_t>(j)]);
                        bench.expect(Y, {e}, {e}, 0);
                    }};
            }};
}

OperationCase copy_case(const OperationShape& s, bool fill) {
    return {(fill ? "fill_" : "copy_") + text(s), 0, 0, [=](Workbench& bench) {
                Stack X = bench.stack("X", s.n, s.N, s.batch, 1, 3), Y = bench.stack("Y", s.n, s.N, s.batch, 1, 1, 0);
                return Prepared{[&bench, fill, x = CMat(X.view), y = Y.view] {
                                    fill ? bench.backend.fill(y, real(2.5)) : bench.backend.copy(x, y);
                                },
                                [&bench, fill, X, Y]() mutable {
                                    std::vector<Array> e = X.before;
                                    for (Array& a : e)
                                        for (double& x : a.values) x = fill ? 2.5 : x;
                                    bench.expect(Y, e, e, 0);
                                }};
            }};
}

OperationCase bias_case(const OperationShape& s, bool linear) {
    return {(linear ? "add_bias_linear_" : "add_bias_relu_") + text(s), 0, 0, [=](Workbench& bench) {
                Stack A = bench.stack("A", s.n, s.N, s.batch), b = bench.stack("b", s.n, 1, s.batch);
                return Prepared{
                    [&bench, linear, a = A.view, v = CMat(b.view)] { bench.backend.add_bias(v, linear, a); },
                    [&bench, linear, A, b]() mutable {
                        std::vector<Array> e = A.before, m = A.before;
                        for (std::size_t l = 0; l < e.size(); ++l)
                            for (Index j = 0; j < e[l].cols; ++j)
                                for (Index i = 0; i < e[l].rows; ++i) {
                                    const double sum = e[l](i, j) + b.before[l](i, 0);
                                    m[l](i, j) = std::fabs(e[l](i, j)) + std::fabs(b.before[l](i, 0));
                                    e[l](i, j) = linear ? sum : reference::ramp(sum);
                                }
                        bench.expect(A, e, m, 1);
                    }};
            }};
}

OperationCase classify_case(const OperationShape& s) {
    return {
        "classify_" + text(s), 0, 0, [=](Workbench& bench) {
            const Index classes = s.n + 1;
            Stack z = bench.stack("logits", classes, s.N, 1, 5);
            std::vector<std::int32_t> labels;
            double correct = 3, cost = 0.5, known = 0;
            for (Index j = 0; j < s.N; ++j) {
                labels.push_back(static_cast<std::int32_t>(bench.random() % static_cast<std::uint64_t>(classes + 1)) -
                                 1);  // -1: none
                if (labels.back() < 0) continue;
                ++known;
                std::vector<double> v;
                for (Index i = 0; i < classes; ++i) v.push_back(z.before[0](i, j));
                Index best = 0;  // the first of equal logits
                for (Index i = 1; i < classes; ++i)
                    if (v[static_cast<std::size_t>(i)] > v[static_cast<std::size_t>(best)]) best = i;
                correct += best == labels.back() ? 1 : 0;
                cost += reference::cross_entropy(v, labels.back());
            }
            const auto y = bench.cells("labels", labels);
            auto tally = bench.cells("tally", std::vector<Tally>{{3, 0.5, 3, 0}});
            return Prepared{[&bench, y, z, tally] { bench.backend.classify(z.view, y.data, tally.data); },
                            [&bench, tally, correct, cost, known]() mutable {
                                const Tally t = bench.read(tally)[0];
                                bench.expect("correct", t.correct, correct, 0);
                                bench.expect("cost", t.cost, cost, 1e-6 * cost);
                                bench.expect("hits", t.hits, correct, 0);
                                bench.expect("marks", t.marks, 2 * known, 0);
                            }};
        }};
}

/// Parts of sums along the tree over five of them, of `count` values each, and a copy of the sum.
template <typename T>
OperationCase parts_case(Index count) {
    return {fmt::format("add_parts_of_{}_bytes_{}", sizeof(T), count), 0, 0, [=](Workbench& bench) {
                std::vector<T> values(static_cast<std::size_t>(5 * count));
                for (T& value : values) value = static_cast<T>(bench.normal());
                auto parts = bench.cells("parts", values),
                     sum = bench.cells("sum", std::vector<T>(static_cast<std::size_t>(count)));
                return Prepared{
                    [&bench, parts, sum, count] {
                        const PartSum tree[] = {{0, 1}, {2, 3}, {0, 2}, {0, 4}};
                        bench.backend.add_parts(tree, count, parts.data);
                        bench.backend.copy_bytes(parts.data, sum.data, static_cast<std::size_t>(count) * sizeof(T));
                    },
                    [&bench, values, parts, sum, count]() mutable {
                        bench.read(parts);
                        const std::vector<T> found = bench.read(sum);
                        for (std::size_t i = 0; i < found.size(); ++i) {
                            const auto part = [&](std::size_t k) {
                                return values[k * static_cast<std::size_t>(count) + i];
                            };
                            const T expected = ((part(0) + part(1)) + (part(2) + part(3))) + part(4);
                            bench.expect("sum", static_cast<double>(found[i]), static_cast<double>(expected), 0);
                        }
                    }};
            }};
}

}  // namespace

std::vector<OperationCase> product_cases() {
    std::vector<OperationCase> cases;
    for (const OperationShape& s : operation_shapes()) {
        for (const Trans ta : {Trans::no, Trans::yes})
            for (const Trans tb : {Trans::no, Trans::yes}) {
                cases.push_back(gemm_case(s, ta, tb, false, 0));
                cases.push_back(gemm_case(s, ta, tb, true, 1));
            }
        cases.push_back(gram_case(s));
        for (const Rows kind : {Rows::few, Rows::none, Rows::hub}) cases.push_back(spmm_case(s, kind));
        for (const Index gap : {0, 1, 3, 4}) cases.push_back(gather_case(s, gap));
        for (const bool which : {false, true}) {
            cases.push_back(copy_case(s, which));
            cases.push_back(bias_case(s, which));
        }
        cases.push_back(classify_case(s));
    }
    for (const Index count : {1, 700}) {
        cases.push_back(parts_case<float>(count));
        cases.push_back(parts_case<double>(count));
    }
    for (const Index features : {16, 32}) cases.push_back(spmm_case({features, 1, 150, 1}, Rows::hub));
    for (const OperationShape& s : {OperationShape{700, 1, 9, 1}, {1, 1, 1500, 1}}) {  // wide, and one feature
        cases.push_back(spmm_case(s, Rows::hub));
        cases.push_back(gather_case(s, 4));
    }
    return cases;
}

}  // namespace pdadmm
