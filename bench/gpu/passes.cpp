// Fused passes through the backend at the shape of a large layer: bytes that must move over time, beside a device copy.
#include <fmt/format.h>

#include "bench/gpu/session.hpp"
#include "bench/gpu/traffic.hpp"

namespace pdadmm::bench {
namespace {

using Pass = bench::Pass;

/// Everything that any pass takes, for one layer. Repeated calls drift but stay finite: steps are small.
struct LayerArrays {
    Backend& be;
    LayerShape s;
    Stack p{be, s.m, s.N, 1, 1}, g{be, s.m, s.N, 1, 2}, h{be, s.n, s.N, 1, 3}, r{be, s.n, s.N, 1, 4},
        z{be, s.n, s.N, 1, 5}, q{be, s.n, s.N, 1, 6}, u{be, s.n, s.N, 1, 7}, W{be, s.n, s.m, 1, 8},
        G{be, s.n, s.m, 1, 9}, d{be, s.n, 1, 1, 10}, b{be, s.n, 1, 1, 11};
    Buffer<Controls> k{be, std::vector<Controls>{{real(0.01), real(0.01), real(0.01), 0, 0}}};
    Buffer<double> norm_sq{be, std::vector<double>{1}};
    Buffer<real> inverse{be, std::vector<real>{real(1e-3)}}, step{be, std::vector<real>{real(1e-3)}},
        levels{be, integers()};
    Buffer<std::int32_t> pending{be, 1}, labels{be, std::vector<std::int32_t>(static_cast<std::size_t>(s.N), 0)},
        columns{be, every_column()};
    Buffer<LayerFigures> figures{be, 1};
    Buffer<MessageHeader> headers{be, std::vector<MessageHeader>{{}}};
    Buffer<NodeSpaceScalars> scalars{be, std::vector<NodeSpaceScalars>{{1, 1}}};
    Buffer<KeptInverse> kept{be, std::vector<KeptInverse>{{0.01, 0.01, 0.01}}};
    Quantizer grid{Codec::grid, 8, levels.data(), 22}, difference{Codec::difference, 8, nullptr, 0},
        small{Codec::difference, 4, nullptr, 0};
    Buffer<std::byte> message{be, static_cast<Index>(message_capacity(s.n* s.N, small))};

