// Cases of quantised p and of messages between ranks (tests/backend/operation_cases.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::Array;
using reference::dot;

namespace {

/// Multiples of 1/8, so that sums and products with a few bits are exact.
std::vector<Array> eighths(Workbench& bench, Index rows, Index cols, Index batch, double most) {
    std::vector<Array> layers(static_cast<std::size_t>(batch), Array(rows, cols));
    for (Array& a : layers)
        for (double& x : a.values) x = std::clamp(std::round(8 * bench.normal()) / 8, -most, most);
    return layers;
}

const std::vector<double> levels = {-1, -0.5, 0, 0.25, 1, 2.5};

Quantizer grid(Workbench& bench) {
    const auto table = bench.cells("levels", std::vector<real>(levels.begin(), levels.end()));
    return {Codec::grid, 4, table.data, static_cast<std::int32_t>(levels.size())};
}

double snapped_level(double x) { return levels[reference::nearest(levels, x)]; }

OperationCase grid_move_case(const OperationShape& s) {  // eighths: every tie between two levels is exact
    return {
        "grid_move_" + text(s), 0, 0, [=](Workbench& bench) {
            Stack p = bench.from("p", eighths(bench, s.m, s.N, s.batch, 4)),
                  g = bench.from("g", eighths(bench, s.m, s.N, s.batch, 4)), d = bench.stack("d", s.m, s.N, s.batch);
            const auto inverse = bench.cells("inverse", steps(s.batch));
            std::vector<std::int32_t> left;
            for (Index l = 0; l < s.batch; ++l) left.push_back(l == 1 ? 0 : 12 - static_cast<std::int32_t>(l));
            const auto pending = bench.cells("pending", left);
            const Quantizer q = grid(bench);
            return Prepared{[&bench, q, p, g, d, inverse, pending] {
                                bench.backend.grid_move(q, p.view, g.view, inverse.data, pending.data, d.view);
                            },
                            [&bench, p, g, d, left, step = steps(s.batch)]() mutable {
                                std::vector<Array> e = d.before;
                                for (std::size_t l = 0; l < e.size(); ++l)
                                    for (std::size_t i = 0; i < e[l].size() && left[l] > 0; ++i) {
                                        const double x = p.before[l].values[i];
                                        e[l].values[i] =
                                            snapped_level(x - static_cast<double>(step[l]) * g.before[l].values[i]) - x;
                                    }
                                bench.expect(d, e, e, 0);
                            }};
        }};
}

OperationCase snap_case(const OperationShape& s) {
    return {"snap_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack x = bench.from("x", eighths(bench, s.m, s.N, s.batch, 4));
                const Quantizer q = grid(bench);
                return Prepared{[&bench, q, x] { bench.backend.snap(q, x.view); },
                                [&bench, x]() mutable {
                                    std::vector<Array> e = x.before;
                                    for (Array& a : e)
                                        for (double& v : a.values) v = snapped_level(v);
                                    bench.expect(x, e, e, 0);
                                }};
            }};
}

/// Layers in turn: accepted, refused with trials left, refused at the last trial, snapped in place, done before.
OperationCase grid_check_case(const OperationShape& s, int first) {
    return {fmt::format("grid_check_{}_{}", first, text(s)), 0, 0, [=](Workbench& bench) {
                Stack d = bench.stack("d", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch);
                std::vector<real> before, after;
                std::vector<std::int32_t> left, then;
                for (Index l = 0; l < s.batch; ++l) {
                    const auto i = static_cast<std::size_t>(l);
                    const double dd = dot(d.before[i], d.before[i]), hh = dot(h.before[i], h.before[i]);
                    const auto fits =
                        static_cast<real>(dd > 0 ? 1 / (nu * hh / dd + rho) : 1);  // the largest inverse that passes
                    const auto put = [&](real at, std::int32_t trials, bool accepted) {
                        const bool passes =
                            dd > 0 ? accepted : at == 0 || hh == 0;  // dd = 0: nothing but a zero move passes
                        before.push_back(at);
                        left.push_back(trials);
                        after.push_back(trials <= 0 || passes ? at : trials > 2 ? at / 2 : 0);
                        then.push_back(trials <= 0 || passes ? 0 : trials - 1);
                    };
                    switch ((static_cast<int>(l) + first) % 5) {
                        case 0:
                            put(fits / 2, 7, true);
                            break;
                        case 1:
                            put(fits * 2, 12, false);
                            break;
                        case 2:
                            put(fits * 2, 2, false);
                            break;
                        case 3:
                            put(0, 1, true);
                            break;
                        default:
                            put(fits * 2, 0, false);
                    }
                }
                auto inverse = bench.cells("inverse", before);
                auto pending = bench.cells("pending", left);
                const auto k = controls(bench);
                return Prepared{[&bench, d, h, k, inverse, pending] {
                                    bench.backend.grid_check(d.view, h.view, k.data, inverse.data, pending.data);
                                },
                                [&bench, inverse, pending, after, then]() mutable {
                                    const auto now = bench.read(inverse);
                                    const auto trials = bench.read(pending);
                                    for (std::size_t l = 0; l < now.size(); ++l) {
                                        bench.expect(fmt::format("inverse of layer {}", l), static_cast<double>(now[l]),
                                                     static_cast<double>(after[l]), 0);
                                        bench.expect(fmt::format("pending of layer {}", l), trials[l], then[l], 0);
                                    }
                                }};
            }};
}

