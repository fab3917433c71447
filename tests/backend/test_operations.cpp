// Every operation of every backend that is there, on the one list of cases, against float64; guard bands and inputs
// stay intact, the same call twice gives the same bits, and wrong shapes are refused. PDADMM_TEST_BACKENDS=cpu names a
// subset.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

#include "host/ranks/ranks.hpp"
#include "pdadmm/error.hpp"
#include "tests/backend/operation_cases.hpp"
#include "tests/support/sample.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

class Operations : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        const char* wanted = std::getenv("PDADMM_TEST_BACKENDS");
        if (wanted && std::string(wanted).find(GetParam()) == std::string::npos)
            GTEST_SKIP() << "not in PDADMM_TEST_BACKENDS";
        try {
            open({2, 0});
        } catch (const DeviceError& error) {
            GTEST_SKIP() << error.what();
        }
    }
    void open(const BackendOptions& options) { backend = make_backend(GetParam(), options); }
    /// Results and guards of one case; how much of its bound the worst element takes.
    double expect_right(const OperationCase& c, std::uint64_t seed) {
        Workbench bench(*backend, seed);
        const Prepared prepared = c.prepare(bench);
        prepared.call();
        prepared.check();
        bench.expect_guards();
        for (const std::string& finding : bench.findings) ADD_FAILURE() << c.name << ": " << finding;
        return bench.worst;
    }
    void expect_sparse_products();
    void expect_same_bits_twice(const std::vector<OperationCase>& cases, std::uint64_t seed);
    std::unique_ptr<Backend> backend;
};

TEST_P(Operations, AgreeWithFloat64AndStayInTheirBuffers) {
    PDADMM_SEEDED();
    std::map<std::string, double> worst;  // of each operation
    for (const OperationCase& c : operation_cases()) {
        double& w = worst[c.name.substr(0, c.name.rfind("_n"))];
        w = std::max(w, expect_right(c, seed));
    }
    for (const auto& [operation, share] : worst)
        std::printf("%-28s at most %.2f of its bound\n", operation.c_str(), share);
    EXPECT_GE(worst.size(), 30u);
}

void Operations::expect_sparse_products() {
    PDADMM_SEEDED();
    for (const OperationCase& c : operation_cases())
        if (c.name.starts_with("spmm")) expect_right(c, seed);
}

TEST_P(Operations, SparseProductsInAnyForm) {
    for (const bool fast : {false, true})
        for (const Index most_narrow : {Index{0}, Index{INT32_MAX}}) {
            BackendOptions options{2, 0};
            options.fast_spmm = fast;
            options.most_narrow_entries = most_narrow;  // 0: the indices of graphs beyond 32 bits
            SCOPED_TRACE(fmt::format("fast {}, 32 bits up to {} entries", fast, most_narrow));
            open(options);
            expect_sparse_products();
        }
}

void Operations::expect_same_bits_twice(const std::vector<OperationCase>& cases, std::uint64_t seed) {
    const auto bits = [&](const OperationCase& c) {
        Workbench bench(*backend, seed);
        c.prepare(bench).call();
        return bench.image();
    };
    for (const OperationCase& c : cases) EXPECT_TRUE(bits(c) == bits(c)) << c.name;
}

TEST_P(Operations, GiveTheSameBitsTwice) {
    PDADMM_SEEDED();
    expect_same_bits_twice(sample(operation_cases(), 5, seed), seed);
}

/// `call` on a stack, and on each of its layers alone, leaves the same bits in `result`.
void expect_alike(const Workbench& bench, Stack& result, const std::function<void(Index first, Index count)>& call,
                  const std::string& what) {
    const Index layers = result.view.batch;
    const auto before = download(bench.backend, result.view);
    call(0, layers);
    const auto together = download(bench.backend, result.view);
    bench.backend.upload(before.data(), result.view.data, before.size() * sizeof(real));
    for (Index l = 0; l < layers; ++l) call(l, 1);
    EXPECT_EQ(together, download(bench.backend, result.view)) << what;
}

