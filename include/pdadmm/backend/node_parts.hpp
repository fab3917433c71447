// Sums over training nodes as parts in backend memory, one for each of some ranges (node_sums.hpp): what ranks that
// hold different ranges do with them between messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// Part `to` takes part `from` on.
struct PartSum {
    std::int16_t to, from;
};

class NodeParts {
public:
    /// Sums of one call: of a tree over as many ranges as there can be.
    static constexpr std::size_t most_sums = 64;

    virtual ~NodeParts() = default;

    /// parts[to] += parts[from], one after the other; a part is `count` values, the next one follows it.
    virtual void add_parts(std::span<const PartSum> sums, Index count, float* parts) = 0;
    virtual void add_parts(std::span<const PartSum> sums, Index count, double* parts) = 0;
    /// `bytes` bytes, from backend memory to backend memory that does not overlap it.
    virtual void copy_bytes(const void* from, void* to, std::size_t bytes) = 0;
};

}  // namespace pdadmm
