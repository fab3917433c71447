// What a trial costs, and what it may.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace pdadmm {

/// Of one training: seconds without evaluation, bytes that an iteration sends over a border of layers, bytes of memory,
/// weights and biases, flops of all its epochs by count. In this order.
inline constexpr std::array cost_names{"seconds", "bytes", "memory", "parameters", "flops"};
using Costs = std::array<double, cost_names.size()>;  // NaN: not known
/// The most of each; infinity: any.
using Limits = std::array<double, cost_names.size()>;

/// By how much of its limit the worst cost is above it; at most 0 where all are within. A cost that is not known breaks
/// no limit, and one that is infinite (what cannot be trained at all) every one.
double excess(const Costs& costs, const Limits& limits);

/// The worst of costs that excess() is above 0 of, beside its limit.
std::string excess_text(const Costs& costs, const Limits& limits);

}  // namespace pdadmm
