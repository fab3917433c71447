// Nodes of several owners: three of unequal size, each on a rank with its own nodes alone, give the bits of one rank
// that has all; what a rank sends over the node axis has a name each, and no more of it where there are more nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <numeric>

#include "host/transport/local.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

using Counts = std::vector<std::array<Index, 3>>;

AugmentedNodes owned_nodes(Index inputs, const Counts& owners, std::uint64_t seed) {
    std::array<Index, 3> all{};
    for (const auto& counts : owners)
        for (std::size_t set = 0; set < 3; ++set) all[set] += counts[set];
    AugmentedNodes nodes = made_up_nodes(inputs, 3, all, seed);
    nodes.owners = owners;
    return nodes;
}

/// Three owners, one of whom has no validation nodes; growth to five layers. The features outnumber nodes in one, the
/// neurons in another: there is no node space for owners.
std::vector<RunSpec> owner_specs(std::uint64_t seed) {
    const Counts owners{{97, 40, 11}, {60, 0, 20}, {53, 30, 0}};
    const auto spec = [&](const char* name, StepRule rule, auto&& change, Index inputs = 13) {
        RunSpec run{name, owned_nodes(inputs, owners, seed), {}};
        run.options.stages = {{2, 3, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                              {5, 5, 0.05, 0.02, 1e-3, ZInit::carry, LastInit::random}};
        run.options.step.rule = rule;
        run.options.hidden = 11;
        run.options.penalties = Penalties::relative;
        run.options.eval_every = 2;
        run.options.refresh_every = 3;
        run.options.seed = seed;
        change(run.options);
        return run;
    };
    const auto quantised = [](int bits) { return [bits](SolverOptions& o) { quantise(o, bits); }; };
    return {
        spec("exact, risk", StepRule::exact,
             [](SolverOptions& o) {
                 o.schedule = {RhoSchedule::Watch::risk, 100, 3, 1, 2};
                 o.stage_from = StageFrom::best;
             }),
        spec("exact, 4 bits", StepRule::exact, quantised(4)),
        spec(
            "exact, more inputs than nodes", StepRule::exact, [](SolverOptions&) {}, 230),
        spec("backtracking, cost, fixed levels", StepRule::backtracking,
             [](SolverOptions& o) {
                 o.schedule = {RhoSchedule::Watch::cost, 100, 2, 1, 2};
                 o.grow_state = GrowState::carry;
                 use_fixed_levels(o);
             }),
        spec("block, wide", StepRule::block, [](SolverOptions& o) { o.hidden = 110; }),
        spec("block, more inputs than nodes, 2 bits", StepRule::block, quantised(2), 230),
        spec("block, more neurons than nodes", StepRule::block, [](SolverOptions& o) { o.hidden = 250; }),
    };
}

using CheckpointOf = std::function<const CheckpointData*(int rank)>;

std::vector<Trace> finish_on(RunSpec spec, Grid grid, const CheckpointOf& checkpoint = nullptr) {
    spec.options.node_blocks = grid.nodes;
    std::vector<Trace> runs(static_cast<std::size_t>(grid.ranks()));
    run_local_ranks(grid.ranks(), [&](LocalRank& rank) {
        const auto backend = open_test_backend(1).backend;
        const int number = rank.control.rank();
        runs[static_cast<std::size_t>(number)] = finish_run_as_rank(
            spec, *backend, {&rank.transport, &rank.control, &rank.nodes}, checkpoint ? checkpoint(number) : nullptr);
    });
    return runs;
}

/// "" where the tensors of a checkpoint of some nodes are those of all, or their columns of these nodes.
std::string difference_of_columns(const CheckpointData& all, const CheckpointData& own, NodeRange nodes, Index N) {
    if (all.shards.size() != own.shards.size()) return "shards";
    for (std::size_t s = 0; s < all.shards.size(); ++s) {
        const auto &whole = all.shards[s].second.tensors, &part = own.shards[s].second.tensors;
        if (whole.size() != part.size()) return "tensors of " + all.shards[s].first;
        for (std::size_t t = 0; t < whole.size(); ++t) {
            auto bytes = whole[t].bytes;
            if (whole[t].shape.size() == 2 && whole[t].shape[0] == N && whole[t].name.find('W') == std::string::npos) {
                const std::size_t column = bytes.size() / static_cast<std::size_t>(N);
                bytes = {bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(nodes.first) * column),
                         bytes.begin() +
                             static_cast<std::ptrdiff_t>(static_cast<std::size_t>(nodes.first + nodes.count) * column)};
            }
            if (bytes != part[t].bytes) return whole[t].name + " of " + all.shards[s].first;
        }
    }
    return "";
}

