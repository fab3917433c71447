// Cases of the inverses in the closed forms of p and W (tests/backend/operation_cases.hpp): of every size, from the
// smaller Gram matrix, without one, and kept between iterations.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tests/backend/block_references.hpp"
#include "tests/backend/operation_cases.hpp"

namespace pdadmm {

using reference::Array;
using reference::largest;
using reference::multiply;

namespace {

using Variable = Backend::Variable;

/// Gram matrices of m x m with a mean diagonal of about 1.
std::vector<Array> gram_matrices(Workbench& bench, Index m, Index batch) {
    const Stack A = bench.stack("A", m, m + 3, batch, 1 / std::sqrt(static_cast<double>(m + 3)));
    std::vector<Array> F;
    for (const Array& a : A.before) {
        F.push_back(multiply(a, false, a, true));
        for (double& x : F.back().values) x = static_cast<double>(static_cast<real>(x));
    }
    return F;
}

void expect_inverses(Workbench& bench, Stack& F, const std::vector<Array>& gram, double kappa) {
    std::vector<Array> e, m;
    for (const Array& g : gram) {
        const Inverse inverse(g, kappa);
        e.push_back(inverse.value);
        m.push_back(inverse.magnitude);
    }
    bench.expect(F, e, m, 1);
}

const char* name_of(Variable v, double kappa) { return v == Variable::p ? "p" : kappa > 0 ? "W" : "W_without_decay"; }

OperationCase invert_case(Index m, Index batch, Variable variable, double decay) {
    const OperationShape s{m, m, m + 3, batch};
    const double kappa = variable == Variable::p ? rho : decay;
    return {fmt::format("invert_{}_{}", name_of(variable, kappa), text(s)), 0, 0, [=](Workbench& bench) {
                const std::vector<Array> gram = gram_matrices(bench, m, batch);
                std::vector<Array> lower = gram;
                for (Array& a : lower)
                    for (Index j = 1; j < m; ++j) std::fill_n(&a(0, j), j, NAN);
                Stack F = bench.from("F", lower);
                const auto k = controls_with(bench, decay);
                auto failed = bench.cells("failed", std::vector<std::int32_t>(static_cast<std::size_t>(batch), 4));
                return Prepared{
                    [&bench, variable, k, F, failed] { bench.backend.invert(variable, k.data, F.view, failed.data); },
                    [&bench, gram, F, failed, kappa]() mutable {
                        expect_inverses(bench, F, gram, kappa);
                        for (const std::int32_t bits : bench.read(failed)) bench.expect("failed", bits, 4, 0);
                    }};
            }};
}

/// Of the smaller Gram matrix of k x k; in place, as W is updated. `broken`: the second layer holds a NaN.
OperationCase push_through_case(Index k, Index c, Index batch, Variable variable, double decay, bool broken = false) {
    const bool of_p = variable == Variable::p;
    const double kappa = of_p ? rho : decay;
    return {fmt::format("push_through_{}{}_{}", name_of(variable, kappa), broken ? "_nan" : "", text({k, c, 0, batch})),
            0, 0, [=](Workbench& bench) {
                Stack X = bench.stack("X", of_p ? k : c, of_p ? c : k, batch, 1 / std::sqrt(static_cast<double>(c)));
                if (broken) X.before[1].values[0] = NAN;
                X = bench.from("X", X.before);
                const auto controls = controls_with(bench, decay);
                const auto layers = static_cast<std::size_t>(batch);
                auto inverse = bench.cells("inverse", std::vector<real>(layers, 7));
                auto failed = bench.cells("failed", std::vector<std::int32_t>(layers, 4));
                return Prepared{
                    [&bench, variable, controls, X, inverse, failed] {
                        bench.backend.push_through(variable, controls.data, X.view, X.view, inverse.data, failed.data);
                    },
                    [&bench, X, inverse, failed, variable, of_p, kappa, broken]() mutable {
                        const std::vector<Array> now = bench.read(X);
                        const std::vector<real> steps = bench.read(inverse);
                        const std::vector<std::int32_t> bits = bench.read(failed);
                        for (std::size_t l = 0; l < now.size(); ++l) {
                            const Array& x = X.before[l];
                            if (broken && l == 1) {
                                for (const double value : now[l].values)
                                    bench.expect("a number", std::isnan(value) ? 0 : 1, 0, 0);
                                bench.expect("failed", bits[l], 4 | Backend::bit_of(variable), 0);
                                continue;
                            }
                            const Inverse gram(multiply(x, !of_p, x, of_p), kappa);
                            const double scale = of_p ? nu : gram.ridge;
                            const Array wanted =
                                of_p ? multiply(gram.value, false, x, false) : multiply(x, false, gram.value, false);
                            const double noise = 1e-13 * gram.condition / unit * largest(wanted);
                            for (std::size_t i = 0; i < wanted.size(); ++i)
                                bench.expect(fmt::format("layer {}, element {}", l, i), now[l].values[i],
                                             scale * wanted.values[i],
                                             2 * unit * scale * (std::fabs(wanted.values[i]) + noise));
                            bench.expect("1/kappa", static_cast<double>(steps[l]) * gram.ridge, 1, 4 * unit + 1e-12);
                            bench.expect("failed", bits[l], 4, 0);
                        }
                    }};
            }};
}

enum class Broken { negative, nan, infinite };

/// The second of three matrices has no inverse: it alone becomes NaN and gets the bit of the variable.
OperationCase broken_case(Index m, Variable variable, Broken how) {
    const char* names[] = {"negative", "nan", "infinite"};
    return {fmt::format("invert_{}_{}_{}", names[static_cast<int>(how)], name_of(variable, 1), text({m, m, m, 3})), 0,
            0, [=](Workbench& bench) {
                std::vector<Array> gram = gram_matrices(bench, m, 3);
                Array& bad = gram[1];
                if (how == Broken::negative) bad(m - 1, m - 1) = -100;
                if (how != Broken::negative) bad(m / 2, 0) = bad(0, m / 2) = how == Broken::nan ? NAN : INFINITY;
                Stack F = bench.from("F", gram);
                const auto k = controls(bench);
                auto failed = bench.cells("failed", std::vector<std::int32_t>{0, 4, 0});
                return Prepared{
                    [&bench, variable, k, F, failed] { bench.backend.invert(variable, k.data, F.view, failed.data); },
                    [&bench, F, failed, variable]() mutable {
                        const std::vector<Array> now = bench.read(F);
                        const double kappa = variable == Variable::p ? rho : mu;
                        for (const std::size_t l : {std::size_t{0}, std::size_t{2}}) {
                            const Inverse inverse(F.before[l], kappa);
                            for (std::size_t i = 0; i < now[l].size(); ++i)
                                bench.expect(fmt::format("layer {}, element {}", l, i), now[l].values[i],
                                             inverse.value.values[i], unit * inverse.magnitude.values[i]);
                        }
                        const auto not_nan = std::count_if(now[1].values.begin(), now[1].values.end(),
                                                           [](double x) { return !std::isnan(x); });
                        bench.expect("elements that are not NaN", static_cast<double>(not_nan), 0, 0);
                        const std::vector<std::int32_t> bits = bench.read(failed);
                        const int bit = Backend::bit_of(variable);
                        for (const auto& [l, wanted] : {std::pair{0, 0}, {1, 4 | bit}, {2, 0}})
                            bench.expect(fmt::format("failed, layer {}", l), bits[static_cast<std::size_t>(l)], wanted,
                                         0);
                    }};
            }};
}

/// `kept` was formed for other penalties (or for these, and then F stays whatever it is).
OperationCase keep_inverse_case(Index m, double decay, KeptInverse before, const char* name) {
    return {fmt::format("keep_inverse_{}_{}", name, text({m, m, m + 3, 1})), 0, 0, [=](Workbench& bench) {
                Stack gram = bench.from("gram", gram_matrices(bench, m, 1)), F = bench.stack("F", m, m, 1);
                const auto k = controls_with(bench, decay);
                auto kept = bench.cells("kept", std::vector<KeptInverse>{before});
                auto failed = bench.cells("failed", std::vector<std::int32_t>{0});
                return Prepared{[&bench, gram, k, kept, F, failed] {
                                    bench.backend.keep_inverse(gram.view, k.data, kept.data, F.view, failed.data);
                                },
                                [&bench, gram, kept, F, failed, decay, before]() mutable {
                                    const KeptInverse now = bench.read(kept)[0];
                                    const bool same = before.nu == nu && before.mu == decay;
                                    const Inverse inverse(gram.before[0], decay);
                                    if (same)
                                        bench.expect(F, F.before, F.before, 0);
                                    else
                                        bench.expect(F, {inverse.value}, {inverse.magnitude}, 1);
                                    bench.expect("nu it was formed for", now.nu, nu, 0);
                                    bench.expect("mu it was formed for", now.mu, decay, 0);
                                    bench.expect("its ridge", now.kappa, same ? before.kappa : inverse.ridge,
                                                 1e-12 * inverse.ridge);
                                    bench.expect("failed", bench.read(failed)[0], 0, 0);
                                }};
            }};
}

}  // namespace

std::vector<OperationCase> inverse_cases() {
    std::vector<OperationCase> cases;
    for (const auto& [m, batch] : {std::pair<Index, Index>{1, 1},
                                   {7, 3},
                                   {32, 1},
                                   {33, 2},
                                   {100, 2},
                                   {128, 1},
                                   {129, 2},
                                   {256, 1},
                                   {257, 1},
                                   {300, 1}})
        for (const auto& [variable, decay] : {std::pair{Variable::p, mu}, {Variable::W, mu}, {Variable::W, 0.0}})
            cases.push_back(invert_case(m, batch, variable, decay));
    for (const auto& [k, c, batch] :
         {std::array<Index, 3>{1, 1, 1}, {7, 9, 3}, {5, 130, 1}, {50, 60, 2}, {140, 20, 2}, {257, 70, 2}})
        for (const auto& [variable, decay] : {std::pair{Variable::p, mu}, {Variable::W, mu}, {Variable::W, 0.0}})
            cases.push_back(push_through_case(k, c, batch, variable, decay));
    for (const Index k : {4, 270})
        cases.push_back(push_through_case(k, 6, 3, k == 4 ? Variable::W : Variable::p, mu, true));
    for (const Broken how : {Broken::negative, Broken::nan, Broken::infinite})
        for (const Index m : {3, 50, 270}) cases.push_back(broken_case(m, m == 3 ? Variable::p : Variable::W, how));
    for (const Index m : {5, 270})
        for (const auto& [before, name] : {std::pair{KeptInverse{0, 0, 0}, "first"},
                                           {KeptInverse{nu, mu, 9}, "same"},
                                           {KeptInverse{2 * nu, mu, mu}, "other_nu"},
                                           {KeptInverse{nu, 2 * mu, 2 * mu}, "other_mu"}})
            cases.push_back(keep_inverse_case(m, mu, before, name));
    cases.push_back(keep_inverse_case(6, 0, {2 * nu, 0, 1}, "without_decay"));
    return cases;
}

}  // namespace pdadmm
