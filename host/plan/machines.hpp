// What a plan counts with: devices of equal rates, machines of equal numbers of them, and the network on its two
// levels (RANKS.md, "Plans of grids").
#pragma once

#include "host/network/layer_kind.hpp"

namespace pdadmm {

/// What one device does in a second: flops of products, bytes of passes over its memory.
struct DeviceRates {
    double flops_per_s = 0, bytes_per_s = 0;
    double seconds(const Work& work) const { return work.flops / flops_per_s + work.bytes / bytes_per_s; }
};

/// A message takes latency + bytes / bandwidth.
struct LinkRate {
    double latency_s = 0, bytes_per_s = 0;
    double seconds(double bytes) const { return latency_s + bytes / bytes_per_s; }
};

/// Ranks lie on machines in their order, one on each device.
struct Machines {
    int devices = 8;   // in a machine
    LinkRate inside;   // a device's own, in each direction
    LinkRate between;  // a machine's, in each direction, for all of its devices together
    int of(int rank) const { return rank / devices; }
};

}  // namespace pdadmm
