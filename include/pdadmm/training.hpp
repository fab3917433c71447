// Options of training and the figures it reports: the contract between the command line, presets, benchmarks and the
// solver loop.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "pdadmm/backend.hpp"

namespace pdadmm {

enum class Quantize { none, p, pq };              // what crosses a layer border quantised (design 4)
enum class WeightInit { normal, kaiming };        // N(0, std^2), or N(0, 2 / inputs) with b = 0
enum class LastInit { random, identity, carry };  // the last layer of a later growth stage
enum class GrowState { forward, carry };          // p, z, q of kept layers at growth: a forward pass, or kept (u = 0)
enum class StageFrom {
    last,
    best
};  // whose W and b a stage grows from: the last iterate's, or the best one's of the stage before
enum class BestOf { any_stage, last_stage };       // among whose evaluations the best model is
enum class ZInit { zero, label, forward, carry };  // z_L at the start of a stage: 0, +-1 by label, W p + b, or kept

enum class Penalties { absolute, relative };  // what weight decay is: mu, or mu over nu and the spread of the features

/// Which figure of the validation nodes chooses the best model and ends stages (host/train/metric.hpp).
/// `automatic` is micro_f1 where nodes have several labels, else accuracy, and stands in options only.
enum class Metric { accuracy, macro_f1, weighted_f1, roc_auc, average_precision, micro_f1, automatic };

enum class RateSchedule { constant, cosine };  // of the learning rate, over the epochs of a stage

/// What ranks of backpropagation do together: form one gradient in every epoch, each of its layers and nodes of a grid,
/// or now and then exchange weights, each being a worker with weights of its own (elastic averaging, and LSGD with
/// leaders).
enum class Parallel { gradients, elastic, leader };

/// When and how strongly workers pull at each other.
struct WorkerRule {
    int every = 8;    // epochs between exchanges: of elastic with the centre, of leader with the leader of the group
    int of_all = 0;   // of leader: epochs between exchanges with the leader of all; 0: `every`
    int groups = 1;   // of leader: contiguous ranks, as equal as can be
    double pull = 0;  // elastic: the centre's moving rate beta; leader: the share of the way; 0: 0.9 and 0.1
};

/// One growth stage: `layers` layers trained for `epochs` iterations.
struct Stage {
    int layers = 10;
    int epochs = 200;
    double rho = 1e-4, nu = 1e-4, weight_decay = 0;
    ZInit z_init = ZInit::forward;
    LastInit last_init = LastInit::carry;
    double learning_rate = 1e-3;  // of backpropagation
    int patience = 0;  // evaluations without a better one that end the stage before its last iteration; 0: off
};

/// How layers are laid on ranks; the result is the same for all of them.
struct PlacementRule {
    enum class Kind { automatic, uniform, listed } kind = Kind::automatic;
    std::vector<int> layers;  // listed: of each rank, in the last stage
};

struct SolverOptions {
    std::vector<Stage> stages{Stage{}};
    Optimizer optimizer = Optimizer::admm;
    double dropout = 0;     // of hidden activations, in backpropagation
    double momentum = 0.9;  // of Optimizer::momentum and nesterov
    RateSchedule rate_schedule = RateSchedule::constant;
    Parallel parallel = Parallel::gradients;
    WorkerRule workers;
    int micro_batches = 1;  // of gradients: parts of the training nodes that follow each other through the layers
    Index hidden = 100;
    StepSpec step;
    DecayTo decay_to = DecayTo::zero;  // of square hidden layers
    Penalties penalties = Penalties::absolute;
    RhoSchedule schedule;
    WeightInit weight_init = WeightInit::kaiming;
    double init_std = 0.1;
    GrowState grow_state = GrowState::forward;
    Quantize quantize = Quantize::none;
    Codec codec = Codec::difference;
    int bits = 8;                          // difference
    ChangeScale scale = ChangeScale::max;  // difference
    std::vector<double> levels;            // grid, ascending
    int eval_every = 0;  // epochs between accuracies, 0: evaluation_period (host/train/stopping.hpp); the last epoch of
                         // a stage always has them
    StageFrom stage_from = StageFrom::last;
    BestOf best_of = BestOf::any_stage;
    Metric metric = Metric::accuracy;
    int refresh_every = 25;
    int most_stacked = 0, lanes = 0;  // NetworkOptions
    bool rebuild_q = false;           // q from z and u where it is needed: a fifth less memory, one more pass
    Index node_ranges = 0;  // of training nodes, in which they are worked on (node_ranges.hpp); 0: as their number says
    std::uint64_t seed = 0;

    // How the work is carried out and watched; nothing of it changes the result, but whole_gradients() have other last
    // bits than those of node blocks.
    PlacementRule placement;
    int trace_iterations = 0;  // of each stage, recorded with their phases and messages; 0: none
    int check_replicas = 0;    // iterations between comparisons of what two ranks hold both; 0: never
    int node_blocks = 1;       // of a grid of ranks (host/ranks/grid.hpp)

    /// Whether ranks have weights of their own, of all layers, and divide the training nodes.
    bool has_workers() const { return optimizer != Optimizer::admm && parallel != Parallel::gradients; }
    /// Whether backpropagation sums over all training nodes at once, which products by the graph can do: neither ranks
    /// nor options divide them.
    bool whole_gradients() const {
        return !has_workers() && node_blocks == 1 && node_ranges == 0 && micro_batches == 1;
    }
};

/// Accuracies, figures of SolverOptions::metric and mean cross entropy of the forward pass over train, val and test
/// nodes; NaN where a set is empty or was not evaluated.
struct Evaluation {
    std::array<double, 3> accuracy{}, cost{}, metric{};
};

/// What one iteration showed. `objective` is L_rho with the weight-decay term (design 1); of backpropagation, the mean
/// cross entropy with its weight-decay term.
struct EpochRecord {
    Index epoch = 0;  // counts from 1 over all stages
    int stage = 0, layers = 0;
    double objective = 0, risk = 0, primal_sq = 0, linear_sq = 0;
    std::vector<double> layer_primal_sq,
        layer_linear_sq;       // parts of each border and each layer; none of backpropagation
    double rho = 0, nu = 0;    // used in this iteration
    double seconds = 0;        // of the iteration, without evaluation
    double setup_seconds = 0;  // before it, of a stage's network: products of features, weights, first p, z and q
    bool evaluated = false;
    Evaluation evaluation;
    std::uint64_t bytes =
        0;  // that ranks sent in this iteration; with one rank what a split after every layer would send
};

}  // namespace pdadmm