OperationCase repeat_case(const OperationShape& s) {  // too long a step everywhere: all trials, then snapped in place
    return {"repeat_while_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack d = bench.from("d", std::vector<Array>(static_cast<std::size_t>(s.batch), [&] {
                                         Array ones(s.m, s.N);
                                         std::fill(ones.values.begin(), ones.values.end(), 1);
                                         return ones;
                                     }()));
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                auto pending = bench.cells("pending", std::vector<std::int32_t>(static_cast<std::size_t>(s.batch), 9));
                const auto k = controls(bench);
                return Prepared{[&bench, d, k, inverse, pending, s] {
                                    bench.backend.set_inverse(inverse.data, s.batch, 1e-6);
                                    bench.backend.reset_pending(pending.data, s.batch);
                                    bench.backend.repeat_while(pending.data, s.batch, backtracking_trials + 1, [&] {
                                        bench.backend.grid_check(d.view, d.view, k.data, inverse.data, pending.data);
                                    });
                                },
                                [&bench, inverse, pending]() mutable {
                                    for (const real x : bench.read(inverse))
                                        bench.expect("inverse", static_cast<double>(x), 0, 0);
                                    for (const std::int32_t x : bench.read(pending)) bench.expect("pending", x, 0, 0);
                                }};
            }};
}

OperationCase reset_case(const OperationShape& s) {
    return {"set_inverse_reset_pending_" + text(s), 0, 0, [=](Workbench& bench) {
                auto inverse = bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), 9));
                auto pending = bench.cells("pending", std::vector<std::int32_t>(static_cast<std::size_t>(s.batch), 9));
                return Prepared{[&bench, inverse, pending, s] {
                                    bench.backend.set_inverse(inverse.data, s.batch, 20);
                                    bench.backend.reset_pending(pending.data, s.batch);
                                },
                                [&bench, inverse, pending]() mutable {
                                    for (const real x : bench.read(inverse))
                                        bench.expect("inverse", static_cast<double>(x), 0.05, unit * 0.05);
                                    for (const std::int32_t x : bench.read(pending)) bench.expect("pending", x, 12, 0);
                                }};
            }};
}

