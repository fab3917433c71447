// Forward pass of the network under training over the kept nodes: accuracies and costs.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "host/network/features_by_graph.hpp"
#include "host/network/network.hpp"
#include "host/ranks/ranks.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// Which of train, val and test.
using NodeSets = std::array<bool, 3>;
constexpr NodeSets all_sets{true, true, true};

class Evaluator {
public:
    /// With several ranks everything below is collective; `ranks` must outlive the evaluator. `often`: all nodes are
    /// looked at in every evaluation, not only where a model is new and best.
    Evaluator(Backend& backend, const NodeData& data, Index hidden, Ranks& ranks, Metric metric, bool often);
    /// Of each of its two activation buffers.
    static std::size_t buffer_bytes(const NodeData& data, Index hidden);

    /// Accuracies, the metric and mean cross entropies of the nodes of `sets`; NaN for the others. `W1` forms that of a
    /// first layer in node space, and is asked where test nodes need it.
    Evaluation evaluate(Network& net, const std::function<CMat()>& W1, const NodeSets& sets = all_sets) {
        const Layers layers = layers_of(net, W1);
        if (net.node_space() && net.layers().has(1) && (sets[1] || sets[2])) {  // V has the training nodes'
            if (net.plan().first.by_graph)
                data_.by_graph(backend_, net.shape().hidden)->put(W1());
            else
                net.complete_V0();
        }
        return evaluate(net.shape(), layers, sets);
    }
    /// With the layers of `own` here, or all of them on every rank, each with a part of the nodes.
    Evaluation evaluate(const Parameters& net, LayerRange own, const NodeSets& sets = all_sets) {
        if (net.shape.graph_entries > 0 && own.has(1)) data_.by_graph(backend_, net.shape.hidden)->put(net.W[0]);
        return evaluate(net.shape, layers_of(net, own), sets);
    }
    /// Mean-free training cost, the summed cross entropy of the forward pass over the training nodes, left in backend
    /// memory for the `cost` schedule; only on the rank of the last layer.
    const double* training_cost(Network& net);
    /// Forward passes are recorded on one rank. To be called where other parameters take the place of those evaluated
    /// so far.
    void forget() { recorded_.clear(); }

private:
    struct Layers {
        LayerRange own;                                 // of this rank
        std::function<void(Index first, Mat a)> first;  // a = W1 X of kept columns first .., all of one set
        std::function<Mat(int layer)> W, b;
        bool recordable = true;  // with test nodes; without them always
    };
    Layers layers_of(Network& net, const std::function<CMat()>& W1);
    Layers layers_of(const Parameters& net, LayerRange own);
    Evaluation evaluate(const NetworkShape& shape, const Layers& layers, const NodeSets& sets);
    /// Logits of kept columns first .. first + count, each classified into the tally of its set; `keep` gets them where
    /// it is not null.
    void forward(const NetworkShape& shape, const Layers& layers, Index first, Index count,
                 std::vector<real>* keep = nullptr);
    /// The same of all columns of `sets`, tallies from zero: sets that lie side by side are one pass.
    void forward(const NetworkShape& shape, const Layers& layers, const NodeSets& sets, std::vector<real>* keep);
    Tally* tally_of(std::size_t set, Index column) const;
    /// Of each set, from what the ranks of the last layer found in their ranges.
    std::array<Tally, 3> total(const std::vector<double>& tallies) const;
    /// use(set, from, count) for the parts of columns first .. first + count that are of one set each.
    template <typename Use>
    void each_set(Index first, Index count, Use&& use) const;
    /// The metric over a set, given the logits of its kept columns first ..; 0 where another rank has it.
    double measured(std::span<const real> logits, Index first);
    template <typename T>
    double measured(std::span<const real> logits, std::span<const T> truth);
    /// ... and over each of `sets`, given the logits of all their columns; none on a rank without the last layer.
    std::array<double, 3> measured(const std::vector<real>& logits, const NodeSets& sets);

    Backend& backend_;
    const NodeData& data_;
    Ranks& ranks_;
    Metric metric_;
    bool often_;
    Index block_;   // columns in one forward pass
    Index ranges_;  // of a set on this rank, at most
    Buffer<real> even_, odd_;
    Buffer<Tally> tallies_;
    std::map<NodeSets, std::unique_ptr<Phase>> recorded_;
};

/// Every matrix that a finished model needs, on the host, column-major (rows x cols).
struct Model {
    NetworkShape shape;
    std::vector<std::vector<real>> W, b;  // layer l at l - 1
};
/// Downloads W and b, and `W1` where the first layer is in node space. Collective; rank 0 gets the values, the others
/// the shape.
Model export_model(Network& net, const std::function<CMat()>& W1, Ranks& ranks);
Model export_model(const Parameters& net, Ranks& ranks);

/// Layers 1 to `last` of a model in backend memory.
class ForwardPass {
public:
    /// Nodes that are multiplied at once: results of a node depend on its place among so many, and on nothing else.
    static constexpr Index columns = 1024;

    ForwardPass(Backend& backend, const Model& model, int last);
    /// Neurons of layer `last`.
    Index rows() const { return shape_.rows(last_); }
    /// f(W p + b) of layer `last`, of the network's last layer the logits: (rows() x nodes), for X (inputs x nodes),
    /// both column-major.
    std::vector<real> operator()(std::span<const real> X) const;

private:
    Backend& backend_;
    NetworkShape shape_;
    int last_;
    std::vector<Buffer<real>> W_, b_;
};

}  // namespace pdadmm
