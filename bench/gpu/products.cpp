// Products of an update through the backend, beside the same library call alone and beside the library left free to
// split k; in bf16 beside the bare product of bf16 operands (ours rounds them before) and the library that rounds them.
#include <fmt/format.h>

#include "bench/gpu/session.hpp"

namespace pdadmm::bench {
namespace {

struct Kind {
    const char* name;
    Trans ta, tb;
};
constexpr Kind kinds[] = {{"NN (W g, G p)", Trans::no, Trans::no},
                          {"TN (W' r)", Trans::yes, Trans::no},
                          {"NT (r p')", Trans::no, Trans::yes}};

void measure_shape(Session& s, Backend& backend, Math math, Index n, Index N) {
    // One square matrix, two wide ones: every kind of product is an assignment of these.
    const Stack square(backend, n, n, 1, 1), wide(backend, n, N, 1, 2), other(backend, n, N, 1, 3);
    for (const Kind& kind : kinds) {
        const std::string name = fmt::format("{}, n {}, N {}, {}", kind.name, n, N, name_of(math));
        const bool rounds = math == Math::bf16;
        const Target target = ratio_at_least(rounds ? 0.85 : 0.95);
        s.attempt("gemm", name, target, [&] {
            const bool to_square = kind.tb == Trans::yes;
            const CMat A = to_square ? wide.view : square.view, B = to_square ? other.view : wide.view;
            const Mat C = to_square ? square.view : other.view;
            const auto times =
                s.side_by_side({[&] { backend.gemm(kind.ta, kind.tb, 1, A, B, 0, C, Precision::working); },
                                product_call(kind.ta, kind.tb, A, B, C, math, Choice::same),
                                product_call(kind.ta, kind.tb, A, B, C, math, Choice::free)});
            const double teraflop = 2e-12 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(N);
            s.report.add({"gemm", name, teraflop / times[0], "TF/s", teraflop / times[1], "the same library call alone",
                          target,
                          fmt::format("{:.3f} of {:.4g} with the library {}", times[2] / times[0], teraflop / times[2],
                                      rounds ? "rounding fp32 operands itself" : "free to split k")});
        });
    }
}

}  // namespace

void measure_products(Session& s) {
    const std::vector<std::pair<Index, Index>> sizes =  // n, N: the networks' own first
        s.quick ? std::vector<std::pair<Index, Index>>{{64, 500}}
                : std::vector<std::pair<Index, Index>>{{4000, 44625}, {4000, 90941}, {2000, 44625}, {1000, 10000}};
    for (const auto& [n, N] : sizes)
        for (const Math math : {Math::tf32, Math::bf16, Math::fp32})
            s.attempt("gemm", fmt::format("n {}, N {}, {}", n, N, name_of(math)), ratio_at_least(0.95), [&] {
                const auto backend = open_backend(math);
                measure_shape(s, *backend, math, n, N);
            });
}

}  // namespace pdadmm::bench