/// "" where every rank saw the figures of the pooled run, and every owner has its columns of it and the same model.
std::string difference_of_owners(const RunSpec& spec, const Trace& whole, const std::vector<Trace>& ranks, Grid grid) {
    const Index N = spec.nodes.counts[0];
    Index first = 0;
    for (int block = 0; block < grid.nodes; ++block) {
        const Index count = owned_block(spec.nodes, block, grid.nodes).counts[0];
        const Trace& own = ranks[static_cast<std::size_t>(block)];
        const std::size_t before = whole.checkpoints.size() - own.checkpoints.size();
        for (std::size_t k = 0; k < own.checkpoints.size(); ++k)
            if (const std::string found =
                    difference_of_columns(whole.checkpoints[before + k], own.checkpoints[k], {first, count}, N);
                !found.empty())
                return found + " of owner " + std::to_string(block + 1);
        if (own.best_model != whole.best_model) return "best model";
        first += count;
    }
    for (const Trace& rank : ranks)
        if (rank.figures.empty() ||
            rank.figures != std::vector(whole.figures.end() - static_cast<std::ptrdiff_t>(rank.figures.size()),
                                        whole.figures.end()))
            return "figures";
    return "";
}

TEST(Owners, GiveTheBitsOfAllNodesOnOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(240);
    for (const RunSpec& spec : owner_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        EXPECT_FALSE(whole.node_space) << spec.name;
        EXPECT_GE(whole.best_epoch, 0);
        EXPECT_EQ(first_difference(whole, finish_run(spec, 3, 1)), "") << spec.name << ", other threads and stacks";
        for (const Grid grid : {Grid{1, 3}, {1, 2}, {2, 3}})
            EXPECT_EQ(difference_of_owners(spec, whole, finish_on(spec, grid), grid), "")
                << spec.name << ", " << to_string(grid);
        EXPECT_EQ(difference_of_ranks(whole, finish_on(spec, {2, 1})), "") << spec.name << ", pooled on two ranks";
    }
}

TEST(Owners, ResumeFromWhatEachOfThemKept) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    for (const RunSpec& spec : owner_specs(seed)) {
        const Trace whole = finish_run(spec, 1, 0);
        for (const Grid from : {Grid{1, 3}, {2, 3}}) {
            const std::vector<Trace> first = finish_on(spec, from);
            for (const Grid to : {Grid{1, 3}, {2, 3}})
                for (const std::size_t epoch : {std::size_t{1}, whole.checkpoints.size() / 2}) {
                    const auto kept = [&](int rank) {
                        return &first[static_cast<std::size_t>(to.node_block(rank))].checkpoints[epoch];
                    };
                    EXPECT_EQ(difference_of_owners(spec, whole, finish_on(spec, to, kept), to), "")
                        << spec.name << ", " << to_string(from) << " to " << to_string(to) << ", epoch " << epoch + 1;
                }
        }
    }
}

TEST(Owners, OtherSharesGiveOtherBits) {  // so the comparison sees whose a node is
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    for (RunSpec spec : owner_specs(seed)) {
        const Trace as_they_are = finish_run(spec, 1, 0);
        spec.nodes.owners = {{90, 40, 11}, {67, 0, 20}, {53, 30, 0}};
        EXPECT_NE(first_difference(as_they_are, finish_run(spec, 1, 0)), "") << spec.name;
        spec.nodes.owners.clear();
        EXPECT_NE(first_difference(as_they_are, finish_run(spec, 1, 0)), "") << spec.name;
    }
}

TEST(Owners, WeighDecayByTheFeaturesOfAll) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(60);
    RunSpec spec = owner_specs(seed)[0];
    AugmentedNodes plain = spec.nodes;
    plain.owners.clear();
    const NodeData data(*backend, plain);
    const double expected = Solver(*backend, data, spec.options).options().stages[0].weight_decay;
    spec.options.node_blocks = 3;
    run_local_ranks(3, [&](LocalRank& rank) {
        const auto own = open_test_backend(1).backend;
        const AugmentedNodes nodes = owned_block(spec.nodes, rank.control.rank(), 3);
        const NodeData block(*own, nodes, true, {rank.control.rank(), 3});
        const Solver solver(*own, block, spec.options, {&rank.transport, &rank.control, &rank.nodes});
        EXPECT_NEAR(solver.options().stages[0].weight_decay, expected, 1e-12 * expected);
    });
}

TEST(Owners, MoreBlocksThanOwnersAndOtherCountsAreRefused) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    AugmentedNodes nodes = owner_specs(seed)[0].nodes;
    EXPECT_THROW(NodeData(*backend, nodes, true, {0, 4}), UsageError);
    const AugmentedNodes first = owned_block(nodes, 0, 3);
    EXPECT_EQ(NodeData(*backend, first, true, {0, 3}).held(), (std::array<Index, 3>{97, 40, 11}));
    EXPECT_THROW(NodeData(*backend, first, true, {1, 3}), Error);  // these are another owner's nodes
}

