// Placement of layers: units, one result for any placement and for layers that move in the middle of a stage,
// calibration by planted costs, comparison of replicas by planted faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <random>
#include <thread>

#include "host/ranks/move_layers.hpp"
#include "host/transport/local.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/forwarding_backend.hpp"
#include "tests/support/random_run.hpp"
#include "tests/support/test_backend.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;

namespace {

std::vector<int> counts_of(const Placement& placement) {
    std::vector<int> counts;
    for (int rank = 0; rank < placement.ranks(); ++rank) counts.push_back(placement.of(rank).count());
    return counts;
}

void expect_contiguous(const Placement& placement, int layers) {
    int next = 1;
    for (int rank = 0; rank < std::min(placement.ranks(), layers); ++rank) {
        EXPECT_EQ(placement.of(rank).first, next);
        EXPECT_GE(placement.of(rank).count(), 1);
        next = placement.of(rank).last + 1;
    }
    EXPECT_EQ(next, layers + 1);
    EXPECT_EQ(placement.active(), std::min(placement.ranks(), layers));
}

/// The cheapest costliest block of all splits, by trying them.
double cheapest(std::span<const double> costs, int ranks) {
    if (ranks == 1) return std::accumulate(costs.begin(), costs.end(), 0.0);
    double best = std::numeric_limits<double>::infinity(), block = 0;
    for (std::size_t cut = 1; cut + static_cast<std::size_t>(ranks) <= costs.size() + 1; ++cut) {
        block += costs[cut - 1];
        best = std::min(best, std::max(block, cheapest(costs.subspan(cut), ranks - 1)));
    }
    return best;
}

TEST(Placement, CoversEveryLayerOnce) {
    for (int layers = 2; layers <= 12; ++layers)
        for (int ranks = 1; ranks <= 12; ++ranks) {
            expect_contiguous(Placement::balanced(CostModel().of({layers, 300, 40, 5, 70}), ranks), layers);
            expect_contiguous(Placement::uniform(layers, ranks), layers);
            std::vector<int> listed(static_cast<std::size_t>(ranks), 1);
            for (const int more : {0, 3, 9}) {
                listed[static_cast<std::size_t>(more % ranks)] += more;
                expect_contiguous(Placement::listed(layers, listed), layers);
            }
        }
}

TEST(Placement, UniformAndListed) {
    using testing::ElementsAre;
    EXPECT_THAT(counts_of(Placement::uniform(10, 4)), ElementsAre(3, 3, 2, 2));
    EXPECT_THAT(counts_of(Placement::uniform(2, 4)), ElementsAre(1, 1, 0, 0));
    const std::vector<int> listed{4, 3, 3};
    EXPECT_THAT(counts_of(Placement::listed(10, listed)), ElementsAre(4, 3, 3));
    EXPECT_THAT(counts_of(Placement::listed(5, listed)), ElementsAre(2, 2, 1));
    EXPECT_THAT(counts_of(Placement::listed(3, listed)), ElementsAre(1, 1, 1));
    EXPECT_THAT(counts_of(Placement::listed(2, listed)), ElementsAre(1, 1, 0));
    EXPECT_THAT(counts_of(Placement::listed(4, std::vector{1, 1, 98})), ElementsAre(1, 1, 2));
}

TEST(Placement, CostliestBlockIsCheapest) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (int round = 0; round < 300; ++round) {
        const int layers = 2 + static_cast<int>(random() % 9),
                  ranks = 1 + static_cast<int>(random() % static_cast<std::uint64_t>(layers));
        std::vector<double> costs;
        for (int l = 0; l < layers; ++l) costs.push_back(static_cast<double>(1 + random() % 20));
        const Placement placement = Placement::balanced(costs, ranks);
        expect_contiguous(placement, layers);
        EXPECT_EQ(costliest_block(placement, costs), cheapest(costs, ranks));
    }
}

TEST(Placement, CostsFollowMeasurements) {
    const NetworkShape shape{6, 300, 40, 5, 70};
    ByKind work{};
    for (int layer = 1; layer <= shape.layers; ++layer)
        work[static_cast<std::size_t>(kind_of(shape, layer))] += counted_work(shape, layer);
    CostModel model;
    model.fit(work, {1, 8, 3});
    const std::vector<double> seconds{1, 2, 2, 2, 2, 3};
    for (std::size_t l = 0; l < seconds.size(); ++l) EXPECT_NEAR(model.of(shape)[l], seconds[l], 1e-9);
    EXPECT_THAT(counts_of(place_layers({}, shape, 3, model)), testing::ElementsAre(2, 2, 2));

    CostModel partly;
    partly.fit(work, {1, 0, 3});  // hidden layers were not measured: as fast as the others
    EXPECT_NEAR(partly.of(shape)[1], 4 * counted_work(shape, 2) / (work[0] + work[2]), 1e-9);
    CostModel none;
    none.fit({}, {});
    EXPECT_EQ(none.of(shape), CostModel().of(shape));
}

