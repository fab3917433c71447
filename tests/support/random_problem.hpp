// A network whose variables are all drawn independently, so that no constraint holds (p is not q, q is not f(z), z is
// not W p + b): from such a start a wrong update shows. And its state in float64, before and after an iteration.
#pragma once

#include <functional>
#include <random>

#include "host/admm/solver.hpp"
#include "host/network/network.hpp"
#include "tests/support/reference.hpp"

namespace pdadmm {

struct ProblemSpec {
    int layers = 4;
    Index inputs = 9, hidden = 7, classes = 4, nodes = 23;
    double rho = 1, nu = 0.3, mu = 0.1;
    StepSpec step{};
    Codec p = Codec::none, q = Codec::none;
    int bits = 4;                                               // difference
    ChangeScale change_scale = ChangeScale::max;                // difference
    std::vector<double> levels = reference::spread(-1, 3, 33);  // grid
    FirstLayer first_layer = FirstLayer::direct;
    int most_stacked = 0;
    double scale = 1;  // of z, p, q and u / nu
    DecayTo decay = DecayTo::zero;
    double growth = 1;  // of rho and nu after every iteration
    bool class_weights = false;
    bool multi_label = false;
    std::string text() const;
};

/// Everything after (or before) an iteration; layer l at [l], [0] unused; p[1] is X.
struct State {
    double rho = 0, nu = 0, mu = 0;
    std::vector<reference::Array> W, b, p, z, r, q, u;
    std::vector<LayerFigures> figures;
    std::vector<std::int32_t> labels;
    std::vector<double> class_weights;  // of each class in the risk
    std::vector<std::uint8_t> targets;  // (classes, nodes); empty: one class a node
    DecayTo decay = DecayTo::zero;
    bool node_space = false;
    bool closed_form = false;        // node space: S and V follow from one inverse, each with its own rounding
    reference::Array V, W_parts;     // node space: V = W1 X, and |c W1_0| + |S| |X|'
    std::vector<bool> W_from_nodes;  // closed forms: by the Gram matrix of nodes
    double weight_sq = 0;            // as the node-space scalars have it
    std::vector<double> carried;     // largest terms that the carried r of a layer has seen
    int layers() const { return static_cast<int>(W.size()) - 1; }
};

class RandomProblem {
public:
    RandomProblem(Backend& backend, const ProblemSpec& spec, std::uint64_t seed);

    /// One iteration, with the figures of |W|^2.
    void step();
    State state();
    Network& network() { return net_; }
    const Rules& rules() const { return rules_; }
    const ProblemSpec& spec() const { return spec_; }
    /// Fills a variable anew; refresh() then closes r.
    void set(Mat to, const reference::Array& values);
    void refresh();
    /// Takes over every variable, X and the labels (not in node space).
    void assign(const State& s);
    const std::vector<real>& levels() const { return host_levels_; }

private:
    Backend& backend_;
    ProblemSpec spec_;
    std::vector<real> host_levels_;
    AugmentedNodes nodes_;
    NodeData data_;
    Network net_;
    Buffer<real> levels_;
    Rules rules_;
    Index iteration_ = 0;
};

/// L_rho of a state in float64 from its definition (design 1), and the sum of the magnitudes of its terms.
struct Lagrangian {
    double value = 0, magnitude = 0;
};
Lagrangian lagrangian(const State& s);

}  // namespace pdadmm
