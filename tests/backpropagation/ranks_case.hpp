// Backpropagation on ranks that are threads, from the start or a checkpoint to the end, and what of it to compare.
#pragma once

#include <gtest/gtest.h>

#include "host/run/trainers.hpp"
#include "host/transport/local.hpp"
#include "tests/backpropagation/backpropagation_case.hpp"

namespace pdadmm {

struct Finished {
    std::vector<EpochRecord> epochs;  // of every rank, one after the other
    std::vector<CheckpointData> checkpoints;
    std::vector<std::vector<unsigned char>> held;  // bytes of all parameters, by rank, where each one has them
    Index best_epoch = -1;
};

/// `work(rank, trainer)` on so many ranks, each with a backend and a trainer of its own.
template <typename Work>
void on_ranks(const SolverOptions& options, const AugmentedNodes& nodes, int ranks, Work&& work) {
    run_local_ranks(ranks, [&](LocalRank& rank) {
        const auto backend = open_test_backend(1).backend;
        const NodeData data = rank_data(*backend, nodes, options, rank.control.rank(), ranks);
        Backpropagation trainer(*backend, data, options, {&rank.transport, &rank.control, &rank.nodes});
        work(rank, trainer);
    });
}

/// From the start or from a checkpoint to the end; without links where `ranks` is 0.
inline Finished run_on(const SolverOptions& options, const AugmentedNodes& nodes, int ranks,
                       const CheckpointData* from = nullptr) {
    std::vector<Finished> runs(static_cast<std::size_t>(std::max(1, ranks)));
    const auto one = [&](int rank, RankLinks links) {
        Finished& run = runs[static_cast<std::size_t>(rank)];
        const auto backend = open_test_backend(1).backend;
        const NodeData data = rank_data(*backend, nodes, options, rank, std::max(1, ranks));
        Backpropagation trainer(*backend, data, options, links);
        if (from) load_state(trainer, *from);
        while (!trainer.finished()) {
            run.epochs.push_back(trainer.step());
            run.checkpoints.push_back(save_state(trainer));
        }
        if (trainer.layers().count() == trainer.shape().layers) run.held.push_back(bytes_of(trainer));
        run.best_epoch = trainer.best()->epoch;
    };
    if (ranks == 0) {
        one(0, {});
        return runs[0];
    }
    run_local_ranks(ranks, [&](LocalRank& rank) {
        one(rank.control.rank(), {&rank.transport, &rank.control, &rank.nodes});
    });
    for (int rank = 1; rank < ranks; ++rank) {
        Finished& other = runs[static_cast<std::size_t>(rank)];
        runs[0].epochs.insert(runs[0].epochs.end(), other.epochs.begin(), other.epochs.end());
        runs[0].held.insert(runs[0].held.end(), other.held.begin(), other.held.end());
        EXPECT_EQ(other.best_epoch, runs[0].best_epoch) << "rank " << rank;
    }
    return runs[0];
}

/// The figures that do not measure time or traffic.
inline std::vector<double> figures_of(const EpochRecord& r) {
    std::vector<double> all{
        static_cast<double>(r.epoch), static_cast<double>(r.stage), static_cast<double>(r.layers), r.objective, r.risk,
        r.evaluated ? 1.0 : 0.0};
    if (r.evaluated)
        for (std::size_t set = 0; set < 3; ++set)
            all.insert(all.end(), {r.evaluation.accuracy[set], r.evaluation.cost[set]});
    return all;
}

/// "" where every rank of `other` saw the last epochs of `whole` and rank 0 left its last state, bit for bit.
inline std::string difference(const Finished& whole, const Finished& other, int ranks) {
    const std::size_t epochs = other.checkpoints.size();
    if (epochs == 0 || other.epochs.size() != epochs * static_cast<std::size_t>(std::max(1, ranks))) return "epochs";
    for (std::size_t i = 0; i < other.epochs.size(); ++i)
        if (figures_of(other.epochs[i]) != figures_of(whole.epochs[whole.checkpoints.size() - epochs + i % epochs]))
            return "figures of call " + std::to_string(i);
    const auto &a = whole.checkpoints.back().shards, &b = other.checkpoints.back().shards;
    if (a.size() != b.size()) return "shards";
    for (std::size_t s = 0; s < a.size(); ++s) {
        if (a[s].second.tensors.size() != b[s].second.tensors.size()) return "shard " + a[s].first;
        for (std::size_t t = 0; t < a[s].second.tensors.size(); ++t)
            if (a[s].second.tensors[t].bytes != b[s].second.tensors[t].bytes)
                return a[s].second.tensors[t].name + " of " + a[s].first;
    }
    return whole.best_epoch == other.best_epoch ? "" : "best epoch";
}

/// W and b of every layer after the last epoch.
inline std::vector<double> weights_of(const Finished& run) {
    std::vector<double> all;
    for (const auto& [name, shard] : run.checkpoints.back().shards)
        if (name.starts_with("layer"))
            for (const char* tensor : {"W", "b"}) {
                const std::vector<double> values = shard.at(tensor).as_double();
                all.insert(all.end(), values.begin(), values.end());
            }
    return all;
}

inline SolverOptions growing(Optimizer optimizer, double dropout, std::uint64_t seed) {
    const double rate = optimizer == Optimizer::adadelta ? 1 : 0.02;
    return options_of(
        optimizer, {stage_of(2, 3, rate, 0.01), stage_of(4, 4, rate, 0), stage_of(6, 5, rate, 0.02, LastInit::random)},
        dropout, seed);
}
inline SolverOptions workers(SolverOptions options, Parallel parallel) {
    options.parallel = parallel;
    return options;
}
/// Blocks of nodes, of which there are `node_ranges` ranges.
inline SolverOptions on_grid(SolverOptions options, int node_blocks, Index node_ranges, int micro_batches = 1) {
    options.node_blocks = node_blocks;
    options.node_ranges = node_ranges;
    options.micro_batches = micro_batches;
    return options;
}

}  // namespace pdadmm
