// Products in TF32 and bf16 on the emulated device: operands rounded once and sums in fp32, in whatever parts they go;
// and what is left of it in a training, where the residual is carried in fp32 and refreshed in full precision.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <emulation/hooks.hpp>

#include "host/admm/admm.hpp"
#include "host/ranks/ranks.hpp"
#include "pdadmm/cuda.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

std::unique_ptr<Backend> open(Math math, Index least_narrow_side = usual_narrow_side) {
    BackendOptions options;
    options.math = math;
    return make_cuda_backend(options, least_narrow_side);
}

/// The nearest number with 8 bits of mantissa, half to even.
double to_bf16(real x) {
    const auto image = std::bit_cast<std::uint32_t>(static_cast<float>(x));
    return static_cast<double>(std::bit_cast<float>((image + 0x7fffu + (image >> 16 & 1u)) & 0xffff0000u));
}

struct Operand {
    Buffer<real> memory;
    CMat view;
    std::vector<real> host;
    bool rounded = true;
    double operator()(Index layer, bool transposed, Index i, Index j) const {
        const real x =
            host[static_cast<std::size_t>(layer * view.stride + (transposed ? i * view.ld + j : j * view.ld + i))];
        return rounded ? to_bf16(x) : static_cast<double>(x);
    }
};
Operand operand(Backend& backend, Index rows, Index cols, Index layers, Index gap, std::mt19937_64& random) {
    const Index ld = rows + gap;
    std::vector<real> values(static_cast<std::size_t>(ld * cols * layers));
    for (real& x : values) x = static_cast<real>(static_cast<double>(random() >> 11) * 0x1p-52 - 1);
    return {{backend, values}, {nullptr, rows, cols, ld, layers, ld * cols}, values};
}

/// C = -1.5 op(A) op(B) + 0.5 C, m x n from k, against sums in double of operands: rounded ones, or of a split product
/// as they are.
void expect_product(Backend& backend, Trans ta, Trans tb, Index m, Index n, Index k, Index layers, Index gap,
                    std::uint64_t seed, Precision precision = Precision::working) {
    std::mt19937_64 random(seed);
    const bool a_yes = ta == Trans::yes, b_yes = tb == Trans::yes;
    Operand A = operand(backend, a_yes ? k : m, a_yes ? m : k, layers, gap, random),
            B = operand(backend, b_yes ? n : k, b_yes ? k : n, layers, gap, random),
            C = operand(backend, m, n, layers, gap, random);
    for (Operand* o : {&A, &B, &C}) o->view.data = o->memory.data();
    backend.gemm(ta, tb, real(-1.5), A.view, B.view, real(0.5),
                 {C.memory.data(), m, n, C.view.ld, layers, C.view.stride}, precision);
    A.rounded = B.rounded = precision == Precision::working;
    const std::vector<real> found = C.memory.download();
    double worst = 0;
    for (Index l = 0; l < layers; ++l)
        for (Index j = 0; j < n; ++j)
            for (Index i = 0; i < m; ++i) {
                double sum = 0;
                for (Index x = 0; x < k; ++x) sum += A(l, a_yes, i, x) * B(l, b_yes, x, j);
                const auto at = static_cast<std::size_t>(l * C.view.stride + j * C.view.ld + i);
                const double error =
                    std::fabs(static_cast<double>(found[at]) - (-1.5 * sum + 0.5 * static_cast<double>(C.host[at])));
                if (!(error <= worst)) worst = error;
            }
    // Operands that were not rounded would be off by about 2^-9 sqrt(k) / 3, what split ones lose is 2^-17 of each.
    const double root = std::sqrt(static_cast<double>(k));
    EXPECT_FALSE(!(worst <= (precision == Precision::split ? 3e-5 : 1e-6) * root * (1 + 0.02 * root)))
        << worst << ", k " << k;
}

