// The first layer by conjugate gradients in node space, past the limit of a factorisation (design 2, `block`): many
// steps reach the closed form, few never raise the subproblem, and nothing but the state decides the next bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/forwarding_backend.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using reference::Array;

namespace {

enum class Fault {
    none,
    not_centred,
    decay_forgotten,
    decayed_elsewhere,
    mean_forgotten,
    never_conjugate,
    stale_gradient
};

/// The backend with one fault, for CPU memory.
class FaultyBackend final : public ForwardingBackend {
public:
    FaultyBackend(Backend& inner, Fault fault) : ForwardingBackend(inner), fault_(fault) {}

    void center(CMat X, Mat Y) override { fault_ == Fault::not_centred ? inner_.copy(X, Y) : inner_.center(X, Y); }
    void dual_gradient(CMat S, const Controls* k, Mat R) override {
        Controls wrong = *k;
        if (fault_ == Fault::decay_forgotten) wrong.mu = 0;
        if (fault_ == Fault::decayed_elsewhere) wrong.mu = -k->mu;  // to where W1 is twice itself
        inner_.dual_gradient(S, &wrong, R);
    }
    void conjugate_weight(CMat R, CMat T, bool first, ConjugateScalars* s) override {
        inner_.conjugate_weight(R, T, first || fault_ == Fault::never_conjugate, s);
    }
    void conjugate_step(const real* inverse, const Controls* k, CMat E, CMat U, CMat d, Mat S, Mat V, Mat r,
                        Mat R) override {
        const std::vector<real> none(static_cast<std::size_t>(d.rows), 0), before(R.data, R.data + R.size());
        if (fault_ == Fault::mean_forgotten) d.data = none.data();
        inner_.conjugate_step(inverse, k, E, U, d, S, V, r, R);
        if (fault_ == Fault::stale_gradient) std::copy(before.begin(), before.end(), R.data);
    }

private:
    Fault fault_;
};

ProblemSpec spec_of(double mu, FirstLayer first) {
    return {.layers = 3,
            .inputs = 31,
            .nodes = 12,
            .rho = 0.4,
            .nu = 0.7,
            .mu = mu,
            .step = {StepRule::block, 0},
            .first_layer = first};
}

void take_steps(RandomProblem& problem, int steps) {
    for (LayerGroup& group : problem.network().groups())
        if (group.is_first) group.conjugate_steps = steps;
}

double off(const Array& a, const Array& b) {
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double error = std::fabs(a.values[i] - b.values[i]);
        if (!(error <= worst)) worst = error;
    }
    return worst / reference::largest(b);
}

/// How far W1, b1 and V are from the closed form's after three iterations from the same z, relative to their size.
double off_closed_form(Backend& closed_on, Backend& steps_on, std::uint64_t seed, int steps) {
    RandomProblem closed(closed_on, spec_of(0.2, FirstLayer::node_space), seed);
    RandomProblem near(steps_on, spec_of(0.2, FirstLayer::conjugate), seed);
    take_steps(near, steps);
    double worst = 0;
    for (int k = 0; k < 3; ++k) {
        near.set(near.network().z(1), closed.state().z[1]);
        near.refresh();
        closed.step();
        near.step();
        const State a = near.state(), b = closed.state();
        for (const double error : {off(a.W[1], b.W[1]), off(a.b[1], b.b[1]), off(a.V, b.V),
                                   std::fabs(a.weight_sq - b.weight_sq) / b.weight_sq})
            if (!(error <= worst)) worst = error;
    }
    return worst;
}

constexpr int most_steps = 12;  // as many as nodes: then even rounded directions have reached the minimiser
constexpr double near_enough = sizeof(real) == 8 ? 1e-9 : 2e-4;

TEST(ConjugateGradients, ReachTheClosedForm) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 2);
    for (std::uint64_t k = 0; k < 5; ++k) {
        const double error = off_closed_form(*backend, *backend, seed + k, most_steps);
        EXPECT_FALSE(!(error <= near_enough)) << error << ", seed " << seed + k;
    }
}

