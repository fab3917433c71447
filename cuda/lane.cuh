// A lane: one stream with scratch of its own, so that lanes may run side by side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/check.cuh"
#include "pdadmm/backend.hpp"

namespace pdadmm::cuda {

constexpr Index blas_workspace_bytes = Index{32} << 20;  // what cuBLASLt recommends on compute capability 9

/// Scratch that is not planned for is at most as large, unless one layer alone needs more (a quarter of the memory that
/// plans leave: CudaBackend::free_memory).
constexpr Index most_unplanned_bytes = Index{128} << 20;

/// Where `layers` with scratch of `each` elements are too many for that: body(first, count) for some at a time, and
/// true. No operation looks beyond its layer, so they have the same bits.
template <typename T, typename Body>
bool in_slices(Index layers, Index each, Body&& body) {
    const Index most = std::max<Index>(1, most_unplanned_bytes / (each * static_cast<Index>(sizeof(T))));
    if (layers <= most) return false;
    for (Index first = 0; first < layers; first += most) body(first, std::min(most, layers - first));
    return true;
}

/// Scratch that grows to the largest need, in the first, unrecorded run of each phase. Earlier pieces stay, because
/// recorded phases point to them.
template <typename T>
class Scratch {
public:
    explicit Scratch(Backend& backend) : backend_(&backend) {}
    /// At least `count` elements. New memory is zero.
    T* at_least(Index count) {
        if (pieces_.empty() || pieces_.back().count() < count) pieces_.emplace_back(*backend_, count);
        return pieces_.back().data();
    }

private:
    Backend* backend_;
    std::vector<Buffer<T>> pieces_;
};

struct Lane {
    explicit Lane(Backend& backend)
        : partials(backend),
          kept(backend),
          arrivals(backend),
          blas_workspace(backend),
          narrow_A(backend),
          narrow_B(backend),
          parts(backend),
          means(backend),
          factors(backend),
          addresses(backend),
          info(backend),
          outdated(backend) {}
    Stream stream;
    Stream loop;  // captures the bodies of loops
    Event done;
    Scratch<double> partials;    // sums of blocks
    Scratch<double> kept;        // a sum a layer, for the next pass
    Scratch<unsigned> arrivals;  // blocks that have left theirs; 0 between launches
    Scratch<std::byte> blas_workspace;
    Scratch<std::uint16_t> narrow_A, narrow_B;  // operands in bf16
    Scratch<real> parts;                        // products of ranges of nodes
    Scratch<real> means;                        // of rows
    Scratch<double> factors;                    // matrices that are inverted
    Scratch<double*> addresses;                 // of those, and of their inverses
    Scratch<int> info;                          // 0 where a factorisation went well
    Scratch<std::int32_t> outdated;             // 1 where an inverse that is kept must be formed anew
};

}  // namespace pdadmm::cuda
