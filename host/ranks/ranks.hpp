// What ranks do together outside iterations: tensors and values that go from one to another. Everything here is
// collective, or its two sides are called in the same order by all; with one rank nothing travels.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "host/ranks/node_exchange.hpp"
#include "host/ranks/placement.hpp"
#include "pdadmm/transport.hpp"

namespace pdadmm {

/// How a rank reaches the others; all must outlive what uses them. Null: there are none.
struct RankLinks {
    Transport* transport = nullptr;
    Control* control = nullptr;
    Transport* nodes = nullptr;  // for sums over nodes, while `transport` has messages under way; of all ranks too
};

/// A contiguous matrix's values on the host.
std::vector<real> download(Memory& memory, CMat m);

class Ranks {
public:
    /// A grid of so many blocks of nodes, whose ranges are `ranges`: with several, sums of `backend` over training
    /// nodes are those of all ranks as long as this lives. Throws UsageError where that cannot be.
    explicit Ranks(Backend& backend, RankLinks links, int node_blocks = 1, const NodeRanges& ranges = NodeRanges(0));
    ~Ranks();
    Ranks(const Ranks&) = delete;
    Ranks& operator=(const Ranks&) = delete;

    int rank() const { return links_.control ? links_.control->rank() : 0; }
    int size() const { return links_.control ? links_.control->size() : 1; }
    bool several() const { return size() > 1; }
    Transport& transport() const { return *links_.transport; }
    /// For sums over nodes, where the grid divides them.
    Transport& node_transport() const { return *links_.nodes; }
    Control* control() const { return links_.control; }

    /// From here on layers lie as `placement` says.
    void place(Placement placement) { placement_ = std::move(placement); }
    const Placement& placement() const { return placement_; }
    LayerRange own() const { return placement_.of(layer_block()); }
    const Grid& grid() const { return grid_; }
    int layer_block() const { return grid_.layer_block(rank()); }
    int node_block() const { return grid_.node_block(rank()); }
    /// The rank with this one's nodes that holds a block of layers; a layer.
    int rank_of(int layer_block) const { return grid_.rank(layer_block, node_block()); }
    int owner(int layer) const { return several() ? rank_of(placement_.owner(layer)) : 0; }
    /// The first of the ranks that hold a layer.
    int first_owner(int layer) const { return several() ? grid_.rank(placement_.owner(layer), 0) : 0; }
    /// Those with this one's nodes that hold the layers before and behind its own.
    int left() const { return rank() - grid_.nodes; }
    int right() const { return rank() + grid_.nodes; }
    /// Blocks of nodes are those of owners: of their nodes only sums leave this rank's column.
    bool owned() const { return owned_; }
    /// The rank that collects what is kept and shown of this one's nodes: rank 0, or the first of the owner's.
    int keeper() const { return owned_ ? rank_of(0) : 0; }
    bool keeps() const { return rank() == keeper(); }

    /// Ranges of training nodes, of all ranks.
    Index node_ranges() const { return node_ranges_; }
    /// Columns of all ranks where those of `m` are training nodes, and which of them `m` has; else its own.
    Index all_columns(CMat m) const { return divided(m) ? nodes_->nodes() : m.cols; }
    NodeRange columns_here(CMat m) const { return divided(m) ? nodes_->nodes_of(node_block()) : NodeRange{0, m.cols}; }
    /// `count` values for each of this rank's ranges of training nodes: the first become the sums of all ranks'.
    void add_over_nodes(std::vector<double>& of_ranges, Index count = 1);

    /// `to` of rank `receiver` = `from` of rank `sender`; contiguous. Other ranks have nothing to do with it.
    void move(CMat from, int sender, Mat to, int receiver);
    void send_right(CMat m);
    void receive_left(Mat m);
    /// Values of a matrix of the ranks that hold a layer, on rank 0, with the training nodes of all; nothing on the
    /// others. Where nodes have owners: on every keeper, with its own nodes.
    std::vector<real> collect(CMat m, int layer);
    /// ... of one rank alone, on its keeper.
    std::vector<real> collect_from(CMat m, int rank);

    /// What rank `owner` holds, on every rank.
    template <typename T>
    requires(std::is_trivially_copyable_v<T>) std::vector<T> share(const std::vector<T>& values, int owner) {
        if (!several()) return values;
        const bool own = rank() == owner;
        const std::vector<std::byte> bytes =
            links_.control->broadcast(own ? std::as_bytes(std::span(values)) : std::span<const std::byte>(), owner);
        std::vector<T> all(bytes.size() / sizeof(T));
        if (!bytes.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
        return all;
    }
    /// What this rank's keeper holds.
    template <typename T>
    std::vector<T> share_by_keeper(const std::vector<T>& values) {
        std::vector<T> kept;
        for (int keeper_of_block = 0; keeper_of_block < (owned_ ? grid_.nodes : 1); ++keeper_of_block) {
            std::vector<T> all = share(values, keeper_of_block);
            if (keeper_of_block == keeper()) kept = std::move(all);
        }
        return kept;
    }
    /// A figure in backend memory of rank `owner`, in backend memory of every rank until the next call.
    const double* share(const double* figure, int owner);
    /// Values of all ranks, in their order.
    std::vector<double> gather(const std::vector<double>& own);
    /// Figures of `iterations` iterations, own layers of each after those of the one before, as those of all layers on
    /// every rank.
    std::vector<LayerFigures> gather(std::vector<LayerFigures> own, Index iterations);

private:
    bool divided(CMat m) const { return nodes_ && !owned_ && m.range > 0; }
    /// The keeper gets m of rank `sender`, with `columns` columns, at the end of `all`.
    void append_to(std::vector<real>& all, CMat m, Index columns, int sender);

    Backend& backend_;
    RankLinks links_;
    Grid grid_;
    Index node_ranges_;
    std::unique_ptr<NodeExchange> nodes_;  // where the grid divides them
    bool owned_ = false;
    Placement placement_;
    Buffer<double> shared_, parts_;  // parts_: values for each range
};

}  // namespace pdadmm
