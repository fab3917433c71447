// Who does what in an epoch on several ranks, and what it takes, by count.
#pragma once

#include "host/backpropagation/gradient_network.hpp"
#include "host/ranks/placement.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// Where layers lie: blocks whose costliest one is cheapest. Workers hold all of them, and rank 0 speaks for them.
Placement gradient_placement(const SolverOptions& options, const NetworkShape& shape, int ranks);
GradientPart gradient_part(const SolverOptions& options, const NetworkShape& shape, int rank, int ranks);
/// Of the messages of an epoch after which `done` ones of the stage are done, all ranks together; on one rank, of a
/// split after every layer.
std::uint64_t gradient_bytes(const SolverOptions& options, const NetworkShape& shape, int ranks, Index done);
/// Backend memory that an epoch on several ranks takes beside the network's, on rank `rank`.
std::size_t gradient_epoch_bytes(const SolverOptions& options, const NetworkShape& shape, int rank, int ranks);

}  // namespace pdadmm