TEST_P(Operations, GiveALayerTheSameBitsAloneAndInAStack) {
    PDADMM_SEEDED();
    Workbench bench(*backend, seed);
    for (const auto& [n, N] : {std::pair<Index, Index>{7, 33}, {64, 130}, {100, 140}, {140, 60}}) {
        constexpr Index layers = 5;
        const auto stack = [&](const char* name, Index rows, Index cols) {
            return bench.stack(name, rows, cols, layers, 0.1, 0, 0);
        };
        Stack W = stack("W", n, n), p = stack("p", n, N), r = stack("r", n, N), C = stack("C", 3, n),
              F = stack("F", n, n);
        const std::string size = fmt::format("n {}, N {}", n, N);
        const auto product = [&](Trans ta, Trans tb, Stack& A, Stack& B, Stack& to, const char* name) {
            expect_alike(
                bench, to,
                [&](Index first, Index count) {
                    const auto of = [&](const Stack& s) { return s.view.layers(first, count); };
                    backend->gemm(ta, tb, 1, of(A), of(B), 0, of(to), Precision::working);
                },
                name + size);
        };
        product(Trans::yes, Trans::no, W, r, p, "W' r, ");
        product(Trans::no, Trans::no, W, p, r, "W g, ");
        product(Trans::no, Trans::yes, r, p, W, "r p', ");
        const auto k = bench.cells("controls", std::vector<Controls>{{real(0.5), real(0.1), real(0.01), 0, 0}});
        auto failed = bench.cells("failed", std::vector<std::int32_t>(layers, 0));
        auto inverse = bench.cells("inverse", std::vector<real>(layers, 0));
        backend->gemm(Trans::yes, Trans::no, 1, W.view, W.view, 0, F.view);
        expect_alike(
            bench, F,
            [&](Index first, Index count) {
                backend->invert(Backend::Variable::W, k.data, F.view.layers(first, count), failed.data + first);
            },
            "inverse, " + size);
        expect_alike(
            bench, C,
            [&](Index first, Index count) {
                const Mat X = C.view.layers(first, count);
                backend->push_through(Backend::Variable::p, k.data, X, X, inverse.data + first, failed.data + first);
            },
            "inverse by outputs, " + size);
    }
}

class EveryOperation : public Operations {};

TEST_P(EveryOperation, GivesTheSameBitsTwiceSlow) {
    PDADMM_SEEDED();
    expect_same_bits_twice(operation_cases(), seed);
}

TEST_P(Operations, RefuseWrongShapes) {
    Workbench bench(*backend, 1);
    const Stack a = bench.stack("a", 4, 5, 2), b = bench.stack("b", 4, 6, 2), w = bench.stack("w", 5, 3, 2);
    const auto k = bench.cells("controls", std::vector<Controls>{{1, 1, 1, 0, 0}});
    const auto step = bench.cells("inverse", std::vector<real>{1, 1});
    EXPECT_THROW(backend->copy(a.view, b.view), Error);
    EXPECT_THROW(backend->gemm(Trans::no, Trans::no, 1, a.view, b.view, 0, w.view), Error);
    const auto norms = bench.cells("norm_sq", std::vector<double>{0, 0});
    const auto figures = bench.cells("figures", std::vector<LayerFigures>(2));
    EXPECT_THROW(backend->p_gradient(a.view, a.view, b.view, k.data, a.view, norms.data), Error);
    EXPECT_THROW(backend->W_gradient(a.view, DecayTo::zero, k.data, b.view, norms.data), Error);
    EXPECT_THROW(backend->descend(step.data, a.view, b.view, DecayTo::zero, figures.data), Error);
    EXPECT_THROW(backend->descend(step.data, a.view, a.view, a.view, b.view), Error);
    const auto failed = bench.cells("failed", std::vector<std::int32_t>{0, 0});
    EXPECT_THROW(backend->node_product(a.view, b.view, w.view, Precision::full), Error);
    EXPECT_THROW(backend->center(a.view, b.view), Error);
    EXPECT_THROW(backend->invert(Backend::Variable::W, k.data, a.view, failed.data), Error);
    const auto target = [&](DecayTo decay, CMat p, CMat r) {
        backend->node_space_target(k.data, decay, p, a.view, r, a.view);
    };
    EXPECT_THROW(target(DecayTo::zero, {}, b.view), Error);
    EXPECT_THROW(target(DecayTo::identity, b.view, a.view), Error);
    EXPECT_THROW(backend->push_through(Backend::Variable::W, k.data, a.view, b.view, step.data, failed.data), Error);
    EXPECT_THROW(backend->gather_columns(a.view.layer(0), nullptr, w.view.layer(0)), Error);
    EXPECT_THROW(backend->close_residual(a.view, a.view, b.view), Error);
    EXPECT_THROW(backend->activation_gradient(a.view, 1, b.view, 0, a.view), Error);
    EXPECT_THROW(backend->pull(1, a.view, b.view), Error);
    EXPECT_THROW(backend->elastic_pull(1, 2, a.view, a.view, b.view), Error);
    const auto count = bench.cells("step", std::vector<Index>{1});
    const Mat one = a.view.layer(0), other = b.view.layer(0);
    EXPECT_THROW(backend->optimizer_step({Optimizer::gd, 1, 0}, count.data, other, one, {}, {}, figures.data), Error);
    EXPECT_THROW(backend->optimizer_step({Optimizer::adagrad, 1, 0}, count.data, one, one, {}, {}, figures.data),
                 Error);
    EXPECT_THROW(backend->optimizer_step({Optimizer::adam, 1, 0}, count.data, one, one, one, other, figures.data),
                 Error);
    bench.expect_guards();
    EXPECT_TRUE(bench.findings.empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, Operations, testing::Values("cpu", "cuda"),
                         [](const auto& name) { return name.param; });
INSTANTIATE_TEST_SUITE_P(Backends, EveryOperation, testing::Values("cuda"),
                         [](const auto& name) { return name.param; });

TEST(OperationCases, HaveNamesOfTheirOwn) {
    std::map<std::string, int> names;
    for (const OperationCase& c : operation_cases()) EXPECT_EQ(++names[c.name], 1) << c.name;
}

}  // namespace
