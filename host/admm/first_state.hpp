// First state of a network, and of the next, deeper network of a greedy growth (design 2, "Growth").
#pragma once

#include "host/admm/admm.hpp"
#include "host/network/network.hpp"
#include "host/ranks/ranks.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

// Both are collective: each rank fills its layers of `net`, as `ranks` is placed, and its halos.

/// Draws W and b for every layer by (seed, layer), runs a forward pass into z, q and p, and sets u = 0 and z_L.
void start(Network& net, const NodeData& data, const SolverOptions& options, const Stage& stage, const Rules& rules,
           Ranks& ranks);

/// Fills `net` from the trained `old`, which has fewer layers: its hidden layers are kept, new ones are the identity,
/// and the last one is what `stage` says. p, z and q of the kept layers follow `options.grow_state`, the rest as in
/// start(). `stage_index` separates the random numbers of stages. Layers move from where `before` says `old` has them.
void grow(Network& net, Network& old, const NodeData& data, const SolverOptions& options, const Stage& stage,
          const Rules& rules, int stage_index, Ranks& ranks, const Placement& before);

}  // namespace pdadmm
