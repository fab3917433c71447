// Layers on several ranks, as threads: one result for any number of ranks, bit for bit, with growth, schedules, codecs
// and resumption; what crosses the borders is what the formula says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/admm/quantisers.hpp"
#include "host/transport/local.hpp"
#include "host/transport/nccl.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

TEST(Ranks, AnyNumberGivesTheBitsOfOne) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    for (const RunSpec& spec : ranked_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        for (const int ranks : {1, 2, 3, 5, 6}) {
            if (ranks > spec.options.stages.back().layers) continue;
            EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, ranks)), "")
                << spec.name << ", " << ranks << " ranks";
        }
    }
}

TEST(Ranks, ResumeOnAnotherNumber) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    for (const RunSpec& spec : ranked_specs(seed)) {
        const std::vector<Trace> three = finish_run_on_ranks(spec, 3);
        const std::size_t epochs = three.front().checkpoints.size();
        for (const std::size_t epoch : {std::size_t{0}, epochs / 3, epochs / 2, epochs - 2})
            for (const int ranks : {1, 2, 5})
                EXPECT_EQ(difference_of_ranks(three.front(),
                                              finish_run_on_ranks(spec, ranks, &three.front().checkpoints[epoch])),
                          "")
                    << spec.name << ", from epoch " << epoch + 1 << " on " << ranks << " ranks";
    }
}

TEST(Ranks, SendWhatTheFormulaSays) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    for (RunSpec spec : ranked_specs(seed)) {
        if (spec.options.schedule.watch == RhoSchedule::Watch::cost) continue;  // its forward passes travel too
        spec.options.eval_every = 1 << 30;
        spec.options.stages = {spec.options.stages.back()};
        run_local_ranks(4, [&](LocalRank& rank) {
            const auto own = open_test_backend(1).backend;
            const NodeData data(*own, spec.nodes, rank.control.rank() == 0);
            Solver solver(*own, data, spec.options, {&rank.transport, &rank.control});
            const Traffic before = rank.transport.traffic(Direction::send);
            EXPECT_LT(1, spec.options.stages[0].epochs);
            const EpochRecord record = solver.step();
            const Traffic after = rank.transport.traffic(Direction::send);
            const std::vector<double> sent = solver.ranks().gather({static_cast<double>(after.bytes - before.bytes)}),
                                      messages = solver.ranks().gather(
                                          {static_cast<double>(after.messages - before.messages)});
            EXPECT_EQ(sent[0] + sent[1] + sent[2] + sent[3], static_cast<double>(record.bytes)) << spec.name;
            const BorderQuantizers q = border_quantizers(spec.options, nullptr);
            const Index elements = spec.options.hidden * data.train();
            EXPECT_THAT(solver.border_bytes(),
                        testing::Each(message_bytes(elements, q.p) + message_bytes(elements, q.q)))
                << spec.name;
            EXPECT_EQ(solver.border_bytes().size(), 3u);
            EXPECT_THAT(messages, testing::ElementsAre(1, 2, 2, 1)) << spec.name;
        });
    }
}

TEST(Ranks, OneThatThrowsEndsAll) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    const RunSpec spec = run_specs(seed)[0];
    for (int bad = 0; bad < 3; ++bad) try {
            run_local_ranks(3, [&](LocalRank& rank) {
                const auto own = open_test_backend(1).backend;
                const NodeData data(*own, spec.nodes, rank.control.rank() == 0);
                Solver solver(*own, data, spec.options, {&rank.transport, &rank.control});
                while (!solver.finished()) {
                    solver.step();
                    if (rank.control.rank() == bad && solver.progress().epoch == 5) throw OutputError("planted");
                }
            });
            ADD_FAILURE() << "rank " << bad << " threw, and nobody heard";
        } catch (const OutputError& error) {
            EXPECT_STREQ(error.what(), "planted");
        }
}

TEST(Ranks, MoreThanLayersAreRefused) {
    PDADMM_SEEDED();
    const RunSpec spec = run_specs(seed)[0];
    EXPECT_THROW(finish_run_on_ranks(spec, 7), UsageError);
}

TEST(Nccl, IsRefusedByABuildWithoutIt) {
    if (nccl_built()) GTEST_SKIP() << "built with NCCL";
    const auto control = make_lone_control();
    const auto backend = make_backend("cpu", {});
    try {
        make_nccl(*backend, *control);
        ADD_FAILURE() << "not refused";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(),
                    testing::StartsWith("nccl: built without NCCL, expected it; configure with -DPDADMM_CUDA=ON"));
    }
}

}  // namespace
