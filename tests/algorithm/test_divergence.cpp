// A run shows finite figures (|z - W p - b|^2 also as a second computation has it), or throws a DivergedError that
// names layer and variable: over sixty orders of rho and nu, and with a NaN or an infinity put into each variable of
// each layer.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <ostream>
#include <vector>

#include "host/admm/quantisers.hpp"
#include "host/admm/solver.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/reference.hpp"
#include "tests/support/sample.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

/// iteration 3: W of layer 2 is not finite; ... or, of closed forms, W of layer 2 has no closed form (...) and is not
/// finite; ...
bool names_layer_and_variable(const std::string& message, Index iteration) {
    const std::string expected = fmt::format(
        "^iteration {}: (W0?|V|S|b|p|z|r|q|u) of layer [0-9]+ (has no closed form .its matrix is not positive "
        "definite. and )?is not finite",
        iteration);
    return testing::Matches(testing::ContainsRegex(expected))(message);
}

std::string not_finite(Solver& solver) {
    Network& net = solver.network();
    for (int layer = 1; layer <= net.shape().layers; ++layer)
        for (const NamedTensor& tensor : net.state(layer))
            for (const real x : download(solver.backend(), tensor.value))
                if (!std::isfinite(x)) return fmt::format("{} of layer {}", tensor.name, layer);
    return "";
}

/// A small direct or node-space run without evaluations.
RunSpec small_run(std::uint64_t seed, Index inputs, double rho, double nu, StepRule rule, int epochs) {
    RunSpec spec = run_specs(seed)[0];
    spec.nodes.counts = {20, 0, 0};
    spec.nodes.X.resize(static_cast<std::size_t>(20 * spec.nodes.inputs));
    if (inputs < spec.nodes.inputs) {  // the first features of each node
        std::vector<real> X;
        for (Index j = 0; j < 20; ++j)
            for (Index i = 0; i < inputs; ++i)
                X.push_back(spec.nodes.X[static_cast<std::size_t>(j * spec.nodes.inputs + i)]);
        spec.nodes.X = X;
        spec.nodes.inputs = inputs;
    }
    spec.nodes.labels.resize(20);
    spec.options.schedule = {};
    spec.options.step.rule = rule;
    spec.options.hidden = 8;
    spec.options.eval_every = 1 << 30;
    spec.options.refresh_every = 25;
    spec.options.stages = {{4, epochs, rho, nu, 0, ZInit::zero, LastInit::carry}};
    return spec;
}

/// |z - W p - b|^2 over all layers in float64 from the tensors, and how far a carried r may be from it: a rounding unit
/// of the terms' magnitudes for each of a few dozen iterations.
struct Recomputed {
    double linear_sq = 0, noise = 0;
};
Recomputed recompute(Solver& solver) {
    Network& net = solver.network();
    Backend& be = solver.backend();
    const auto read = [&](CMat m) { return reference::Array(m.rows, m.cols, download(be, m)); };
    const Model model = solver.model();  // forms W1 in node space
    Recomputed sum;
    for (int layer = 1; layer <= net.shape().layers; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        const reference::Array W(net.shape().rows(layer), net.shape().cols(layer), model.W[k]), p = read(net.p(layer)),
                                                                                                z = read(net.z(layer));
        const reference::Array a = reference::multiply(W, false, p, false);
        const reference::Array size = reference::multiply(reference::absolute(W), false, reference::absolute(p), false);
        for (Index j = 0; j < z.cols; ++j)
            for (Index i = 0; i < z.rows; ++i) {
                const double b = static_cast<double>(model.b[k][static_cast<std::size_t>(i)]),
                             r = a(i, j) + b - z(i, j);
                const double unit =
                    1e3 * std::numeric_limits<real>::epsilon() * (size(i, j) + std::fabs(b) + std::fabs(z(i, j)));
                sum.linear_sq += r * r;
                sum.noise += unit * (2 * std::fabs(r) + unit);
            }
    }
    return sum;
}