    static std::vector<real> integers() {  // the paper's levels, -1 to 20
        std::vector<real> values;
        for (int v = -1; v <= 20; ++v) values.push_back(static_cast<real>(v));
        return values;
    }
    std::vector<std::int32_t> every_column() const {  // in an order that is not the memory's
        std::vector<std::int32_t> values;
        const Index stride = s.N % 7 == 0 ? 11 : 7;
        for (Index j = 0; j < s.N; ++j) values.push_back(static_cast<std::int32_t>(j * stride % s.N));
        return values;
    }
};

/// Passes of codecs, of closed forms, of node space and of messages; none of the others.
Call call_of_special(Pass pass, LayerArrays& a) {
    switch (pass) {
        case Pass::grid_move:
            return [&a] {
                a.be.reset_pending(a.pending.data(), 1);  // or there is nothing left to try
                a.be.grid_move(a.grid, a.p.view, a.g.view, a.step.data(), a.pending.data(), a.h.view);
            };
        case Pass::grid_check:
            return [&a] {
                a.be.reset_pending(a.pending.data(), 1);
                a.be.grid_check(a.g.view, a.h.view, a.k.data(), a.inverse.data(), a.pending.data());
            };
        case Pass::snap:
            return [&a] { a.be.snap(a.grid, a.h.view); };
        case Pass::difference_move:
            return [&a] { a.be.difference_move(a.difference, a.g.view, a.step.data(), a.h.view, a.headers.data()); };
        case Pass::difference_check:
            return [&a] { a.be.difference_check(a.g.view, a.h.view, a.k.data(), a.inverse.data(), a.headers.data()); };
        case Pass::center:
            return [&a] { a.be.center(a.p.view, a.g.view); };
        case Pass::descent_check:
            return [&a] {
                a.be.descent_check(a.difference, a.p.view, a.g.view, a.h.view, a.k.data(), a.inverse.data(),
                                   a.pending.data(), a.headers.data());
            };
        case Pass::node_space_target:
            return [&a] { a.be.node_space_target(a.k.data(), DecayTo::zero, {}, a.z.view, a.r.view, a.h.view); };
        case Pass::node_space_close:
            return [&a] {
                a.be.node_space_close({a.p.view, a.d.view, a.b.view, a.z.view, a.r.view, a.h.view, a.q.view, a.u.view},
                                      a.k.data(), a.kept.data(), a.scalars.data(), a.figures.data());
            };
        case Pass::node_space_step:
            return [&a] {
                a.be.node_space_step(a.r.view, a.h.view, a.z.view, a.k.data(), StepSpec{}, a.inverse.data(),
                                     a.scalars.data(), a.figures.data());
            };
        case Pass::node_space_descend:
            return [&a] { a.be.node_space_descend(a.step.data(), a.r.view, a.h.view, a.k.data(), a.q.view, a.u.view); };
        case Pass::encode:
            return [&a] { a.be.encode(a.small, a.h.view, a.headers.data(), a.message.data()); };
        case Pass::decode:
            return [&a] { a.be.decode(a.small, a.message.data(), a.z.view); };
        case Pass::rebuild_q:
            return [&a] { a.be.rebuild_q(a.z.view, a.u.view, a.k.data(), a.q.view); };
        case Pass::dual_step:
            return [&a] { a.be.dual_step(a.p.view, a.q.view, a.k.data(), a.u.view); };
        default:
            return [] {};
    }
}

Call call_of(Pass pass, LayerArrays& a) {
    const StepSpec exact{};
    const auto activate = [&a](const Quantizer& quantizer) {
        return [&a, quantizer] {
            a.be.activation_step({a.step.data(), a.h.view, a.d.view, a.p.view, a.r.view, a.z.view, a.q.view, a.u.view},
                                 a.k.data(), quantizer, a.figures.data(), a.headers.data());
        };
    };
    switch (pass) {
        case Pass::p_gradient:
            return [&a] { a.be.p_gradient(a.u.view, a.p.view, a.q.view, a.k.data(), a.g.view, a.norm_sq.data()); };
        case Pass::p_step_size:
            return [&a, exact] {
                a.be.step_size(Backend::Variable::p, a.norm_sq.data(), a.h.view, a.k.data(), exact, a.inverse.data());
            };
        case Pass::p_descend:
            return [&a] { a.be.descend(a.step.data(), a.g.view, a.p.view, a.h.view, a.r.view); };
        case Pass::W_gradient:
            return [&a] { a.be.W_gradient(a.W.view, DecayTo::zero, a.k.data(), a.G.view, a.norm_sq.data()); };
        case Pass::W_descend:
            return [&a] { a.be.descend(a.step.data(), a.G.view, a.W.view, DecayTo::zero, a.figures.data()); };
        case Pass::bias_step:
            return [&a] { a.be.bias_step(a.r.view, a.h.view, a.step.data(), a.d.view, a.b.view); };
        case Pass::activation_step:
            return activate({});
        case Pass::activation_step_grid:
            return activate(a.grid);
        case Pass::activation_step_difference:
            return activate(a.difference);
        case Pass::last_step:
            return [&a] {
                a.be.last_step(a.step.data(), a.h.view, a.d.view, a.labels.data(), a.k.data(), a.r.view, a.z.view,
                               a.figures.data());
            };
        case Pass::close_residual:
            return [&a] { a.be.close_residual(a.b.view, a.z.view, a.r.view); };
        case Pass::add_bias:
            return [&a] { a.be.add_bias(a.b.view, false, a.h.view); };
        case Pass::gather_columns:
            return [&a] { a.be.gather_columns(a.p.view, a.columns.data(), a.g.view); };
        default:
            return call_of_special(pass, a);
    }
}

void measure(Session& s, LayerArrays& arrays, Pass pass, std::optional<Target> target, const std::string& note) {
    const std::string name = fmt::format("{}, {} x {}", name_of(pass), arrays.s.n, arrays.s.N);
    s.attempt("pass", name, target, [&] {
        const double rate = bytes_of(pass, arrays.s) / s.side_by_side({call_of(pass, arrays)})[0];
        s.report.add({"pass", name, 1e-9 * rate, "GB/s", 1e-9 * s.copy_bytes_per_second, "device copy", target, note});
    });
}

}  // namespace

void measure_passes(Session& s) {
    const Index n = s.quick ? 64 : 4000, N = s.quick ? 600 : 44625;
    const Target as_a_copy = ratio_at_least(0.85);
    s.attempt("pass", fmt::format("all, {} x {}", n, N), as_a_copy, [&] {
        const auto backend = open_backend(Math::fp32);
        LayerArrays large{*backend, {n, n, N}};
        for (const Pass pass : {Pass::p_gradient,
                                Pass::p_step_size,
                                Pass::p_descend,
                                Pass::W_gradient,
                                Pass::W_descend,
                                Pass::bias_step,
                                Pass::activation_step,
                                Pass::activation_step_grid,
                                Pass::activation_step_difference,
                                Pass::close_residual,
                                Pass::add_bias,
                                Pass::gather_columns,
                                Pass::grid_move,
                                Pass::grid_check,
                                Pass::snap,
                                Pass::difference_move,
                                Pass::difference_check,
                                Pass::center,
                                Pass::descent_check,
                                Pass::node_space_target,
                                Pass::node_space_close,
                                Pass::node_space_step,
                                Pass::node_space_descend,
                                Pass::encode,
                                Pass::decode,
                                Pass::dual_step,
                                Pass::rebuild_q})
            measure(s, large, pass, as_a_copy, "");
    });
    for (const Index classes : {7, 40})
        s.attempt("pass", fmt::format("last_step, {} x {}", classes, N), {}, [&] {
            const auto backend = open_backend(Math::fp32);
            LayerArrays last{*backend, {classes, classes, N}};
            measure(s, last, Pass::last_step, {}, "a root a node, in the cache: no target");
        });
}

}  // namespace pdadmm::bench
