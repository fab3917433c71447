// Augmented nodes in backend memory, and the products of features that the first layer works with
// (host/network/node_data.hpp).
#include "host/network/node_data.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/network/features_by_graph.hpp"

namespace pdadmm {
namespace {

/// The sums of x and of |x|^2 over some columns of X.
std::vector<double> moments_of(const AugmentedNodes& nodes, Index first, Index count) {
    std::vector<double> sums(static_cast<std::size_t>(nodes.inputs));
    double squares = 0;
    for (Index j = first; j < first + count; ++j) {
        const real* x = nodes.values().data() + j * nodes.inputs;
        for (Index i = 0; i < nodes.inputs; ++i) {
            const auto value = static_cast<double>(x[i]);
            sums[static_cast<std::size_t>(i)] += value;
            squares += value * value;
        }
    }
    sums.push_back(squares);
    return sums;
}

std::array<NodeRanges, 3> ranges_of(const AugmentedNodes& nodes, Index wanted) {
    const Index cut = wanted > 0 ? wanted : NodeRanges(nodes.counts[0]).count;
    return {NodeRanges(nodes.counts[0], cut), NodeRanges(nodes.counts[1], cut), NodeRanges(nodes.counts[2], cut)};
}

Buffer<double> weights_of_classes(Backend& backend, const AugmentedNodes& nodes) {
    return nodes.class_weights.empty() ? Buffer<double>() : Buffer<double>(backend, nodes.class_weights);
}

std::vector<real> all_of(Index count, double value) {
    return std::vector<real>(static_cast<std::size_t>(count), static_cast<real>(value));
}

Buffer<std::uint8_t> targets_of(Backend& backend, const std::vector<std::uint8_t>& targets) {
    return targets.empty() ? Buffer<std::uint8_t>() : Buffer<std::uint8_t>(backend, targets);
}

}  // namespace

Index ranges_to_ask_for(Index N, Index blocks) {
    for (Index wanted = blocks; wanted <= NodeRanges::most; ++wanted)
        if (NodeRanges(N, wanted).count >= blocks) return wanted;
    return 0;
}

void NodeData::take(Backend& backend, const AugmentedNodes& nodes, bool features,
                    const std::array<NodeRange, 3>& held) {
    for (std::size_t set = 0; set < 3; ++set) held_[set] = held[set].count;
    if (features && held_ == nodes.counts) X_ = static_cast<const real*>(backend.shared(nodes.values().data()));
    if (X_ && nodes.mapped_X) mapped_bytes_ = nodes.values().size_bytes();
    if (features && !X_) {
        own_X_ = {backend, inputs_ * (held_[0] + held_[1] + held_[2])};
        X_ = own_X_.data();
    }
    Index to = 0, begin = 0;
    for (std::size_t set = 0; set < 3; begin += nodes.counts[set], to += held_[set++]) {
        const Index first = begin + held[set].first;
        if (own_X_.data() && held_[set] > 0)
            backend.upload(nodes.values().data() + first * inputs_, own_X_.data() + to * inputs_,
                           static_cast<std::size_t>(held_[set] * inputs_) * sizeof(real));
        host_labels_.insert(host_labels_.end(), nodes.labels.begin() + first,
                            nodes.labels.begin() + first + held_[set]);
        if (!nodes.multi_label()) continue;
        const auto targets = nodes.targets.begin() + first * classes_;
        host_targets_.insert(host_targets_.end(), targets, targets + held_[set] * classes_);
    }
    labels_ = {backend, host_labels_};
    targets_ = targets_of(backend, host_targets_);
    class_weights_ = weights_of_classes(backend, nodes);
}

double NodeData::spread_of(std::span<const double> moments, Index N) {
    double of_means = 0;
    for (const double sum : moments.first(moments.size() - 1)) of_means += sum * sum;
    const auto count = static_cast<double>(N);
    return N > 0 ? std::max(0.0, moments.back() / count - of_means / (count * count)) : 0;
}

NodeData::NodeData(Backend& backend, const AugmentedNodes& nodes, bool features, NodeBlock block)
    : inputs_(nodes.inputs),
      classes_(nodes.classes),
      counts_(nodes.counts),
      ranges_{NodeRanges(0), NodeRanges(0), NodeRanges(0)},
      block_(block),
      divided_(block.blocks > 1),
      graph_work_(backend.shared(&nodes) ? nodes.graph_work : GraphWork()),
      by_graph_(nodes.by_graph) {
    if (!nodes.owners.empty()) {
        cut_by_owner(backend, nodes);
        take(backend, nodes, features, {NodeRange{0, nodes.counts[0]}, {0, nodes.counts[1]}, {0, nodes.counts[2]}});
        const NodeRanges here = ranges_here(0);
        for (Index range = 0; features && range < here.count; ++range) {
            const std::vector<double> sums = moments_of(nodes, here.first(range), here.size(range));
            moments_.insert(moments_.end(), sums.begin(), sums.end());
        }
        return;
    }
    ranges_ = ranges_of(nodes, block.wanted);
    if (features) spread_ = spread_of(moments_of(nodes, 0, train()), train());
    if (ranges_[0].count < block.blocks) {
        const Index wanted = ranges_to_ask_for(counts_[0], block.blocks);
        const std::string instead =
            wanted > 0 ? fmt::format("add --node-ranges {}, also to the run that you compare with", wanted)
                       : "use fewer";
        throw UsageError(
            fmt::format("--grid: {} blocks of nodes, expected at most the {} ranges of {} training nodes; {}",
                        block.blocks, ranges_[0].count, counts_[0], instead));
    }
    take(backend, nodes, features,
         {block.nodes_of(ranges_[0]), block.nodes_of(ranges_[1]), block.nodes_of(ranges_[2])});
    if (features && divided_ && block.whole_features) take_all_training(backend, nodes);
}

void NodeData::cut_by_owner(const Backend& backend, const AugmentedNodes& nodes) {
    const auto owners = static_cast<Index>(nodes.owners.size());
    if (backend.name() != "cpu")  // whose products and passes take equal ranges
        throw UsageError(fmt::format("--owners: with the {} backend, expected --backend cpu", backend.name()));
    if (owners > NodeRanges::most || owners < block_.blocks)
        throw UsageError(fmt::format("--owners: {} with {} blocks of nodes, expected {} to {}; give others", owners,
                                     block_.blocks, block_.blocks, NodeRanges::most));
    for (std::size_t set = 0; set < 3; ++set) {
        std::vector<Index>& bounds = bounds_[set] = {0};
        Index longest = 0;
        for (const auto& counts : nodes.owners) {
            bounds.push_back(bounds.back() + counts[set]);
            longest = std::max(longest, counts[set]);
        }
        counts_[set] = bounds.back();
        ranges_[set] = {bounds.data(), owners, longest};
        const NodeRange held = block_.ranges_of(ranges_[set]);
        for (Index range = held.first; range <= held.first + held.count; ++range)
            held_bounds_[set].push_back(ranges_[set].first(range) - ranges_[set].first(held.first));
        if (held_bounds_[set].back() != nodes.counts[set])
            throw Error(ExitCode::internal, "nodes of an owner: other counts than those of all owners say");
    }
}

NodeRanges NodeData::ranges_here(std::size_t set) const {
    const Index count = range_numbers(set).count;
    if (owned()) return {held_bounds_[set].data(), count, ranges_[set].length};
    NodeRanges here = ranges_[set];
    here.nodes = held_[set];
    here.count = count;
    return here;
}

NodeData::NodeData(Backend& backend, const AugmentedNodes& nodes, int part, int parts)
    : inputs_(nodes.inputs),
      classes_(nodes.classes),
      counts_(nodes.counts),
      ranges_{NodeRanges(counts_[0], 1), NodeRanges(counts_[1], 1), NodeRanges(counts_[2], 1)},
      divided_(true) {
    take(backend, nodes, true,
         {NodeRange::share(counts_[0], part, parts), NodeRange::share(counts_[1], part, parts),
          NodeRange::share(counts_[2], part, parts)});
    if (parts == 1) return;
    take_all_training(backend, nodes);
    all_labels_ = {backend, std::vector<std::int32_t>(nodes.labels.begin(), nodes.labels.begin() + train())};
    if (nodes.multi_label())
        all_targets_ = {backend,
                        std::vector<std::uint8_t>(nodes.targets.begin(), nodes.targets.begin() + train() * classes_)};
}

void NodeData::take_all_training(Backend& backend, const AugmentedNodes& nodes) {
    all_X_ = static_cast<const real*>(backend.shared(nodes.values().data()));
    if (all_X_) return;
    own_all_X_ = {backend, inputs_ * train()};
    backend.upload(nodes.values().data(), own_all_X_.data(),
                   static_cast<std::size_t>(inputs_ * train()) * sizeof(real));
    all_X_ = own_all_X_.data();
}

template <typename Use>
void NodeData::with_centred_features(Backend& backend, CMat X, Use&& use) const {
    const Buffer<real> centred(backend, X.size());
    const Mat Xc{centred.data(), X.rows, X.cols, X.ld, 1, 0, X.range, X.bounds};
    backend.center(X, Xc);
    use(CMat(Xc));
}

/// X_train' X or X_c' X over the nodes X of one set.
Buffer<real> NodeData::products_with(Backend& backend, std::size_t set, CMat X, bool centred) const {
    const Index N = train();
    Buffer<real> products(backend, N * X.cols);
    Mat to{products.data(), N, X.cols, N};
    if (ranged() && set > 0) to.range = ranges_[set].length;
    if (centred)
        with_centred_features(backend, X_of_all(),
                              [&](CMat Xc) { backend.gemm(Trans::yes, Trans::no, 1, Xc, X, 0, to); });
    else if (set == 0)
        backend.gram(X, to);
    else
        backend.gemm(Trans::yes, Trans::no, 1, X_of_all(), X, 0, to);
    return products;
}

CMat NodeData::gram(Backend& backend, NodeRange columns, bool centred) const {
    std::size_t set = 0;
    Index first = 0;
    for (; set < 2 && columns.first >= first + held_[set]; ++set) first += held_[set];
    Buffer<real>& kept = (centred ? centred_products_ : products_)[set];
    const CMat of_set = set == 0 ? X_of_all() : X().columns(first, held_[set]);
    if (!kept.data()) kept = products_with(backend, set, of_set, centred);
    const Index at = columns.first - first + (set == 0 ? first_node() : 0);
    return CMat{kept.data(), train(), of_set.cols, train()}.columns(at, columns.count);
}

FeaturesByGraph* NodeData::by_graph(Backend& backend, Index rows) const {
    if (graph_entries() == 0) return nullptr;
    if (!graph_matrices_) graph_matrices_ = std::make_shared<const GraphMatrices>(*by_graph_);
    auto& kept = features_by_graph_[rows];
    if (!kept) kept = std::make_shared<FeaturesByGraph>(backend, graph_matrices_, rows);
    return kept.get();
}

std::size_t NodeData::by_graph_bytes(Index rows) const { return FeaturesByGraph::bytes(graph_work_, rows); }

Index NodeData::place_of(Index column) const {
    Index before = 0;
    for (std::size_t set = 0;; before += counts_[set], column -= held_[set++])
        if (column < held_[set] || set == 2) return before + block_.nodes_of(ranges_[set]).first + column;
}

CMat NodeData::gram_mean(Backend& backend, FeatureWeights weights) const {
    const Index N = train();
    Buffer<real>& kept = mean_[static_cast<std::size_t>(weights)];
    if (!kept.data()) {
        kept = Buffer<real>(backend, N);
        if (graph_entries() > 0) {  // x' xbar of every node, and without the mean of that
            const Buffer<real> shares(backend, all_of(N, 1 / static_cast<double>(N)));
            const Mat row{kept.data(), 1, N, 1};
            by_graph(backend, 1)->multiply({shares.data(), 1, N, 1}, weights, {0, N}, row);
            backend.center(row, row);
            return {kept.data(), N, 1, N};
        }
        const Buffer<real> xbar(backend, inputs_);
        const Buffer<real> shares(backend, all_of(N, 1 / static_cast<double>(N)));
        const Mat mean{xbar.data(), inputs_, 1, inputs_};
        backend.gemm(Trans::no, Trans::no, 1, X_of_all(), {shares.data(), N, 1, N}, 0, mean);
        with_centred_features(backend, X_of_all(), [&](CMat Xc) {
            backend.gemm(Trans::yes, Trans::no, 1, Xc, mean, 0, {kept.data(), N, 1, N});
        });
    }
    return {kept.data(), N, 1, N};
}

CMat NodeData::first_layer_gram(Backend& backend, bool node_space) const {
    const Index m = node_space ? train() : inputs_;
    Buffer<real>& kept = node_space ? gram_of_nodes_ : gram_of_features_;
    if (!kept.data()) {
        kept = Buffer<real>(backend, m * m);
        const Mat to{kept.data(), m, m, m};
        constexpr Index columns_at_once = 256;  // a product over nodes keeps the parts of all ranges
        with_centred_features(backend, node_space ? X_of_all() : X_train(), [&](CMat Xc) {
            if (node_space)
                backend.gram(Xc, to);
            else
                for (Index first = 0; first < m; first += columns_at_once) {
                    const Index count = std::min(columns_at_once, m - first);
                    backend.node_product(Xc, {Xc.data + first, count, Xc.cols, Xc.ld, 1, 0, Xc.range, Xc.bounds},
                                         to.columns(first, count), Precision::full);
                }
        });
    }
    return {kept.data(), m, m, m};
}

}  // namespace pdadmm
