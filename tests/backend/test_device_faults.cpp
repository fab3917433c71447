// Training on a device whose memory runs out or which is lost, at every allocation and at many calls: one DeviceError
// with words for people, and the next run works. On the emulated device, where both can be planted.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <emulation/hooks.hpp>
#include <functional>
#include <stdexcept>
#include <utility>

#include "pdadmm/cuda.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

RunSpec short_run(std::uint64_t seed) {
    RunSpec spec = run_specs(seed)[2];  // quantised p and q
    spec.options.stages = {{2, 2, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                           {4, 3, 0.02, 0.01, 1e-3, ZInit::carry, LastInit::carry}};
    return spec;
}

struct Ended {
    std::string line;  // of the DeviceError; "" where the run ended well
    std::vector<double> objectives;
    std::string notes;  // on products and phases
};
Ended finish(const RunSpec& spec, Math math = Math::fp32, Index least_narrow_side = usual_narrow_side) {
    Ended run;
    try {
        BackendOptions options;
        options.math = math;
        const auto backend = make_cuda_backend(options, least_narrow_side);
        const NodeData data(*backend, spec.nodes);
        Solver solver(*backend, data, spec.options);
        while (!solver.finished())
            for (const EpochRecord& record : solver.advance(1000)) run.objectives.push_back(record.objective);
        run.notes = fmt::format("{}", fmt::join(backend->product_algorithms(), "\n"));
    } catch (const DeviceError& error) {
        run.line = error.what();
    }
    return run;
}
std::string train(const RunSpec& spec) { return finish(spec).line; }

class DeviceFaults : public testing::Test {
protected:
    void TearDown() override {
        emulation::fail_allocation(-1);
        emulation::lose_device(-1);
        emulation::clear_errors();
        emulation::take_faults();
    }
    void expect_lines_where_allocations_fail(std::uint64_t seed, int every);
    void expect_lines_where_the_device_is_lost(std::uint64_t seed, int trials);
};

/// Every `every`-th allocation of a run.
void DeviceFaults::expect_lines_where_allocations_fail(std::uint64_t seed, int every) {
    const RunSpec spec = short_run(seed);
    ASSERT_EQ(train(spec), "");
    int failed = static_cast<int>(seed % static_cast<std::uint64_t>(every));
    for (;; failed += every) {
        emulation::fail_allocation(failed);
        const std::string line = train(spec);
        if (line.empty()) break;
        EXPECT_THAT(line, testing::AllOf(testing::HasSubstr("free, expected"), testing::HasSubstr("GiB"),
                                         testing::Not(testing::HasSubstr("\n"))))
            << failed;
        ASSERT_LT(failed, 10000);
    }
    EXPECT_GT(failed, 30);
    EXPECT_THAT(emulation::take_faults(), testing::IsEmpty());
}

TEST_F(DeviceFaults, EveryAllocationThatFailsIsOneLine) {
    PDADMM_SEEDED();
    expect_lines_where_allocations_fail(seed, 10);
}

TEST_F(DeviceFaults, EveryAllocationThatFailsIsOneLineSlow) {
    PDADMM_SEEDED();
    expect_lines_where_allocations_fail(seed, 1);
}

TEST_F(DeviceFaults, ANetworkThatDoesNotFitIsRefusedBeforeItIsTaken) {
    PDADMM_SEEDED();
    RunSpec spec = short_run(seed);
    spec.options.hidden = 400;
    const std::size_t before = emulation::used_memory();
    emulation::set_memory(before + (140 << 20));
    spec.options.stages[1].layers = 60;
    const std::string line = train(spec);
    emulation::set_memory(std::size_t{4} << 30);
    EXPECT_THAT(line, testing::AllOf(testing::HasSubstr("memory of the cuda backend"),
                                     testing::HasSubstr("60 layers of 400 neurons")));
    EXPECT_EQ(train(short_run(seed)), "");
}

TEST_F(DeviceFaults, AFasterProductThatTheLibraryLacksIsDoneInFp32) {
    PDADMM_SEEDED();
    const Ended plain = finish(short_run(seed));
    EXPECT_NE(plain.objectives, finish(short_run(seed), Math::tf32).objectives);
    emulation::refuse("cublasLtMatmulAlgoGetHeuristic", 1000);
    const Ended without = finish(short_run(seed), Math::tf32);
    EXPECT_EQ(without.line, "");
    EXPECT_EQ(without.objectives, plain.objectives);
    EXPECT_THAT(without.notes, testing::HasSubstr("for there is none of tf32"));
}

TEST_F(DeviceFaults, ProductsOfBf16OperandsThatTheLibraryLacksAreLeftToIt) {
    PDADMM_SEEDED();
    const RunSpec spec = short_run(seed);
    const Ended library = finish(spec, Math::bf16), ours = finish(spec, Math::bf16, 1);
    EXPECT_THAT(ours.notes, testing::HasSubstr("bf16 operands: algorithm"));
    // Rounded here or there, the operands are the same; but the residual is formed by split products here, and what is
    // a code apart stays so for some iterations.
    const auto near_library = testing::Pointwise(testing::DoubleNear(0.05), library.objectives);
    EXPECT_THAT(ours.objectives, near_library);
    emulation::refuse("cublasLtMatmulAlgoGetHeuristic", 1);
    const Ended one_less = finish(spec, Math::bf16, 1);
    EXPECT_THAT(one_less.objectives, near_library);
    EXPECT_THAT(one_less.notes, testing::HasSubstr("no algorithm with bf16 operands"));
    emulation::refuse("cublasLtMatmulAlgoGetHeuristic", 1000);
    const Ended without = finish(spec, Math::bf16, 1);
    EXPECT_EQ(without.line, "");
    EXPECT_EQ(without.objectives, finish(spec).objectives);
}

TEST_F(DeviceFaults, AProductOfAStackThatIsRefusedGoesLayerByLayer) {
    PDADMM_SEEDED();
    const Ended plain = finish(short_run(seed));
    EXPECT_THAT(plain.notes, testing::Not(testing::HasSubstr("layer by layer")));
    emulation::refuse("cublasLtMatmul", 3);
    const Ended apart = finish(short_run(seed));
    EXPECT_EQ(apart.line, "");
    EXPECT_EQ(apart.objectives, plain.objectives);
    EXPECT_THAT(apart.notes, testing::HasSubstr("layer by layer"));
}

TEST_F(DeviceFaults, SlabsOfSparseProductsHaveFewerElementsThan32BitsCount) {
    const auto backend = make_backend("cuda", {});
    for (const Index nodes : {Index{1}, Index{2708}, Index{42'000}, Index{2'449'029}}) {
        const Index features = backend->spmm_slab_features(nodes);
        EXPECT_LE(features * nodes, INT32_MAX);
        EXPECT_GE(features * nodes, INT32_MAX / 2);
    }
}

TEST_F(DeviceFaults, WhatCannotBeRecordedRunsCallByCall) {
    PDADMM_SEEDED();
    RunSpec spec = short_run(seed);
    spec.options.quantize = Quantize::none;
    spec.options.step.rule = StepRule::block;
    spec.options.hidden = 130;  // smaller matrices need no library
    const Ended plain = finish(spec);
    EXPECT_THAT(plain.notes, testing::Not(testing::HasSubstr("call by call")));
    for (const char* call : {"cusolverDnDpotrfBatched", "cudaGraphInstantiate"}) {
        emulation::refuse(call);
        const Ended eager = finish(spec);
        EXPECT_EQ(eager.line, "") << call;
        EXPECT_EQ(eager.objectives, plain.objectives) << call;
        EXPECT_THAT(eager.notes, testing::HasSubstr("call by call")) << call;
    }
}

/// Trials that the device counts, all of them refused, with a fault to be planted in the loop's body.
class CountedTrials {
public:
    explicit CountedTrials(Backend& backend) : be_(backend) {
        be_.fill(ones_, 0);
        const Controls k{1, 1, 0, 0, 0};
        be_.upload(&k, controls_.data(), sizeof k);
    }
    std::function<void()> body() {
        return [this] {
            be_.set_inverse(inverse_.data(), layers, 1e-6);
            be_.reset_pending(pending_.data(), layers);
            be_.repeat_while(pending_.data(), layers, backtracking_trials + 1, [this] {
                be_.grid_check(ones_, ones_, controls_.data(), inverse_.data(), pending_.data());
                if (fault) std::exchange(fault, nullptr)();
            });
        };
    }
    /// Queues what a run needs.
    void begin() { be_.fill(ones_, 1); }
    /// Whether the run came to the end of all trials; the next one starts from something else.
    bool all_tried() {
        const bool tried = pending_.download() == std::vector<std::int32_t>(layers, 0) &&
                           inverse_.download() == std::vector<real>(layers, 0);
        pending_.upload(std::vector<std::int32_t>(layers, 77));
        inverse_.upload(std::vector<real>(layers, 77));
        be_.fill(ones_, 0);
        be_.wait();
        return tried;
    }
    std::function<void()> fault;  // once

private:
    static constexpr Index layers = 2, size = 3;
    Backend& be_;
    Buffer<real> memory_{be_, layers*size}, inverse_{be_, layers};
    Buffer<std::int32_t> pending_{be_, layers};
    Buffer<Controls> controls_{be_, 1};
    Mat ones_{memory_.data(), size, 1, size, layers, size};
};

// Both of the lane's streams are usable again, each as before: the phase goes on behind the work before it, and the
// next one is recorded.
TEST_F(DeviceFaults, ALoopThatFailsWhileItIsRecordedLeavesItsStreams) {
    const auto backend = make_backend("cuda", {});
    CountedTrials trials(*backend);
    const auto expect_run = [&](Phase& phase) {
        trials.begin();
        phase.run();
        EXPECT_TRUE(trials.all_tried());
    };
    std::vector<std::unique_ptr<Phase>> phases;
    constexpr std::size_t failing = 8;
    for (std::size_t i = 0; i < failing + 2; ++i) {
        phases.push_back(backend->record(trials.body()));
        expect_run(*phases.back());
    }
    for (std::size_t i = 0; i < failing; ++i) {
        trials.fault = [] { throw DeviceError("planted"); };
        expect_run(*phases[i]);
        expect_run(*phases[i]);
    }
    EXPECT_THAT(backend->product_algorithms(), testing::Each(testing::HasSubstr("call by call: planted")));
    trials.fault = [] { throw std::logic_error("planted"); };
    EXPECT_THROW(phases[failing]->run(), std::logic_error);
    expect_run(*phases[failing]);
    for (int run = 0; run < 3; ++run) expect_run(*phases.back());
    EXPECT_EQ(backend->product_algorithms().size(), failing) << "the last one is recorded";
}

TEST_F(DeviceFaults, MemoryThatIsNotTakenBackIsSaidLater) {
    const auto backend = make_backend("cuda", {});
    emulation::refuse("cudaFree");
    { const Buffer<real> gone(*backend, 10); }
    backend->wait();
    emulation::lose_device(0);
    try {
        backend->wait();
        ADD_FAILURE() << "the device was lost";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("memory could not be given back before"));
    }
}

TEST_F(DeviceFaults, AReserveIsNotPlannedWith) {
    const auto backend = make_backend("cuda", {});
    const std::size_t left = (std::size_t{4} << 30) - emulation::used_memory();
    EXPECT_LT(backend->free_memory(), left - (std::size_t{200} << 20));
    emulation::set_memory(emulation::used_memory() + 1000);
    EXPECT_EQ(backend->free_memory(), 0u);
    emulation::set_memory(std::size_t{4} << 30);
}

// With a forward pass at growth, only weights of the shallower network are there beside the deeper one.
TEST_F(DeviceFaults, GrowthGivesTheShallowerNetworksMemoryBackFirst) {
    PDADMM_SEEDED();
    RunSpec spec = spec_with_ranges(seed);
    spec.options.step.rule = StepRule::exact;
    spec.options.quantize = Quantize::none;
    spec.options.stages = {{6, 1, 0.1, 0.02, 1e-3, ZInit::forward, LastInit::carry},
                           {7, 1, 0.1, 0.02, 1e-3, ZInit::carry, LastInit::carry}};
    const auto grown = [&](GrowState state) {
        spec.options.grow_state = state;
        const auto backend = make_backend("cuda", {});
        const NodeData data(*backend, spec.nodes);
        return std::pair{emulation::used_memory(), admm_bytes(*backend, data, spec.options, 0, 1)};
    };
    const auto [fixed, carried] = grown(GrowState::carry);
    const std::size_t forward = grown(GrowState::forward).second, scratch = std::size_t{512} << 10;
    EXPECT_LT(forward + scratch, carried * 3 / 4);
    emulation::set_memory((fixed + forward + scratch) * 16 / 15 + 1);  // a sixteenth is the reserve
    EXPECT_EQ(train(spec), "");
    spec.options.grow_state = GrowState::carry;
    EXPECT_THAT(train(spec), testing::HasSubstr("memory"));
    emulation::set_memory(std::size_t{4} << 30);
}

/// One call in each of `trials` parts of a run and of what follows it.
void DeviceFaults::expect_lines_where_the_device_is_lost(std::uint64_t seed, int trials) {
    const int part = 900 / trials;
    const RunSpec spec = short_run(seed);
    std::mt19937_64 random(seed);
    int lost = 0, finished = 0;
    for (int trial = 0; trial < trials; ++trial) {
        emulation::lose_device(trial * part + static_cast<int>(random() % static_cast<unsigned>(part)));
        const std::string line = train(spec);
        line.empty() ? ++finished : ++lost;
        if (!line.empty()) {
            EXPECT_THAT(line, testing::AllOf(testing::HasSubstr("CUDA"), testing::Not(testing::HasSubstr("\n"))))
                << trial;
        }
        emulation::lose_device(-1);
        emulation::clear_errors();
    }
    EXPECT_GT(3 * lost, trials) << finished << " runs finished";
    EXPECT_EQ(train(spec), "");
}

TEST_F(DeviceFaults, ALostDeviceIsOneLineWithTheCall) {
    PDADMM_SEEDED();
    expect_lines_where_the_device_is_lost(seed, 9);
}

TEST_F(DeviceFaults, ALostDeviceIsOneLineWithTheCallSlow) {
    PDADMM_SEEDED();
    expect_lines_where_the_device_is_lost(seed, 30);
}

}  // namespace
