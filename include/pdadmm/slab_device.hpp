// A device that multiplies slabs of features by a graph which may be larger than its memory (host/large/): it holds X
// and Y of a slab, and rows of the graph come in blocks through page-locked memory, two of them by turns, so that one
// is copied under the product of the other. Implemented in cuda/slab_device.cu.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "pdadmm/graph.hpp"

namespace pdadmm {

/// An entry of the operator whose nodes have the factors `scale`, none where the norm is none.
PDADMM_HD inline real operator_value(Norm norm, const double* scale, Index row, Index column, float weight) {
    if (norm == Norm::none) return static_cast<real>(weight);
    return static_cast<real>(scaled_weight(weight, scale[row], norm == Norm::sym ? scale[column] : 1.0));
}

/// What a device holds, in numbers of values.
struct SlabRoom {
    Index nodes = 0, width = 0;               // of a slab at most
    Index range_rows = 0, block_entries = 0;  // that come or go at a time at most
    bool weighted = false, scaled = false;    // the graph; the operators
    bool limited = false;                     // some hops compute some nodes only
    bool holds_graph = false;                 // all of it, with so many entries:
    Index entries = 0;

    std::uint64_t block_bytes() const { return rows_bytes(range_rows, block_entries); }
    std::uint64_t graph_bytes() const { return rows_bytes(nodes, entries); }
    /// Of the device's memory.
    std::uint64_t device_bytes() const {
        return 2 * bytes(nodes * width, sizeof(real)) + (scaled ? bytes(nodes, sizeof(double)) : 0) +
               (limited ? bytes(nodes, 1) : 0) + (holds_graph ? graph_bytes() : 2 * block_bytes());
    }
    /// Of the host's memory, page-locked.
    std::uint64_t locked_bytes() const { return 2 * block_bytes() + 2 * bytes(range_rows * width, sizeof(real)); }

private:
    /// Of rows of the graph: offsets, columns and weights.
    std::uint64_t rows_bytes(Index rows, Index of_rows) const {
        return bytes(of_rows, weighted ? sizeof(std::int32_t) + sizeof(float) : sizeof(std::int32_t)) +
               bytes(rows + 1, sizeof(Index));
    }
    static std::uint64_t bytes(Index count, std::size_t each) { return static_cast<std::uint64_t>(count) * each; }
};

/// Rows first .. last - 1 of a graph, and their entries begin .. end - 1. Without entries no row of them is computed.
struct GraphRows {
    Index first = 0, last = 0, begin = 0, end = 0;
};

/// One host thread at a time. What is queued is done in an order that gives what one after the other would. Every call
/// throws DeviceError where the device fails.
class SlabDevice {
public:
    virtual ~SlabDevice() = default;
    /// "device 0, NVIDIA H200".
    virtual std::string name() const = 0;
    /// Bytes, less a reserve for what is not planned.
    virtual std::uint64_t free_memory() const = 0;
    /// Takes memory, and gives back what it had. Throws DeviceError where there is too little.
    virtual void reserve(const SlabRoom& room) = 0;

    /// Page-locked memory of a turn, 0 or 1, for rows of the graph; waits until it is free.
    struct Block {
        Index* offsets;         // of first .. last, as they are in the whole graph
        std::int32_t* columns;  // of begin .. end - 1
        float* weights;         // as many; null where the graph has none
    };
    virtual Block block(int turn) = 0;
    /// Page-locked memory of a turn for columns of X or Y (width, rows); waits until put() or get() is done with it.
    virtual real* range(int turn) = 0;

    /// The block's rows become part of the graph that is held.
    virtual void hold(int turn, const GraphRows& rows) = 0;
    /// The operator of the products that follow, with factors of nodes as host/large/slab_product.hpp has them.
    virtual void set_operator(const GraphOptions& options, std::span<const double> scale) = 0;
    /// How far nodes are from those that are wanted.
    virtual void set_reach(std::span<const std::uint8_t> reach) = 0;

    /// X and Y have so many features from here on; what they hold is lost.
    virtual void begin_slab(Index width) = 0;
    /// X(:, first .. last - 1) from the range of `turn`.
    virtual void put(int turn, Index first, Index last) = 0;
    /// The products that follow make one Y. Where there is a reach, only nodes of at most `most` are computed; others
    /// are zero.
    virtual void begin_hop(int most) = 0;
    /// Y(:, i) = sum over j of a_ij X(:, j), in order of j, of some rows: of the graph that is held, or of the block.
    virtual void multiply(int turn, const GraphRows& rows) = 0;
    /// Columns of X, or of Y once they are computed, to the range of `turn`.
    virtual void get_X(int turn, Index first, Index last) = 0;
    virtual void get_Y(int turn, Index first, Index last) = 0;
    /// X = Y.
    virtual void advance() = 0;
};

}  // namespace pdadmm