TEST(Placement, Table) {
    const std::vector<double> costs{1, 2, 5};
    const std::vector<std::size_t> memory{3 << 20, 1 << 19, 0};
    EXPECT_EQ(placement_table(Placement::uniform(3, 2), costs, memory),
              "rank  layers   share of cost  memory\n"
              "   0  1-2             37.5 %  3.0 MiB\n"
              "   1  3               62.5 %  0.5 MiB");
}

TEST(Placement, RefusesListsThatDoNotFit) {
    SolverOptions options;
    for (const auto& [layers, ranks] :
         {std::pair(std::vector{5, 5}, 3), std::pair(std::vector{5, 4}, 2), std::pair(std::vector{10}, 2)}) {
        options.placement = {PlacementRule::Kind::listed, layers};
        EXPECT_THROW(require_ranks(options, ranks), UsageError);
    }
    options.placement = {PlacementRule::Kind::listed, {7, 3}};
    EXPECT_NO_THROW(require_ranks(options, 2));
}

/// "" where all ranks saw `whole`'s figures and rank 0 its states and best model.
std::string difference(const Trace& whole, const std::vector<Trace>& ranks) {
    for (const Trace& rank : ranks)
        if (rank.figures.empty() || rank.figures != whole.figures) return "figures";
    if (ranks.front().states != whole.states) return "states";
    return ranks.front().best_model == whole.best_model ? "" : "best model";
}

TEST(Placement, AnyGivesTheBitsOfOneRank) {
    PDADMM_SEEDED();
    PDADMM_TEST_BACKEND(backend, 1);
    const Deadline deadline(120);
    std::mt19937_64 random(seed);
    for (RunSpec& spec : run_specs(seed)) {
        if (spec.options.rebuild_q) continue;
        const Trace whole = finish_run(spec, 1, 0);
        spec.options.check_replicas = 1;
        const int layers = spec.options.stages.back().layers;
        for (const PlacementRule& rule : {PlacementRule{PlacementRule::Kind::uniform, {}},
                                          PlacementRule{PlacementRule::Kind::listed, {1, layers - 2, 1}}}) {
            spec.options.placement = rule;
            EXPECT_EQ(difference(whole, finish_run_on_ranks(spec, 3)), "") << spec.name;
        }
        spec.options.placement = {};
        for (const int ranks : {2, 4}) {  // and with layers that go elsewhere after every epoch
            std::vector<std::vector<int>> shares(whole.epochs.size(),
                                                 std::vector<int>(static_cast<std::size_t>(ranks)));
            for (std::vector<int>& share : shares)
                for (int& each : share) each = 1 + static_cast<int>(random() % 5);
            const auto move = [&](Solver& solver) {
                solver.place(Placement::listed(solver.shape().layers,
                                               shares[static_cast<std::size_t>(solver.progress().epoch - 1)]));
            };
            EXPECT_EQ(difference(whole, finish_run_on_ranks(spec, ranks, nullptr, move)), "")
                << spec.name << ", " << ranks << " ranks";
        }
    }
}

/// A layer takes a millisecond, the first or the last one six.
class SlowLayer final : public ForwardingBackend {
public:
    SlowLayer(Backend& inner, LayerKind slow) : ForwardingBackend(inner), slow_(slow) {}
    void node_space_step(CMat r, Mat T, CMat V, const Controls* k, StepSpec spec, real* inverse, NodeSpaceScalars* s,
                         LayerFigures* figures) override {
        if (slow_ == LayerKind::first) wait(5);
        ForwardingBackend::node_space_step(r, T, V, k, spec, inverse, s, figures);
    }
    void activation_step(const Activation& a, const Controls* k, const Quantizer& quantizer, LayerFigures* figures,
                         MessageHeader* headers) override {
        wait(a.z.batch);
        ForwardingBackend::activation_step(a, k, quantizer, figures, headers);
    }
    void last_step(const real* inverse, CMat h, CMat d, Labels labels, const Controls* k, Mat r, Mat z,
                   LayerFigures* figures) override {
        wait(slow_ == LayerKind::last ? 6 : 1);
        ForwardingBackend::last_step(inverse, h, d, labels, k, r, z, figures);
    }

private:
    static void wait(Index milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }
    LayerKind slow_;
};

