// Whole runs of the solver on made-up nodes, with everything they leave behind after each epoch, and runs resumed from
// one of those.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "host/admm/solver.hpp"
#include "host/run/trainer_state.hpp"

namespace pdadmm {

/// Features around a class' own direction; `counts` are those of train, val and test.
AugmentedNodes made_up_nodes(Index inputs, Index classes, std::array<Index, 3> counts, std::uint64_t seed);

/// Of nodes that have owners, those of one block of owners.
AugmentedNodes owned_block(const AugmentedNodes& all, int block, int blocks);

struct RunSpec {
    std::string name;
    AugmentedNodes nodes;
    SolverOptions options;
};

/// p and q as changes of so many bits, at the scale that --scale takes by itself.
void quantise(SolverOptions& options, int bits);
/// p, or p and q, on a hundred fixed levels.
void use_fixed_levels(SolverOptions& options, Quantize what = Quantize::pq);

/// Growth through three stages, schedules by risk and by cost, steps and closed forms, quantised p and q, direct and
/// node space, both decays, best models; one is larger than a block of the CPU backend.
std::vector<RunSpec> run_specs(std::uint64_t seed);

/// Closed forms on so many nodes that sums over them have 16 parts (pdadmm/node_ranges.hpp), otherwise small.
RunSpec spec_with_ranges(std::uint64_t seed);

/// Those of them that may have several ranks, and more codecs.
std::vector<RunSpec> ranked_specs(std::uint64_t seed);

/// What a run leaves behind.
struct Trace {
    std::vector<EpochRecord> epochs;
    std::vector<std::vector<unsigned char>> figures;  // bytes of each epoch's record
    std::vector<CheckpointData> checkpoints;         // after each call, which is an epoch but where several ran at once
    std::vector<std::vector<unsigned char>> states;  // bytes of Network::state and penalties, likewise
    Index best_epoch = -1;
    std::vector<unsigned char> best_model;
    bool node_space = false;
};
/// On the test's backend (tests/support/test_backend.hpp), which must be there.
Trace finish_run(const RunSpec& spec, int threads, int most_stacked, bool graphs = true, Index at_once = 1,
                 bool fused = false);
/// A new backend, copy of the nodes and solver that load `checkpoint` (after `epochs` epochs) and run on; the epochs
/// before are `whole`'s.
Trace resume_run(const RunSpec& spec, const CheckpointData& checkpoint, const Trace& whole, std::size_t epochs);

/// The same on ranks that are threads, from the start or from a checkpoint, by rank: states, checkpoints and models are
/// rank 0's. after_each() is called on every rank after each call of the solver.
std::vector<Trace> finish_run_on_ranks(const RunSpec& spec, int ranks, const CheckpointData* checkpoint = nullptr,
                                       const std::function<void(Solver&)>& after_each = nullptr);

/// One rank of a run, whatever joins them; where nodes have owners with those of its block alone.
Trace finish_run_as_rank(const RunSpec& spec, Backend& backend, RankLinks links,
                         const CheckpointData* checkpoint = nullptr,
                         const std::function<void(Solver&)>& after_each = nullptr);

/// "" where rank 0 left what `whole` did and the other ranks saw the same figures.
std::string difference_of_ranks(const Trace& whole, const std::vector<Trace>& ranks);

/// "" where all epochs have equal bits, else the first difference.
std::string first_difference(const Trace& a, const Trace& b);

}  // namespace pdadmm