/// Widths are 1/4 and changes are eighths, so that every half is exact. Layer 1 does not change at all.
OperationCase difference_move_case(const OperationShape& s, int bits) {
    return {fmt::format("difference_move_{}bits_{}", bits, text(s)), 0, 0, [=](Workbench& bench) {
                const double top = (1 << (bits - 1)) - 1, M = top / 4;
                std::vector<Array> change = eighths(bench, s.m, s.N, s.batch, M), gradient = change;
                for (std::size_t l = 0; l < change.size(); ++l) {
                    Array& x = change[l];
                    x.values.back() = l % 2 ? -M : M;
                    if (l == 1) std::fill(x.values.begin(), x.values.end(), 0);
                    for (std::size_t i = 0; i < x.size(); ++i) gradient[l].values[i] = -x.values[i] * 2;
                }
                Stack g = bench.from("g", gradient), d = bench.stack("d", s.m, s.N, s.batch);
                const auto inverse =
                    bench.cells("inverse", std::vector<real>(static_cast<std::size_t>(s.batch), real(0.5)));
                const Quantizer q{Codec::difference, bits, nullptr, 0};
                auto headers =
                    bench.cells("headers", std::vector<MessageHeader>(static_cast<std::size_t>(s.batch), {9, 9}));
                return Prepared{[&bench, q, g, d, inverse, headers] {
                                    bench.backend.difference_move(q, g.view, inverse.data, d.view, headers.data);
                                },
                                [&bench, d, change, headers]() mutable {
                                    const auto sent = bench.read(headers);
                                    for (std::size_t l = 0; l < sent.size(); ++l) {
                                        bench.expect("width", static_cast<double>(sent[l].width), l == 1 ? 0 : 0.25, 0);
                                        bench.expect("factor", static_cast<double>(sent[l].factor), 1, 0);
                                    }
                                    std::vector<Array> e = change;
                                    for (Array& a : e)
                                        for (double& x : a.values) x = reference::half_even(x * 4) / 4;
                                    bench.expect(d, e, e, 0);
                                }};
            }};
}

/// Widths that follow from sums. Layer 1 does not change at all.
OperationCase difference_sums_case(const OperationShape& s, int bits) {
    return {fmt::format("difference_move_{}bits_rms_{}", bits, text(s)), 0, 0, [=](Workbench& bench) {
                Stack g = bench.stack("g", s.m, s.N, s.batch), d = bench.stack("d", s.m, s.N, s.batch);
                std::vector<real> step = steps(s.batch);
                if (s.batch > 1) step[1] = 0;
                const auto inverse = bench.cells("inverse", step);
                const Quantizer q{Codec::difference, bits, nullptr, 0, ChangeScale::rms};
                auto headers =
                    bench.cells("headers", std::vector<MessageHeader>(static_cast<std::size_t>(s.batch), {9, 9}));
                return Prepared{
                    [&bench, q, g, d, inverse, headers] {
                        bench.backend.difference_move(q, g.view, inverse.data, d.view, headers.data);
                    },
                    [&bench, bits, g, d, step, headers]() mutable {
                        const auto sent = bench.read(headers);
                        const auto now = bench.read(d);
                        for (std::size_t l = 0; l < sent.size(); ++l) {
                            Array change = g.before[l];
                            for (double& x : change.values) x *= -static_cast<double>(step[l]);
                            const reference::ChangeGrid codes = reference::change_grid(change, bits, ChangeScale::rms);
                            const double sum_noise =
                                4 * unit + static_cast<double>(change.size()) * std::numeric_limits<double>::epsilon();
                            const double noise =
                                4 * sum_noise * std::fmax(reference::largest(change), codes.width * codes.top);
                            bench.expect("width", static_cast<double>(sent[l].width), codes.width,
                                         sum_noise * codes.width);
                            bench.expect("factor", static_cast<double>(sent[l].factor), 1, 0);
                            for (std::size_t i = 0; i < change.size(); ++i) {
                                const std::string where = fmt::format(" of layer {}, element {}", l, i);
                                bench.expect("change to a code" + where, codes.off_code(now[l].values[i]), 0, noise);
                                bench.expect("change to the nearest" + where,
                                             codes.off_change(now[l].values[i], change.values[i]), 0, noise);
                                if (bits == 1 && change.values[i] == 0)
                                    bench.expect("a zero's sign" + where, now[l].values[i], codes.width, noise);
                            }
                        }
                    }};
            }};
}

