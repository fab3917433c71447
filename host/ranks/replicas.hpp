// What two ranks hold both must have the same bits: p, q and u of a border, which a message moves on and each end
// computes with (design 3), W and b of layers whose nodes are divided, and the penalties of all.
#pragma once

#include "host/network/network.hpp"
#include "host/ranks/ranks.hpp"

namespace pdadmm {

/// Compares digests of both ends of every border after iteration `iteration`, with no message under way. Collective.
/// Throws Error(internal) on all ranks, which names the lowest border that differs.
void check_replicas(Network& net, Ranks& ranks, Index iteration);

}  // namespace pdadmm
