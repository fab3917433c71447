// Products of an update through the backend, beside the same library call alone and beside the library left free to
// split k.
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
        const Target target = ratio_at_least(0.95);
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
                          fmt::format("{:.3f} of {:.4g} with the library free to split k", times[2] / times[0],
                                      teraflop / times[2])});
        });
    }
}

}  // namespace

void measure_products(Session& s) {
    const std::vector<Index> widths = s.quick ? std::vector<Index>{64} : std::vector<Index>{4000, 2000, 1000};
    const std::vector<Index> nodes = s.quick ? std::vector<Index>{500} : std::vector<Index>{44625, 90941, 10000};
    for (const Index n : widths)
        for (const Math math : {Math::tf32, Math::fp32, Math::bf16}) {
            const auto backend = open_backend(math);
            for (const Index N : nodes)
                s.attempt("gemm", fmt::format("n {}, N {}, {}", n, N, name_of(math)), ratio_at_least(0.95),
                          [&] { measure_shape(s, *backend, math, n, N); });
        }
}

}  // namespace pdadmm::bench
