// A GA-MLP under training: the state of pdADMM-G (W b p z q u and the carried r) in backend memory, as layer groups.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/network/layer_form.hpp"
#include "host/network/node_data.hpp"
#include "pdadmm/layer_group.hpp"

namespace pdadmm {

struct NetworkShape {
    int layers = 0;                             // L >= 2
    Index inputs = 0, hidden = 0, classes = 0;  // n0, n, C
    Index nodes = 0;                            // N, training nodes
    StepRule rule = StepRule::exact;  // how p and W are updated, which decides what is kept of the first layer
    Index held = 0;                   // of the training nodes, on this rank; 0: all
    bool owned = false;               // nodes have owners, whose rows no product over nodes may gather
    double graph_entries = 0;         // NodeData::graph_entries
    Index own_nodes() const { return held > 0 ? held : nodes; }
    bool divided() const { return own_nodes() < nodes; }
    Index rows(int layer) const { return layer == layers ? classes : hidden; }
    Index cols(int layer) const { return layer == 1 ? inputs : hidden; }
};

/// Contiguous layers, those of one rank: first .. last. None where last < first.
struct LayerRange {
    int first = 1, last = 0;
    bool has(int layer) const { return first <= layer && layer <= last; }
    int count() const { return last < first ? 0 : last - first + 1; }
    bool operator==(const LayerRange&) const = default;
};

struct NetworkOptions {
    FirstLayer first_layer = FirstLayer::automatic;
    int most_stacked = 0;           // layers in one stack; 0: as many as memory allows
    bool quantized_p = false;       // needs one more scratch array
    bool rebuild_q = false;         // q is not kept but rebuilt from z and u (design 2): four arrays a layer
    DecayTo decay = DecayTo::zero;  // of square hidden layers; the others decay to zero
    int lanes = 0;                  // groups that may run at the same time on a device; 0: as memory allows
};

/// What a network takes of a backend's memory, and how it lies there.
struct NetworkPlan {
    FirstLayerForm first;
    int stacked = 1;  // hidden layers in one stack
    int lanes = 1;    // sets of scratch, which groups take in turn: as many of them may run at the same time
    std::size_t bytes = 0;
    std::size_t weights = 0;  // of these, what is left after forget_state()
};

/// A tensor of one layer as it is named in checkpoints.
struct NamedTensor {
    std::string name;
    Mat value;
    int rank = -1;  // that holds it, where every rank has one of its own and not only that of the layer; -1: that one
};

/// W and b of every layer in backend memory, layer l at l - 1.
struct Parameters {
    NetworkShape shape;
    std::vector<Mat> W, b;
};

class Network {
public:
    /// Allocates for all layers of `shape`; `data` must outlive the network. All state is zero. Throws DeviceError
    /// where memory is short, before anything is taken.
    Network(Backend& backend, const NetworkShape& shape, const NodeData& data, const NetworkOptions& options);
    /// The layers of one rank, and beside them the halos p_{last+1}, q_{first-1} and u_{first-1}.
    Network(Backend& backend, const NetworkShape& shape, const NodeData& data, const NetworkOptions& options,
            LayerRange layers);

    const NetworkShape& shape() const { return shape_; }
    LayerRange layers() const { return layers_; }
    const NetworkOptions& options() const { return options_; }
    const NetworkPlan& plan() const { return plan_; }
    bool node_space() const { return plan_.first.node_space; }
    std::span<LayerGroup> groups() { return groups_; }
    Backend& backend() const { return *backend_; }
    const NodeData& data() const { return *data_; }

    // Layer l counts from 1. p(1) is X and q(L), u(L) do not exist. Of what another rank holds only the shape is known:
    // no data.
    Mat W(int layer) const;  // not for layer 1 in node space
    Mat b(int layer) const;
    Parameters parameters() const;  // W of layer 1 is none in node space
    Mat p(int layer) const;
    Mat z(int layer) const;
    Mat r(int layer) const;
    Mat q(int layer) const;  // not with rebuild_q
    Mat u(int layer) const;

