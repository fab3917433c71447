// A GA-MLP under training: the state of pdADMM-G (W b p z q u and the carried r) in backend memory, as layer groups.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/node_data.hpp"
#include "pdadmm/layer_group.hpp"

namespace pdadmm {

struct NetworkShape {
    int layers = 0;                           // L >= 2
    Index inputs = 0, hidden = 0, classes = 0;  // n0, n, C
    Index nodes = 0;                          // N, training nodes
    Index rows(int layer) const { return layer == layers ? classes : hidden; }
    Index cols(int layer) const { return layer == 1 ? inputs : hidden; }
};

/// How the first layer is kept: by counting products, or forced (tests).
enum class FirstLayer { automatic, direct, node_space };

struct NetworkOptions {
    FirstLayer first_layer = FirstLayer::automatic;
    int most_stacked = 0;       // layers in one stack; 0: as many as there are
    bool quantized_p = false;   // needs one more scratch array
};

/// A tensor of one layer as it is named in checkpoints.
struct NamedTensor {
    std::string name;
    Mat value;
};

class Network {
public:
    /// Allocates for `shape`; `data` must outlive the network. All state is zero. Throws DeviceError where memory is short,
    /// before anything is taken.
    Network(Backend& backend, const NetworkShape& shape, const NodeData& data, const NetworkOptions& options);

    const NetworkShape& shape() const { return shape_; }
    const NetworkOptions& options() const { return options_; }
    bool node_space() const { return node_space_; }
    std::span<LayerGroup> groups() { return groups_; }
    Backend& backend() const { return *backend_; }

    // Layer l counts from 1. p(1) is X and q(L), u(L) do not exist.
    Mat W(int layer) const;  // not for layer 1 in node space
    Mat b(int layer) const;
    Mat p(int layer) const;
    Mat z(int layer) const;
    Mat r(int layer) const;
    Mat q(int layer) const;
    Mat u(int layer) const;

    // First layer in node space: W1 = c W1_0 - S X'.
    Mat W0() const { return {W_first_.data(), shape_.hidden, shape_.inputs, shape_.hidden}; }
    Mat V() const { return hidden_view(V_, 0); }
    Mat S() const { return hidden_view(S_, 0); }
    Mat V0() const;  // W1_0 X of every kept node, (n, all)
    NodeSpaceScalars* node_scalars() const { return node_scalars_.data(); }

    Controls* controls() const { return controls_.data(); }
    LayerFigures* figures() const { return figures_.data(); }

    /// Everything that a checkpoint must hold of one layer, in a fixed order.
    std::vector<NamedTensor> state(int layer) const;

    /// After W1_0 was written: V0 = W1_0 X for all kept nodes.
    void form_node_space();

private:
    void build_groups();
    Mat hidden_view(const Buffer<real>& buffer, int slot) const;
    LayerGroup stack(int first, int count) const;

    Backend* backend_;
    NetworkShape shape_;
    const NodeData* data_;
    NetworkOptions options_;
    bool node_space_;
    Buffer<real> W_first_, W_hidden_, W_last_, b_, d_, p_, z_, r_, q_, u_, z_last_, r_last_;
    Buffer<real> g_, h_, G_, d_p_, V_, S_, V0_, inverse_;
    Buffer<std::int32_t> pending_;
    Buffer<NodeSpaceScalars> node_scalars_;
    Buffer<Controls> controls_;
    Buffer<LayerFigures> figures_;
    std::vector<LayerGroup> groups_;
};

/// Whether node space needs fewer flops than the direct form: 2 n N^2 against 4 n n0 N (design 2, "First layer").
bool prefers_node_space(const NetworkShape& shape);
/// Bytes of backend memory that a network of this shape takes.
std::size_t network_bytes(const NetworkShape& shape, const NodeData& data, const NetworkOptions& options);

}  // namespace pdadmm