/// Sizes of messages that were sent, in order.
class Counted final : public Transport {
public:
    explicit Counted(Transport& inner) : Transport(inner.rank(), inner.size()), inner_(inner) {}
    std::string name() const override { return inner_.name(); }
    std::vector<std::size_t> sent;

private:
    void start_messages(std::span<const Message> messages) override {
        for (const Message& m : messages)
            if (m.direction == Direction::send) sent.push_back(m.bytes);
        inner_.start(messages);
    }
    void finish_messages(std::span<const Message>) override { inner_.finish(); }
    void abandon_messages() noexcept override { inner_.abandon(); }
    Transport& inner_;
};

/// What each of three ranks sends over the node axis: in all, and in the last iteration alone.
struct Sent {
    std::vector<std::size_t> all, of_iteration;
};
std::vector<Sent> sent_by_owners(const RunSpec& spec) {
    RunSpec run = spec;
    run.options.node_blocks = 3;
    std::vector<Sent> sent(3);
    run_local_ranks(3, [&](LocalRank& rank) {
        const auto backend = open_test_backend(1).backend;
        Counted between(rank.transport), over_nodes(rank.nodes);
        std::size_t before = 0;
        finish_run_as_rank(run, *backend, {&between, &rank.control, &over_nodes}, nullptr, [&](Solver& solver) {
            const std::size_t now = over_nodes.sent.size();
            Sent& own = sent[static_cast<std::size_t>(solver.ranks().rank())];
            own.of_iteration.assign(over_nodes.sent.begin() + static_cast<std::ptrdiff_t>(before),
                                    over_nodes.sent.end());
            before = now;
        });
        EXPECT_THAT(between.sent, testing::IsEmpty()) << "an owner with all layers sends nothing to other layers";
        sent[static_cast<std::size_t>(rank.control.rank())].all = over_nodes.sent;
    });
    return sent;
}

/// One stage of four layers, without evaluations beside the iteration that is counted.
RunSpec counted_spec(StepRule rule, std::uint64_t seed, Index times) {
    RunSpec run{"counted", owned_nodes(13, {{97 * times, 0, 0}, {60 * times, 0, 0}, {53 * times, 0, 0}}, seed), {}};
    run.options.stages = {{4, 3, 0.02, 0.01, 1e-3, ZInit::forward, LastInit::carry}};
    run.options.hidden = 11;
    run.options.step.rule = rule;
    run.options.refresh_every = 0;
    run.options.seed = seed;
    return run;
}

/// Messages of an iteration to each of the two others, as host/OWNERS.md names them: how many, and their values. Layers
/// 2 and 3 are one stack, n0, n, C = 13, 11, 3.
struct Named {
    const char* name;
    std::size_t bytes;
};
std::vector<Named> named_messages(StepRule rule) {
    const std::size_t n0 = 13, n = 11, C = 3, one = sizeof(double), value = sizeof(float),
                      square = rule == StepRule::block ? 0 : 1;
    std::vector<Named> all{{"G of layer 1", n * n0 * value},
                           {"G of layers 2, 3", 2 * n * n * value},
                           {"G of layer 4", C * n * value},
                           {"sums of r and H, and of H^2 for a step size, layer 1", (2 * n + square) * one},
                           {"the same of layers 2, 3", 2 * (2 * n + square) * one},
                           {"the same of layer 4", (2 * C + square) * one},
                           {"figures of layer 1", 4 * one},
                           {"figures of layers 2, 3", 2 * 4 * one},
                           {"figures of layer 4", 2 * one}};
    const std::vector<Named> by_rule =
        rule == StepRule::block
            ? std::vector<Named>{{"sum of r, layer 1", n * one},
                                 {"sums of p, layers 2, 3", 2 * n * one},
                                 {"sum of p, layer 4", n * one},
                                 {"Grams of layers 2, 3", 2 * n * n * value},
                                 {"Gram of layer 4", n * n * value}}
            : std::vector<Named>{{"sums of g^2 and h^2, layers 2, 3", 2 * 2 * one}, {"of layer 4", 2 * one}};
    all.insert(all.end(), by_rule.begin(), by_rule.end());
    return all;
}

TEST(Owners, SendNamedSumsAloneAndNoMoreOfMoreNodes) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    if (sizeof(real) == 8) GTEST_SKIP() << "sizes are those of float";
    const Deadline deadline(60);
    for (const StepRule rule : {StepRule::exact, StepRule::block}) {
        const std::vector<Sent> few = sent_by_owners(counted_spec(rule, seed, 1)),
                                many = sent_by_owners(counted_spec(rule, seed, 3));
        for (std::size_t rank = 0; rank < 3; ++rank) {
            EXPECT_EQ(few[rank].all, many[rank].all) << "rank " << rank << ": what is sent grows with its nodes";
            EXPECT_EQ(few[rank].all, few[0].all) << "rank " << rank << ": or tells how many it has";
        }
        std::map<std::size_t, std::size_t> expected, found;
        for (const Named& message : named_messages(rule)) expected[message.bytes] += 2;
        for (const std::size_t bytes : few[0].of_iteration) ++found[bytes];
        EXPECT_EQ(found, expected);
    }
}

}  // namespace
