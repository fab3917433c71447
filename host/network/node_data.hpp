// The augmented features and labels of the nodes that a run uses, in backend memory: columns train | val | test.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "pdadmm/backend.hpp"
#include "pdadmm/dataset.hpp"
#include "pdadmm/graph_products.hpp"
#include "pdadmm/node_ranges.hpp"

namespace pdadmm {

/// Columns first .. first + count of a matrix with a column a node.
struct NodeRange {
    Index first = 0, count = 0;
    /// Part `part` of `parts` contiguous ones of as equal sizes as can be.
    static NodeRange share(Index count, Index part, Index parts) {
        const Index first = count * part / parts;
        return {first, count * (part + 1) / parts - first};
    }
    /// The count of the largest of them.
    static Index widest(Index count, Index parts) { return (count + parts - 1) / parts; }
};

/// Block `block` of `blocks` of whole ranges of each set of nodes.
struct NodeBlock {
    int block = 0, blocks = 1;
    Index wanted = 0;            // ranges; 0: as the number of training nodes says
    bool whole_features = true;  // of several blocks: X of all training nodes stays beside the block's own
    NodeRange ranges_of(const NodeRanges& all) const { return NodeRange::share(all.count, block, blocks); }
    NodeRange nodes_of(const NodeRanges& all) const {
        const NodeRange held = ranges_of(all);
        const Index end = std::min(all.nodes, all.first(held.first + held.count)), first = all.first(held.first);
        return {std::min(first, end), held.count > 0 ? end - first : 0};
    }
};

/// The least --node-ranges that cuts N nodes into so many ranges or more; 0: none does.
Index ranges_to_ask_for(Index N, Index blocks);

class FeaturesByGraph;
class GraphMatrices;

class NodeData {
public:
    /// `nodes` must outlive it where the backend shares its memory. Without `features` X is left out: only ranks of the
    /// first layer read it. Throws UsageError where a block of training nodes would have no range, or where nodes have
    /// owners and the backend is not the CPU's. Of nodes that have owners, those of each owner are a range, and `nodes`
    /// holds the block's alone.
    NodeData(Backend& backend, const AugmentedNodes& nodes, bool features = true, NodeBlock block = {});
    NodeData(Backend&, AugmentedNodes&&, bool = true, NodeBlock = {}) = delete;  // X stays where it is
    /// Part `part` of `parts` of train, of val and of test (NodeRange::share), and beside that all training nodes;
    /// counts() are those of all parts.
    NodeData(Backend& backend, const AugmentedNodes& nodes, int part, int parts);
    NodeData(Backend&, AugmentedNodes&&, int, int) = delete;

    Index inputs() const { return inputs_; }
    Index classes() const { return classes_; }
    Index nodes() const { return counts_[0] + counts_[1] + counts_[2]; }
    Index train() const { return counts_[0]; }
    const std::array<Index, 3>& counts() const { return counts_; }
    /// Nodes of some set are worked on in several ranges.
    bool ranged() const { return std::max({ranges_[0].count, ranges_[1].count, ranges_[2].count}) > 1; }
    /// Ranks have parts of the nodes, this one of which is here.
    bool divided() const { return divided_; }
    /// Nodes have owners: only sums over a block's nodes leave it.
    bool owned() const { return !bounds_[0].empty(); }
    /// Those whose columns are here.
    const std::array<Index, 3>& held() const { return held_; }
    Index held_nodes() const { return held_[0] + held_[1] + held_[2]; }
    /// The first of the held training nodes, among all of them.
    Index first_node() const { return block_.nodes_of(ranges_[0]).first; }
    /// How the nodes of a set are worked on, all of them; and which ranges are here.
    const NodeRanges& ranges(std::size_t set = 0) const { return ranges_[set]; }
    NodeRange range_numbers(std::size_t set = 0) const { return block_.ranges_of(ranges_[set]); }
    Index held_ranges() const { return range_numbers().count; }
    /// Those that are here, among the held nodes of a set.
    NodeRanges ranges_here(std::size_t set) const;
    /// MatView::bounds of training nodes.
    const Index* bounds_here() const { return owned() ? held_bounds_[0].data() : nullptr; }
    const NodeBlock& block() const { return block_; }
    /// Of X where it is read from its file as it is touched: no memory that has to be there.
    std::size_t mapped_bytes() const { return mapped_bytes_; }
    CMat X() const { return {X_, inputs_, held_nodes(), inputs_, 1, 0}; }
    CMat X_train() const { return {X_, inputs_, held_[0], inputs_, 1, 0, ranges_[0].length, bounds_here()}; }
    /// Unweighted, as figures count them.
    Labels labels() const { return {labels_.data(), nullptr, targets_.data()}; }
    /// With the weights of classes in the risk.
    Labels training_labels() const { return {labels_.data(), class_weights_.data(), targets_.data()}; }
    /// Of some of all training nodes, on whichever rank; of blocks of nodes where there are features.
    CMat X_of_all(NodeRange nodes) const {
        return CMat{all_X_ ? all_X_ : X_, inputs_, train(), inputs_, 1, 0}.columns(nodes.first, nodes.count);
    }
    CMat X_of_all() const { return X_of_all({0, train()}); }
    Labels labels_of_all(NodeRange nodes) const {
        const Labels all = all_labels_.data() ? Labels(all_labels_.data(), class_weights_.data(), all_targets_.data())
                                              : training_labels();
        return all.from(nodes.first, classes_);
    }
    const std::vector<std::int32_t>& host_labels() const { return host_labels_; }
    bool multi_label() const { return !host_targets_.empty(); }
    /// Of several labels a node (classes x columns here); else empty.
    const std::vector<std::uint8_t>& host_targets() const { return host_targets_; }