/// One NaN shows in the width, and so at the receiver; other layers go on.
OperationCase difference_nan_case(const OperationShape& s, int bits, ChangeScale scale) {
    return {fmt::format("difference_move_nan_{}bits_{}_{}", bits, scale == ChangeScale::max ? "max" : "rms", text(s)),
            0, 0, [=](Workbench& bench) {
                std::vector<Array> gradient = eighths(bench, s.m, s.N, s.batch, 4);
                Array& first = gradient[0];
                first.values[bench.random() % first.size()] = NAN;
                Stack g = bench.from("g", gradient), d = bench.stack("d", s.m, s.N, s.batch);
                const auto inverse = bench.cells("inverse", steps(s.batch));
                const Quantizer q{Codec::difference, bits, nullptr, 0, scale};
                auto headers =
                    bench.cells("headers", std::vector<MessageHeader>(static_cast<std::size_t>(s.batch), {9, 9}));
                return Prepared{[&bench, q, g, d, inverse, headers] {
                                    bench.backend.difference_move(q, g.view, inverse.data, d.view, headers.data);
                                },
                                [&bench, d, headers]() mutable {
                                    const auto now = bench.read(d);
                                    const auto sent = bench.read(headers);
                                    for (std::size_t l = 0; l < sent.size(); ++l) {
                                        bench.expect("NaN width", std::isnan(sent[l].width), l == 0, 0);
                                        for (const double x : now[l].values)
                                            bench.expect("NaN change", std::isnan(x), l == 0, 0);
                                    }
                                }};
            }};
}

/// Layers in turn: accepted at once, after three halvings, never.
OperationCase difference_check_case(const OperationShape& s, int first) {
    return {fmt::format("difference_check_{}_{}", first, text(s)), 0, 0, [=](Workbench& bench) {
                Stack d = bench.stack("d", s.m, s.N, s.batch), h = bench.stack("h", s.n, s.N, s.batch);
                std::vector<real> before;
                std::vector<double> after;
                for (Index l = 0; l < s.batch; ++l) {
                    const auto i = static_cast<std::size_t>(l);
                    const double dd = dot(d.before[i], d.before[i]), hh = dot(h.before[i], h.before[i]);
                    const int kind = (static_cast<int>(l) + first) % 3;
                    const double longer = kind == 0 ? 0.7 : kind == 1 ? 6 : 3000;
                    before.push_back(static_cast<real>(dd > 0 ? longer / (nu * hh / dd + rho) : 1));
                    after.push_back(dd > 0 ? (kind == 0 ? -1 : kind == 1 ? -0.125 : 0) : 0);
                }
                auto inverse = bench.cells("inverse", before);
                const auto k = controls(bench);
                auto headers =
                    bench.cells("headers", std::vector<MessageHeader>(static_cast<std::size_t>(s.batch), {3, 9}));
                return Prepared{[&bench, d, h, k, inverse, headers] {
                                    bench.backend.difference_check(d.view, h.view, k.data, inverse.data, headers.data);
                                },
                                [&bench, inverse, headers, after]() mutable {
                                    const auto now = bench.read(inverse);
                                    const auto sent = bench.read(headers);
                                    for (std::size_t l = 0; l < now.size(); ++l) {
                                        bench.expect(fmt::format("inverse of layer {}", l), static_cast<double>(now[l]),
                                                     after[l], 0);
                                        bench.expect(fmt::format("factor of layer {}", l),
                                                     static_cast<double>(sent[l].factor), -after[l], 0);
                                        bench.expect("width", static_cast<double>(sent[l].width), 3, 0);
                                    }
                                }};
            }};
}

