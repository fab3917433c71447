// A network whose layers go from one placement to another in the middle of a stage.
#pragma once

#include "host/network/network.hpp"
#include "host/ranks/ranks.hpp"

namespace pdadmm {

/// Makes `to`, whose layers lie as `ranks` is placed, what `from` is, whose layers lie as `before` says: everything
/// that the next iteration reads, bit for bit. Collective; no message is under way.
void move_layers(Network& from, const Placement& before, Network& to, Ranks& ranks);

}  // namespace pdadmm
