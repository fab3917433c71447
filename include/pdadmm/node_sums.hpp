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
    /// Values of which every rank sends all it has to every other: one round in place of two.
    static constexpr Index few = 4096;
    /// `parts` holds `count` values for each of this rank's ranges, one range after the other, and is overwritten; its
    /// first `count` become their sums over the ranges of all ranks, along the tree of add_along_tree. They are there
    /// after end(), or after the next call that sends; until then they travel under other work, which leaves `parts`
    /// alone.
    virtual void begin(float* parts, Index count) = 0;
    virtual void begin(double* parts, Index count) = 0;
    /// Half way through that work: sums that travel twice set out again.
    virtual void advance() = 0;
    virtual void end() = 0;
    template <typename T>
    void complete(T* parts, Index count) {
        begin(parts, count);
        end();
    }
    /// `all` gets the columns of all ranks in their order, `bytes` bytes each; `own` are this rank's.
    virtual void gather(const std::byte* own, std::byte* all, std::size_t bytes) = 0;
};

}  // namespace pdadmm
