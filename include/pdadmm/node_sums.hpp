// Training nodes of which several ranks hold some (design 3, "Second axis"): how a backend makes its own part of a sum
// over nodes the sum of all ranks, and finds the columns that others hold.
#pragma once

#include <cstddef>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// Everything here is collective over the ranks that hold the same layers, and all of it lies in backend memory. Work
/// that the backend begins after a call sees what it left.
class NodeSums {
public:
    virtual ~NodeSums() = default;

    /// Training nodes of all ranks.
    virtual Index nodes() const = 0;
    /// `parts` holds `count` values for each of this rank's ranges, one range after the other, and is overwritten; its
    /// first `count` become their sums over the ranges of all ranks, along the tree of add_along_tree.
    virtual void complete(float* parts, Index count) = 0;
    virtual void complete(double* parts, Index count) = 0;
    /// `all` gets the columns of all ranks in their order, `bytes` bytes each; `own` are this rank's.
    virtual void gather(const std::byte* own, std::byte* all, std::size_t bytes) = 0;
};

}  // namespace pdadmm