class Penalties : public testing::TestWithParam<StepRule> {};

TEST_P(Penalties, OverSixtyOrdersGiveFiniteFiguresOrADivergence) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    int finished = 0, diverged = 0;
    for (const Index inputs : {5, 30})
        for (int i = -30; i <= 30; i += 6)
            for (int j = -30; j <= 30; j += 6) {
                const RunSpec spec = small_run(seed, inputs, std::pow(10, i), std::pow(10, j), GetParam(), 30);
                const NodeData data(*backend, spec.nodes);
                Solver solver(*backend, data, spec.options);
                const std::string where = fmt::format("rho 1e{}, nu 1e{}, {} inputs", i, j, inputs);
                EpochRecord last;
                try {
                    while (!solver.finished()) {
                        const EpochRecord record = last = solver.step();
                        EXPECT_TRUE(std::isfinite(record.objective) && std::isfinite(record.risk) &&
                                    std::isfinite(record.primal_sq) && std::isfinite(record.linear_sq))
                            << where;
                        EXPECT_EQ(not_finite(solver), "") << where;
                    }
                    ++finished;
                    // The carried r must still be W p + b - z, or the figures mean nothing.
                    const Recomputed again = recompute(solver);
                    EXPECT_FALSE(!(std::fabs(last.linear_sq - again.linear_sq) <= again.noise + 1e-4 * again.linear_sq))
                        << where << ": " << last.linear_sq << " for " << again.linear_sq << " +- " << again.noise;
                    for (const double cost : solver.evaluate().cost)
                        EXPECT_TRUE(std::isfinite(cost) || data.counts()[1] == 0) << where;
                } catch (const DivergedError& error) {
                    ++diverged;
                    EXPECT_TRUE(names_layer_and_variable(error.what(), solver.progress().epoch + 1))
                        << where << ": " << error.what();
                }
            }
    EXPECT_EQ(finished + diverged, 2 * 121);
    std::printf("%d finished, %d diverged\n", finished, diverged);
}

INSTANTIATE_TEST_SUITE_P(Steps, Penalties, testing::Values(StepRule::exact, StepRule::backtracking, StepRule::block),
                         [](const auto& rule) {
                             return std::string(rule.param == StepRule::exact   ? "exact"
                                                : rule.param == StepRule::block ? "block"
                                                                                : "backtracking");
                         });

/// Puts `value` into one element of `variable` of `layer` after two epochs; what the third says.
std::string message_after(Backend& backend, const RunSpec& spec, int layer, const std::string& variable, real value,
                          std::uint64_t draw) {
    const NodeData data(backend, spec.nodes);
    Solver solver(backend, data, spec.options);
    solver.step();
    solver.step();
    for (const NamedTensor& tensor : solver.network().state(layer)) {
        if (tensor.name != variable) continue;
        const auto element = static_cast<Index>(draw % static_cast<std::uint64_t>(tensor.value.size()));
        backend.upload(&value, tensor.value.data + element, sizeof value);
        try {
            solver.step();
        } catch (const DivergedError& error) {
            return error.what();
        }
        return "no error";
    }
    return "no such variable";
}

struct CodecCase {
    const char* name;
    Codec codec;
    int bits = 8;
    ChangeScale scale = ChangeScale::max;
    StepRule rule = StepRule::exact;
};

/// The name of its ctest entry; gtest would print the bytes of its pointer, which differ each time.
void PrintTo(const CodecCase& codec, std::ostream* out) { *out << codec.name; }

class Injected : public testing::TestWithParam<CodecCase> {};

