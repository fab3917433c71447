// Layers on several ranks, as threads: one result for any number of ranks, bit for bit, with growth, schedules, codecs and
// resumption; what crosses the borders is what the formula says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/transport/local.hpp"
#include "tests/deadline.hpp"
#include "tests/random_run.hpp"
#include "tests/test_backend.hpp"
#include "tests/test_seed.hpp"

using namespace pdadmm;

namespace {

/// Those that may have several ranks.
std::vector<RunSpec> ranked_specs(std::uint64_t seed) {
    std::vector<RunSpec> specs;
    for (RunSpec& spec : run_specs(seed))
        if (!spec.options.rebuild_q) specs.push_back(std::move(spec));
    RunSpec carried = specs.front();
    carried.name = "carried through growth";
    carried.options.grow_state = GrowState::carry;
    carried.options.schedule = {};
    specs.push_back(std::move(carried));
    RunSpec grid = specs.front();
    grid.name = "grid, p and q";
    grid.options.schedule = {};
    grid.options.quantize = Quantize::pq;
    grid.options.codec = Codec::grid;
    grid.options.levels = uniform_levels(-1, 3, 20);
    specs.push_back(std::move(grid));
    return specs;
}

/// "" where rank 0 left what `whole` did and the other ranks saw the same figures.
std::string difference_of_ranks(const Trace& whole, const std::vector<Trace>& ranks) {
    for (const Trace& rank : ranks) {
        if (rank.figures.empty()) return "no epochs";
        if (rank.figures != std::vector(whole.figures.end() - static_cast<std::ptrdiff_t>(rank.figures.size()), whole.figures.end())) return "figures";
        if (rank.best_epoch != whole.best_epoch) return "best epoch";
    }
    const Trace& first = ranks.front();
    if (first.states != std::vector(whole.states.end() - static_cast<std::ptrdiff_t>(first.states.size()), whole.states.end())) return "state";
    for (std::size_t k = 0; k < first.checkpoints.size(); ++k) {
        const auto& a = whole.checkpoints[whole.checkpoints.size() - first.checkpoints.size() + k].shards;
        const auto& b = first.checkpoints[k].shards;
        if (a.size() != b.size()) return "shards";
        for (std::size_t s = 0; s < a.size(); ++s) {
            if (a[s].first != b[s].first || a[s].second.tensors.size() != b[s].second.tensors.size()) return "shard " + a[s].first;
            for (std::size_t t = 0; t < a[s].second.tensors.size(); ++t)
                if (a[s].second.tensors[t].name != b[s].second.tensors[t].name || a[s].second.tensors[t].bytes != b[s].second.tensors[t].bytes)
                    return "tensor " + a[s].second.tensors[t].name + " of " + a[s].first;
        }
    }
    return first.best_model == whole.best_model ? "" : "best model";
}

TEST(Ranks, AnyNumberGivesTheBitsOfOne) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    for (const RunSpec& spec : ranked_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        for (const int ranks : {1, 2, 3, 5, 6}) {
            if (ranks > spec.options.stages.back().layers) continue;
            EXPECT_EQ(difference_of_ranks(whole, finish_run_on_ranks(spec, ranks)), "") << spec.name << ", " << ranks << " ranks";
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
                EXPECT_EQ(difference_of_ranks(three.front(), finish_run_on_ranks(spec, ranks, &three.front().checkpoints[epoch])), "")
                    << spec.name << ", from epoch " << epoch + 1 << " on " << ranks << " ranks";
    }
}

TEST(Ranks, SendWhatTheFormulaSays) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    for (RunSpec spec : ranked_specs(seed)) {
        if (spec.options.schedule.watch == RhoSchedule::Watch::cost) continue;  // its forward passes travel too
        spec.options.eval_every = 0;
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
                                      messages = solver.ranks().gather({static_cast<double>(after.messages - before.messages)});
            EXPECT_EQ(sent[0] + sent[1] + sent[2] + sent[3], static_cast<double>(record.bytes)) << spec.name;
            const BorderQuantizers q = border_quantizers(spec.options, nullptr);
            const Index elements = spec.options.hidden * data.train();
            EXPECT_THAT(solver.border_bytes(), testing::Each(message_bytes(elements, q.p) + message_bytes(elements, q.q))) << spec.name;
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
    for (int bad = 0; bad < 3; ++bad)
        try {
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

}  // namespace
