// A lane: one stream with scratch of its own, so that lanes may run side by side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
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

/// What a phase is while it is recorded. Messages are no work of a stream: they part it into several graphs.
class Recording {
public:
    virtual ~Recording() = default;
    /// messages() is called in every run, behind what was recorded before and before what is recorded next.
    virtual void part(std::function<void()> messages) = 0;
};

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
          of_ranges(backend),
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
    SolverHandle solver;             // Cholesky factors, made when first asked for: what a handle keeps is one stream's
    TriangularHandle triangular;     // and solves with them
    NodeSums* others = nullptr;      // where other ranks hold some of the training nodes
    Recording* recording = nullptr;  // of a phase that begins here, while it is recorded
    Scratch<double> partials;        // sums of blocks
    Scratch<double> of_ranges;       // sums of ranges of nodes
    Scratch<double> kept;            // a sum a layer, for the next pass
    Scratch<unsigned> arrivals;      // blocks that have left theirs; 0 between launches
    Scratch<std::byte> blas_workspace;
    Scratch<std::uint16_t> narrow_A, narrow_B;  // operands in bf16
    Scratch<real> parts;                        // products of ranges of nodes
    Scratch<real> means;                        // of rows
    Scratch<double> factors;                    // matrices that are inverted
    Scratch<double*> addresses;                 // of those, and of their inverses
    Scratch<int> info;                          // 0 where a factorisation went well
    Scratch<std::int32_t> outdated;             // 1 where an inverse that is kept must be formed anew
};

/// messages() now, and where the lane is recorded in every run.
template <typename Messages>
void send(Lane& lane, Messages&& messages) {
    if (lane.recording)
        lane.recording->part(std::forward<Messages>(messages));
    else
        messages();
}

/// `parts` holds `count` sums for each of this rank's ranges; the first `count` become those of all ranks.
template <typename T>
void complete(Lane& lane, T* parts, Index count) {
    send(lane, [others = lane.others, parts, count] { others->complete(parts, count); });
}

}  // namespace pdadmm::cuda
