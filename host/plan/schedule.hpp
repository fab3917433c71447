// The clock of ranks side by side: what of messages and sums hides under work (RANKS.md, "Plans of grids").
#pragma once

#include <span>

namespace pdadmm {

/// Seconds of a rank's iteration between its messages (host/admm/ranked_iteration.hpp): `begin` needs none, `update_p`
/// needs q of the left neighbour and ends with p sent to it, `under_p` needs none, `close` needs p of the right
/// neighbour and ends with q sent to it.
struct RankStages {
    double begin = 0, update_p = 0, under_p = 0, close = 0;
    double sum() const { return begin + update_p + under_p + close; }
};

/// Seconds that p and q take over the border behind a rank; every border has a link of its own.
struct BorderSeconds {
    double p = 0, q = 0;
};

/// Seconds an iteration of all ranks, once the first iterations are over. One border less than ranks.
double iteration_seconds(std::span<const RankStages> ranks, std::span<const BorderSeconds> borders);

/// Work on some layers of a rank before and after sums over its nodes' ranks, and the seconds that these take.
struct SummedWork {
    double before = 0, sums = 0, after = 0;
};

/// Seconds of all parts, where the sums of one travel under the work of the others. The link is taken until
/// `link_free`.
double summed_seconds(std::span<const SummedWork> parts, double link_free);

/// Seconds of an epoch of backpropagation with blocks of layers on ranks and nodes in micro-batches (GPipe): all
/// forward, then all back. `work[k]` is rank k's in an epoch, a third of it forward; `message[k]` that of a micro-batch
/// over the border behind it.
double pipeline_seconds(std::span<const double> work, std::span<const double> message, int micro_batches);

}  // namespace pdadmm