TEST(DevicePrecision, OperandsAreRoundedToBf16Once) {
    PDADMM_SEEDED();
    for (const Index least : {Index{1}, usual_narrow_side}) {
        const auto backend = open(Math::bf16, least);
        for (const Index gap : {0, 3})
            for (const auto& [ta, tb] :
                 {std::pair{Trans::no, Trans::no}, {Trans::yes, Trans::no}, {Trans::no, Trans::yes}}) {
                expect_product(*backend, ta, tb, 9, 13, 21, 2, gap, seed);
                expect_product(*backend, ta, tb, 16, 24, 40, 2, gap, seed);
            }
    }
}

// Columns of 65,544 elements: 256 of them are a part.
TEST(DevicePrecision, PartsAreMultipliedEach) {
    PDADMM_SEEDED();
    const auto backend = open(Math::bf16, 1);
    for (const Precision precision : {Precision::working, Precision::split})
        expect_product(*backend, Trans::no, Trans::no, 2, 270, 65544, 1, 0, seed, precision);
}

TEST(DevicePrecision, SplitProductsLoseLittle) {
    PDADMM_SEEDED();
    for (const Math math : {Math::tf32, Math::bf16}) {
        const auto backend = open(math, 1);
        for (const Index gap : {0, 3})
            for (const auto& [ta, tb] :
                 {std::pair{Trans::no, Trans::no}, {Trans::yes, Trans::no}, {Trans::no, Trans::yes}}) {
                expect_product(*backend, ta, tb, 9, 13, 21, 2, gap, seed, Precision::split);
                expect_product(*backend, ta, tb, 16, 24, 40, 2, gap, seed, Precision::split);
            }
    }
}

struct Trained {
    double objective = 0;
    double drift = 0;  // of the carried residuals, relative to their size
};
Trained train(const RunSpec& spec, Math math, Index least_narrow_side = usual_narrow_side) {
    const auto backend = open(math, least_narrow_side);
    const NodeData data(*backend, spec.nodes);
    Solver solver(*backend, data, spec.options);
    Trained run;
    while (!solver.finished()) run.objective = solver.advance(1000).back().objective;
    Network& net = solver.network();
    const auto residuals = [&] {
        std::vector<real> all;
        for (int layer = 1; layer <= net.shape().layers; ++layer) {
            const std::vector<real> r = download(*backend, net.r(layer));
            all.insert(all.end(), r.begin(), r.end());
        }
        return all;
    };
    const std::vector<real> carried = residuals();
    refresh(*backend, net.groups());
    const std::vector<real> exact = residuals();
    double off = 0, size = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
        off += std::pow(static_cast<double>(carried[i]) - static_cast<double>(exact[i]), 2);
        size += std::pow(static_cast<double>(exact[i]), 2);
    }
    run.drift = std::sqrt(off / size);
    return run;
}

// The last refresh is 24 iterations old.
TEST(DevicePrecision, TrainingLosesNothingSlow) {
    PDADMM_SEEDED();
    RunSpec spec{"", made_up_nodes(20, 3, {40, 9, 11}, seed), {}};
    spec.options.stages = {{4, 99, 0.05, 0.05, 1e-3, ZInit::forward, LastInit::carry}};
    spec.options.hidden = 12;
    spec.options.eval_every = 1000;
    spec.options.seed = seed;
    const Trained full = train(spec, Math::fp32);
    const auto expect_near = [&](const char* name, const Trained& run, double objective, double drift) {
        const double off = std::fabs(run.objective - full.objective) / full.objective;
        std::printf("%-30s objective off by %.1e, residuals by %.1e\n", name, off, run.drift);
        EXPECT_FALSE(!(off <= objective)) << name << ": " << run.objective << " after " << full.objective;
        EXPECT_FALSE(!(run.drift <= drift)) << name << ": " << run.drift;
    };
    expect_near("fp32", full, 0, 1e-4);
    expect_near("tf32, rounded", train(spec, Math::tf32), 1e-3, 5e-3);
    emulation::truncate_tf32(true);
    expect_near("tf32, truncated", train(spec, Math::tf32), 2e-2, 5e-2);
    emulation::truncate_tf32(false);
    expect_near("bf16, operands rounded before", train(spec, Math::bf16, 1), 2e-2, 5e-2);
}

}  // namespace