TEST(Placement, CalibrationMovesLayersAwayFromASlowOne) {
    PDADMM_SEEDED();
    const Deadline deadline(60);
    RunSpec spec = run_specs(seed).front();
    spec.options.schedule = {};
    spec.options.stages = {spec.options.stages.back()};
    spec.options.stages[0].epochs = 16;
    const Trace whole = finish_run(spec, 1, 0);
    const auto moved_from = [&](LayerKind slow) {
        std::vector<std::vector<int>> placements;
        std::vector<double> objectives;
        run_local_ranks(2, [&](LocalRank& rank) {
            const auto cpu = make_backend("cpu", {1, 0});
            SlowLayer backend(*cpu, slow);
            const bool leads = rank.control.rank() == 0;
            const NodeData data(backend, spec.nodes, leads);
            Solver solver(backend, data, spec.options, {&rank.transport, &rank.control});
            while (!solver.finished()) {
                const EpochRecord record = solver.step();
                if (!leads) continue;
                placements.push_back(counts_of(solver.ranks().placement()));
                objectives.push_back(record.objective);
            }
        });
        EXPECT_EQ(placements.front(),
                  counts_of(Placement::balanced(
                      CostModel().of({6, spec.nodes.inputs, spec.options.hidden, 3, spec.nodes.counts[0]}), 2)));
        EXPECT_EQ(objectives.size(), whole.epochs.size());
        for (std::size_t k = 0; k < std::min(objectives.size(), whole.epochs.size()); ++k)
            EXPECT_EQ(objectives[k], whole.epochs[k].objective) << "epoch " << k + 1;
        return placements.back();
    };
    for (const LayerKind slow : {LayerKind::first, LayerKind::last}) {
        const std::vector<int> wanted = slow == LayerKind::first ? std::vector{1, 5} : std::vector{5, 1};
        std::vector<int> last;
        for (int attempt = 0; attempt < 5 && last != wanted;
             ++attempt)  // times of a busy machine may hide a slow layer
            last = moved_from(slow);
        EXPECT_EQ(last, wanted);
    }
}

TEST(Replicas, APlantedFaultIsNamed) {
    PDADMM_SEEDED();
    const Deadline deadline(60);
    RunSpec spec = run_specs(seed)[2];
    ASSERT_EQ(spec.options.quantize, Quantize::pq);
    spec.options.stages = {spec.options.stages.back()};
    spec.options.placement = {PlacementRule::Kind::listed, {2, 3, 1}};
    spec.options.check_replicas = 2;
    const auto corrupt = [](Backend& be, Mat halo) {
        real value = 0;
        be.download(halo.data, &value, sizeof value);
        value += 1;
        be.upload(&value, halo.data, sizeof value);
    };
    struct Fault {
        int rank;
        const char* tensor;
        std::function<Mat(Network&)> halo;
        const char* border;
    };
    const std::vector<Fault> faults{{1, "p", [](Network& net) { return net.p(net.layers().last + 1); },
                                     "border between rank 1 (up to layer 5) and rank 2 (from layer 6)"},
                                    {1, "q", [](Network& net) { return net.q(net.layers().first - 1); },
                                     "border between rank 0 (up to layer 2) and rank 1 (from layer 3)"},
                                    {2, "u", [](Network& net) { return net.u(net.layers().first - 1); },
                                     "border between rank 1 (up to layer 5) and rank 2 (from layer 6)"}};
    for (const Fault& fault : faults) try {
            run_local_ranks(3, [&](LocalRank& rank) {
                const auto backend = make_backend("cpu", {1, 0});
                const NodeData data(*backend, spec.nodes, rank.control.rank() == 0);
                Solver solver(*backend, data, spec.options, {&rank.transport, &rank.control});
                while (!solver.finished()) {
                    solver.step();
                    if (solver.progress().epoch == 2 && rank.control.rank() == fault.rank)
                        corrupt(*backend, fault.halo(solver.network()));
                }
            });
            ADD_FAILURE() << fault.tensor << " was wrong, and nobody noticed";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::internal);
            EXPECT_THAT(error.what(), testing::StartsWith(std::string(fault.border) + ": " + fault.tensor +
                                                          " differs after iteration 4"));
        }
}

}  // namespace
