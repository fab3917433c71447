// First state of a network, and of the next, deeper network of a greedy growth (design 2, "Growth").
#pragma once

#include <functional>

#include "host/admm.hpp"
#include "host/network.hpp"
#include "host/ranks/ranks.hpp"
#include "pdadmm/solver.hpp"

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

/// W and b of layer `layer`, drawn from the stream of (seed, stage, layer).
void draw_layer(Backend& backend, Mat W, Mat b, int layer, const SolverOptions& options, int stage_index);

/// Makes W and b of layer `to` of a network those of layer `from` of the one it grows from.
using CarryLayer = std::function<void(int from, int to)>;
/// Layers 2 to L of a network that grows from one of `old_last` layers: hidden ones are carried, new ones are the
/// identity, and the last one is what `stage` says. What is not carried is made here for the layers of `own`; carry()
/// is called on every rank.
void grow_layers(Backend& backend, int old_last, const Parameters& net, LayerRange own, const CarryLayer& carry,
                 const SolverOptions& options, const Stage& stage, int stage_index);

/// `count` draws of N(0, std^2), the same on every platform with the same libm: std::mt19937_64 and Box-Muller.
std::vector<real> normal_draws(std::uint64_t seed, std::uint64_t stream, Index count, double std);

}  // namespace pdadmm