/// Where a NaN is put: every variable that a layer has, direct (5 inputs) and in node space (30).
struct Place {
    Index inputs;
    int layer;
    const char* variable;
};
std::vector<Place> places() {
    std::vector<Place> all;
    for (const Index inputs : {5, 30})
        for (int layer = 1; layer <= 4; ++layer)
            for (const char* variable : {"p", "W", "b", "z", "q", "u", "V", "r"}) {
                const bool exists = *variable == 'p'                       ? layer > 1
                                    : *variable == 'q' || *variable == 'u' ? layer < 4
                                    : *variable == 'W'                     ? layer > 1 || inputs == 5
                                    : *variable == 'V'                     ? layer == 1 && inputs == 30
                                                                           : true;
                if (exists) all.push_back({inputs, layer, variable});
            }
    return all;
}

void expect_nan_is_named(Backend& backend, const CodecCase& codec, const std::vector<Place>& where,
                         std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const Place& place : where) {
        RunSpec spec = small_run(seed, place.inputs, 1, 0.1, codec.rule, 5);
        if (codec.codec != Codec::none) {
            spec.options.quantize = Quantize::pq;
            spec.options.codec = codec.codec;
            spec.options.bits = codec.bits;
            spec.options.scale = codec.scale;
            spec.options.levels = uniform_levels(-1, 3, 50);
        }
        const std::string message = message_after(backend, spec, place.layer, place.variable, NAN, random());
        EXPECT_TRUE(names_layer_and_variable(message, 3))
            << place.variable << " of layer " << place.layer << ", " << place.inputs << " inputs: " << message;
    }
}

TEST_P(Injected, NanIsReportedInTheSameIterationWithLayerAndVariable) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    expect_nan_is_named(*backend, GetParam(), sample(places(), backend->name() == "cpu" ? 1 : 4, seed), seed);
}

TEST_P(Injected, NanIsReportedInTheSameIterationWithLayerAndVariableSlow) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    expect_nan_is_named(*backend, GetParam(), places(), seed);
}

INSTANTIATE_TEST_SUITE_P(
    Codecs, Injected,
    testing::Values(CodecCase{"none", Codec::none}, CodecCase{"grid", Codec::grid},
                    CodecCase{"difference", Codec::difference}, CodecCase{"one_bit", Codec::difference, 1},
                    CodecCase{"rms", Codec::difference, 2, ChangeScale::rms},
                    CodecCase{"block", Codec::none, 8, ChangeScale::max, StepRule::block},
                    CodecCase{"block_grid", Codec::grid, 8, ChangeScale::max, StepRule::block},
                    CodecCase{"block_difference", Codec::difference, 4, ChangeScale::max, StepRule::block}),
    [](const auto& codec) { return std::string(codec.param.name); });

TEST(ClosedForms, WithoutAnInverseNameVariableLayerAndIteration) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    std::mt19937_64 random(seed);
    const std::string regex = " has no closed form .its matrix is not positive definite. and is not finite";
    for (const Index inputs : {5, 30}) {  // direct, node space
        const RunSpec spec = small_run(seed, inputs, 1, 0.1, StepRule::block, 5);
        for (int layer = 2; layer <= 4; ++layer)
            for (const char* variable :
                 {"W", "p"})  // p or W of the layer: a Cholesky factorisation may come through an infinity
                EXPECT_THAT(message_after(*backend, spec, layer, variable, INFINITY, random()),
                            testing::ContainsRegex(fmt::format("^iteration 3: [pW] of layer {}{};", layer, regex)));
        const NodeData data(*backend, spec.nodes);
        Solver solver(*backend, data, spec.options);
        solver.step();
        Controls k;
        backend->download(solver.network().controls(), &k, sizeof k);
        k.nu = INFINITY;
        backend->upload(&k, solver.network().controls(), sizeof k);
        try {
            solver.step();
            ADD_FAILURE() << "no error";
        } catch (const DivergedError& error) {
            EXPECT_THAT(error.what(), testing::ContainsRegex("^iteration 2: [pW] of layer [0-9]" + regex));
            EXPECT_EQ(error.code(), ExitCode::diverged);
        }
    }
}

}  // namespace