/// Both ends of a border: what the receiver decodes are the bits of the sender's tensor after its update.
/// `of_columns`: all but the first, which begin at no multiple of 16 bytes and stay as they are.
OperationCase message_case(const OperationShape& s, Codec codec, int bits, bool of_columns = false) {
    const char* const names[] = {"none", "grid", "difference"};
    return {
        fmt::format("encode_decode_{}_{}bits{}_{}", names[static_cast<int>(codec)], bits, of_columns ? "_columns" : "",
                    text(s)),
        0, 0, [=](Workbench& bench) {
            const int top = largest_code(bits);
            const double width = 0.3125, factor = 0.25;
            const auto table = bench.cells("levels", std::vector<real>{-1, real(-0.5), 0, real(0.25), 1, real(2.5)});
            const Quantizer q{codec, codec == Codec::none ? static_cast<int>(8 * sizeof(real)) : bits, table.data,
                              codec == Codec::grid ? std::min(6, 1 << bits) : 0};
            std::vector<Array> sent{Array(s.n, s.N)}, before{Array(s.n, s.N)}, after{Array(s.n, s.N)};
            for (std::size_t i = 0; i < sent[0].size(); ++i) {
                const double code =
                    bits == 1 ? (bench.random() % 2 ? 1 : -1)
                              : static_cast<double>(static_cast<std::int64_t>(bench.random() %
                                                                              static_cast<std::uint64_t>(2 * top + 1)) -
                                                    top);
                double& x = sent[0].values[i];
                x = codec == Codec::none   ? bench.normal()
                    : codec == Codec::grid ? levels[bench.random() % static_cast<std::uint64_t>(q.level_count)]
                                           : code * width;
                before[0].values[i] = std::round(8 * bench.normal()) / 8;
                after[0].values[i] = codec == Codec::difference ? before[0].values[i] + factor * x : x;
            }
            Stack x = bench.from("x", sent), y = bench.from("y", before);
            const auto header = bench.cells(
                "header", std::vector<MessageHeader>{{static_cast<real>(width), static_cast<real>(factor)}});
            const Index skipped = of_columns ? 1 : 0;
            std::copy_n(before[0].values.begin(), skipped * s.n, after[0].values.begin());
            auto message = bench.cells("message", std::vector<std::byte>(message_capacity(s.n * (s.N - skipped), q)));
            return Prepared{[&bench, q, x, y, header, message, skipped, N = s.N] {
                                bench.backend.encode(q, x.view.columns(skipped, N - skipped), header.data,
                                                     message.data);
                                bench.backend.decode(q, message.data, y.view.columns(skipped, N - skipped));
                            },
                            [&bench, x, y, after, message, codec]() mutable {
                                bench.read(message);
                                if (codec == Codec::none) return bench.expect(y, x.before, x.before, 0);
                                bench.expect(y, after, {reference::absolute(after[0])},
                                             codec == Codec::difference ? 1 : 0);  // the sum rounds once
                            }};
        }};
}

OperationCase dual_case(const OperationShape& s) {
    return {"dual_step_" + text(s), 0, 0, [=](Workbench& bench) {
                Stack p = bench.stack("p", s.n, s.N, s.batch), q = bench.stack("q", s.n, s.N, s.batch),
                      u = bench.stack("u", s.n, s.N, s.batch);
                const auto k = controls(bench);
                return Prepared{[&bench, p, q, u, k] { bench.backend.dual_step(p.view, q.view, k.data, u.view); },
                                [&bench, p, q, u]() mutable {
                                    std::vector<Array> e = u.before, m = u.before;
                                    for (std::size_t l = 0; l < e.size(); ++l)
                                        for (std::size_t i = 0; i < e[l].size(); ++i) {
                                            const double a = p.before[l].values[i], b = q.before[l].values[i];
                                            m[l].values[i] =
                                                std::fabs(e[l].values[i]) + rho * (std::fabs(a) + std::fabs(b));
                                            e[l].values[i] += rho * (a - b);
                                        }
                                    bench.expect(u, e, m, 2);
                                }};
            }};
}

}  // namespace

std::vector<OperationCase> codec_cases() {
    std::vector<OperationCase> cases;
    for (const OperationShape& s : operation_shapes()) {
        cases.push_back(grid_move_case(s));
        cases.push_back(snap_case(s));
        for (int first = 0; first < 5; ++first) cases.push_back(grid_check_case(s, first));
        cases.push_back(repeat_case(s));
        cases.push_back(reset_case(s));
        for (const int bits : {2, 4, 8}) cases.push_back(difference_move_case(s, bits));
        for (const int bits : {1, 2, 4, 8, 16}) cases.push_back(difference_sums_case(s, bits));
        cases.push_back(difference_nan_case(s, 4, ChangeScale::max));
        for (const int bits : {1, 2}) cases.push_back(difference_nan_case(s, bits, ChangeScale::rms));
        for (int first = 0; first < 3; ++first) cases.push_back(difference_check_case(s, first));
        cases.push_back(message_case(s, Codec::none, 8));
        for (const int bits : {4, 8, 16}) cases.push_back(message_case(s, Codec::grid, bits));
        for (const int bits : {1, 2, 4, 8, 16}) cases.push_back(message_case(s, Codec::difference, bits));
        if (s.N > 1) {
            cases.push_back(message_case(s, Codec::grid, 8, true));
            for (const int bits : {1, 4, 16}) cases.push_back(message_case(s, Codec::difference, bits, true));
        }
        cases.push_back(dual_case(s));
    }
    return cases;
}

}  // namespace pdadmm