TEST(ConjugateGradients, PlantedFaultsAreFound) {
    PDADMM_SEEDED();
    if (test_backend_name() != "cpu") GTEST_SKIP() << "faults are planted in CPU memory";
    PDADMM_TEST_BACKEND(backend, 1);
    for (const Fault fault : {Fault::none, Fault::not_centred, Fault::decay_forgotten, Fault::decayed_elsewhere,
                              Fault::mean_forgotten, Fault::never_conjugate, Fault::stale_gradient}) {
        FaultyBackend faulty(*backend, fault);
        const double error = off_closed_form(*backend, faulty, seed, most_steps);
        EXPECT_EQ(error <= near_enough, fault == Fault::none) << error << ", fault " << static_cast<int>(fault);
    }
}

/// nu/2 |W1 X + b1 - z1|^2 + mu/2 |W1|^2 at a state's W1 and b1 and an older z1.
double subproblem(const State& s, const Array& z) {
    const Array a = reference::multiply(s.W[1], false, s.p[1], false);
    double sum = 0;
    for (Index j = 0; j < a.cols; ++j)
        for (Index i = 0; i < a.rows; ++i) sum += std::pow(a(i, j) + s.b[1](i, 0) - z(i, j), 2);
    return s.nu / 2 * sum + s.mu / 2 * reference::dot(s.W[1], s.W[1]);
}

TEST(ConjugateGradients, NeverRaiseTheSubproblem) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (const double mu : {0.0, 0.2}) {
        RandomProblem problem(*backend, spec_of(mu, FirstLayer::conjugate), seed);
        for (int k = 0; k < 10; ++k) {
            const State before = problem.state();
            problem.step();
            const double old = subproblem(before, before.z[1]), now = subproblem(problem.state(), before.z[1]);
            EXPECT_FALSE(!(now <= old * (1 + 1e3 * std::numeric_limits<real>::epsilon())))
                << now << " after " << old << ", iteration " << k << ", mu " << mu;
        }
    }
}

/// The bits of all that a checkpoint holds.
std::vector<real> bits_of(Backend& backend, Network& net) {
    std::vector<real> all;
    for (int layer = 1; layer <= net.shape().layers; ++layer)
        for (const NamedTensor& tensor : net.state(layer)) {
            const std::vector<real> values = download(backend, tensor.value);
            all.insert(all.end(), values.begin(), values.end());
        }
    return all;
}

bool same_bits(const std::vector<real>& a, const std::vector<real>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(real)) == 0;
}

TEST(ConjugateGradients, GiveTheSameBitsOnAnyNumberOfThreads) {
    PDADMM_SEEDED();
    ProblemSpec spec = spec_of(0.2, FirstLayer::conjugate);
    spec.nodes = 4200;  // several ranges of nodes
    std::vector<std::vector<real>> results;
    for (const int threads : {1, 3}) {
        PDADMM_TEST_BACKEND(backend, threads);
        RandomProblem problem(*backend, spec, seed);
        problem.step();
        results.push_back(bits_of(*backend, problem.network()));
    }
    EXPECT_TRUE(same_bits(results[0], results[1]));
}

TEST(ConjugateGradients, GoOnFromACheckpointWithTheSameBits) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const ProblemSpec spec = spec_of(0.2, FirstLayer::conjugate);
    RandomProblem whole(*backend, spec, seed), resumed(*backend, spec, seed);
    for (int k = 0; k < 3; ++k) whole.step();
    for (int layer = 1; layer <= spec.layers; ++layer) {
        const std::vector<NamedTensor> from = whole.network().state(layer), to = resumed.network().state(layer);
        for (std::size_t t = 0; t < from.size(); ++t) backend->copy(from[t].value, to[t].value);
    }
    NodeSpaceScalars scalars;
    backend->download(whole.network().node_scalars(), &scalars, sizeof scalars);
    backend->upload(&scalars, resumed.network().node_scalars(), sizeof scalars);
    for (int k = 0; k < 2; ++k) {
        whole.step();
        resumed.step();
    }
    EXPECT_TRUE(same_bits(bits_of(*backend, whole.network()), bits_of(*backend, resumed.network())));
}

}  // namespace
