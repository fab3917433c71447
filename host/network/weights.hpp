// First weights of layers, and those of the layers by which a network grows (design 1).
#pragma once

#include <functional>
#include <vector>

#include "host/network/network.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// W and b of layer `layer`, drawn from the stream of (seed, stage, layer).
void draw_layer(Memory& memory, Mat W, Mat b, int layer, const SolverOptions& options, int stage_index);

/// Makes W and b of layer `to` of a network those of layer `from` of the one it grows from.
using CarryLayer = std::function<void(int from, int to)>;
/// Layers 2 to L of a network that grows from one of `old_last` layers: hidden ones are carried, new ones are the
/// identity, and the last one is what `stage` says. What is not carried is made here for the layers of `own`; carry()
/// is called on every rank.
void grow_layers(Memory& memory, int old_last, const Parameters& net, LayerRange own, const CarryLayer& carry,
                 const SolverOptions& options, const Stage& stage, int stage_index);

/// `count` draws of N(0, std^2), the same on every platform with the same libm: std::mt19937_64 and Box-Muller.
std::vector<real> normal_draws(std::uint64_t seed, std::uint64_t stream, Index count, double std);

}  // namespace pdadmm