    // Products of features, each formed on first use and kept. X_c is X_train minus its mean xbar over training nodes.
    // Those with a row a node are of all N training nodes, whole on every rank that asks: no rank waits for another.
    /// The mean over training nodes of |x - xbar|^2; 0 without features, and where nodes have owners.
    double spread() const { return spread_; }
    /// Where nodes have owners, of each range here the sums of x (n0) and of |x|^2 over its training nodes; and what
    /// they say of N nodes, once those of all ranges are added.
    const std::vector<double>& moments() const { return moments_; }
    static double spread_of(std::span<const double> moments, Index N);
    /// Entries that a product of one row with X by the graph multiplies, about; 0: it is not worth it, or the backend
    /// cannot.
    double graph_entries() const { return graph_work_.entries; }
    /// Products of `rows` rows by the graph, for ranks that have features; null where graph_entries() is 0.
    FeaturesByGraph* by_graph(Backend& backend, Index rows) const;
    std::size_t by_graph_bytes(Index rows) const;
    /// The place of a held column among all nodes of train, val and test.
    Index place_of(Index column) const;
    /// X_train' X of held columns within train, val or test (N x columns); X_c' X where `centred`. Formed set by set.
    CMat gram(Backend& backend, NodeRange columns, bool centred) const;
    /// X_c' xbar (N x 1); with weights, of X by the graph, and xbar over them.
    CMat gram_mean(Backend& backend, FeatureWeights weights = FeatureWeights::none) const;
    /// X_c' X_c (N x N) in node space, else X_c X_c' (n0 x n0).
    CMat first_layer_gram(Backend& backend, bool node_space) const;

private:
    template <typename Use>
    void with_centred_features(Backend& backend, CMat X, Use&& use) const;
    Buffer<real> products_with(Backend& backend, std::size_t set, CMat X, bool centred) const;
    /// Cuts every set by whose its nodes are. Throws UsageError where there are too few owners, or too many.
    void cut_by_owner(const Backend& backend, const AugmentedNodes& nodes);
    /// Columns of `held` of each set of `nodes`, features and labels.
    void take(Backend& backend, const AugmentedNodes& nodes, bool features, const std::array<NodeRange, 3>& held);
    void take_all_training(Backend& backend, const AugmentedNodes& nodes);

    Index inputs_, classes_;
    std::array<Index, 3> counts_, held_;
    std::array<NodeRanges, 3> ranges_;
    NodeBlock block_;
    bool divided_ = false;
    double spread_ = 0;
    GraphWork graph_work_;
    std::shared_ptr<const GraphProducts> by_graph_;
    std::vector<double> moments_;
    std::array<std::vector<Index>, 3> bounds_, held_bounds_;  // by owners: of all ranges of a set, and of those here
    std::size_t mapped_bytes_ = 0;
    const real *X_ = nullptr, *all_X_ = nullptr;  // all_: of all training nodes, where parts are here and these, too
    Buffer<real> own_X_, own_all_X_;              // where `nodes` does not hold them as they are
    Buffer<std::int32_t> labels_, all_labels_;
    Buffer<double> class_weights_;
    Buffer<std::uint8_t> targets_, all_targets_;
    std::vector<std::int32_t> host_labels_;
    std::vector<std::uint8_t> host_targets_;
    mutable std::array<Buffer<real>, 3> products_, centred_products_;
    mutable std::shared_ptr<const GraphMatrices> graph_matrices_;
    mutable std::map<Index, std::shared_ptr<FeaturesByGraph>> features_by_graph_;  // by their rows
    mutable std::array<Buffer<real>, 2> mean_;                                     // by FeatureWeights
    mutable Buffer<real> gram_of_nodes_, gram_of_features_;
};

}  // namespace pdadmm