    // First layer in node space: W1 = c W1_0 - S X'.
    Mat W0() const { return {W_first_.data(), shape_.hidden, shape_.inputs, shape_.hidden}; }
    Mat V() const { return hidden_view(V_, {1, 1}, 1); }
    Mat S() const { return hidden_view(S_, {1, 1}, 1); }
    Mat V0() const;  // W1_0 X of every kept node that is here, (n, held); of nodes to evaluate once it was completed
    NodeSpaceScalars* node_scalars() const { return node_scalars_.data(); }
    /// Where other ranks hold some of the nodes, their columns of S come here for form_W1() and S_of_all(): collective
    /// over the ranks of the first layer, and good until the next iteration.
    void gather_S() const;
    CMat S_of_all() const;  // (n, N)
    void form_W1(Mat W1) const;

    /// Gives the memory of p, q, u, z, r and of all scratch back, but for z of the last layer: what is left is what
    /// another network may take weights from. There are no groups any more.
    void forget_state();

    /// Takes over the first layer's inverse of a network on the same nodes, where both have one; it is formed anew
    /// where nu or mu changed.
    void take_inverse(const Network& from);
    /// "p of layer 3", the first variable whose closed form had no inverse; "" where there is none.
    std::string not_invertible() const;

    Controls* controls() const { return controls_.data(); }
    LayerFigures* figures() const { return figures_.data(); }  // of layers().first and following

    /// Everything that a checkpoint must hold of one layer, in a fixed order.
    std::vector<NamedTensor> state(int layer) const;

    /// The halos, as tensors of the neighbouring layers' states.
    std::vector<std::pair<int, NamedTensor>> halos() const;

    /// After W1_0 was written: V0 = W1_0 X of the training nodes that are here.
    void form_node_space();
    /// And that of the other nodes, where it is not there yet.
    void complete_V0();
    /// W1_0 and V0 of a network on the same nodes.
    void take_W0(const Network& from);

private:
    void build_groups();
    /// V0 of the nodes of a set.
    void form_V0(std::size_t set);
    Mat hidden_view(const Buffer<real>& buffer, LayerRange slots, int layer) const;
    /// (rows, this rank's training nodes) a layer.
    Mat over_nodes(real* data, Index rows, Index layers = 1) const;
    LayerGroup stack(int first, int count, std::size_t scratch) const;

    Backend* backend_;
    NetworkShape shape_;
    LayerRange layers_;
    const NodeData* data_;
    NetworkOptions options_;
    NetworkPlan plan_;
    bool V0_complete_ = false;
    Buffer<real> W_first_, W_hidden_, W_last_, b_, d_, p_, z_, r_, q_, u_, z_last_, r_last_, V_, S_, V0_, inverse_,
        F_first_, range_inverse_;
    struct Scratch {
        Buffer<real> g, h, G, d_p, q, F, move, dW, whole;
    };
    std::vector<Scratch> scratch_;  // one for all groups, or one each
    Buffer<double> norm_sq_;
    Buffer<std::int32_t> pending_, failed_;
    Buffer<KeptInverse> kept_;
    Buffer<ConjugateScalars> conjugate_;
    Buffer<NodeSpaceScalars> node_scalars_;
    Buffer<Controls> controls_;
    Buffer<LayerFigures> figures_;
    Buffer<MessageHeader> headers_;
    std::vector<LayerGroup> groups_;
};

/// Throws DeviceError where the backend has not `bytes` bytes free for work on a network of this shape.
void require_memory(const Backend& backend, std::size_t bytes, const NetworkShape& shape);

/// How a network of this shape would lie in `available` bytes of the backend's memory: where the whole hidden stack's
/// scratch does not fit, smaller stacks are taken, with the same bits. `bytes` may exceed `available`.
NetworkPlan plan_network(const Backend& backend, const NetworkShape& shape, const NodeData& data,
                         const NetworkOptions& options, LayerRange layers, std::size_t available);

}  // namespace pdadmm
