// Where a graph too large for memory comes from: labels and splits are held, edges and features come in chunks, anew
// whenever they are asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "host/data/dataset_reader.hpp"
#include "host/data/sbm.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// A stored edge; ids are in range, weights finite and above 0.
struct StoredEdge {
    std::int32_t from = 0, to = 0;
    float weight = 1;
};

using TakeEdges = std::function<void(std::span<const StoredEdge>)>;
using TakeRows = std::function<void(Index first, std::span<const float> rows)>;

class GraphSource {
public:
    virtual ~GraphSource() = default;

    /// Name, nodes, classes, labels, stored split and the number of features. Its arrays of edges and features may be
    /// empty.
    virtual const Dataset& description() const = 0;
    /// Whether an edge may have another weight than 1.
    virtual bool weighted() const = 0;
    /// Whether every edge is stored in both directions, alike.
    virtual bool symmetric() const = 0;
    /// How many edges there are, at most.
    virtual std::uint64_t stored_edges() const = 0;
    /// Every stored edge, in chunks, each time in the same order. Throws DataError.
    virtual void edges(const TakeEdges& take) const = 0;
    /// Features of all nodes in order, row-major, in chunks. Throws DataError.
    virtual void features(const TakeRows& take) const = 0;
    /// Differs where the content may differ: what an interrupted command is compared by.
    virtual std::string identity() const = 0;
};

/// A graph that is in memory already.
std::unique_ptr<GraphSource> source_of(Dataset dataset);
/// A made-up graph.
std::unique_ptr<GraphSource> source_of(const SbmSpec& spec);

}  // namespace pdadmm
