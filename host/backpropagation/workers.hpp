// Ranks that have weights of their own and exchange them now and then: elastic averaging (EASGD, arXiv 1412.6651) and
// leader stochastic gradient descent (LSGD, arXiv 1905.10395).
//
// All training nodes are on every rank, cut into as many shares as there are ranks. In epoch t of a stage rank r takes
// a step of its optimizer by the gradient of share (r + t) mod R: so each epoch sees every node once, and after R
// epochs every worker has seen all of them. With x the weights of a worker:
//
//     elastic   every `every` epochs   x += beta/R (c - x),  c += beta/R sum over workers of (x - c)     the centre c
//     leader    every `every` epochs   x += pull (x_j - x)    x_j: the worker of the group with the least training loss
//               every `of_all` epochs  x += pull (x_g - x)    x_g: the worker of all with the least
//
// The loss of a worker is the mean cross entropy of the shares that it saw since the last exchange, dropout included.
// The model is c, or x_g at its last exchange; what is evaluated, kept and grown from is that.
#pragma once

#include <memory>
#include <vector>

#include "host/backpropagation/passes.hpp"
#include "host/ranks/ranks.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

class Workers {
public:
    /// The model begins as the weights of `net`. `data` holds all training nodes; the node of `dropout` is left open.
    Workers(Backend& backend, const GradientNetwork& net, const NodeData& data, const Dropout& dropout,
            const SolverOptions& options, Ranks& ranks);
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers();

    /// Backend memory that a rank takes beside its network.
    static std::size_t bytes(const SolverOptions& options, const NetworkShape& shape, int ranks);
    /// Of the messages of all ranks after `done` epochs of a stage.
    static std::uint64_t bytes_sent(const SolverOptions& options, const NetworkShape& shape, int ranks, Index done);

    const Parameters& model() const { return model_; }
    /// Counts the step; leaves the gradient of this rank's share in epoch `epoch` of the stage, from 0.
    void run(Index epoch) { shares_[static_cast<std::size_t>(share_of(ranks_.rank(), epoch))]->run(); }
    /// Epochs until the next exchange, after `done` ones.
    Index until_exchange(Index done) const { return rule_.every - done % rule_.every; }
    /// What the workers lost in epoch `epoch`, by rank: summed cross entropies.
    void count(Index epoch, const std::vector<double>& risks);
    /// After `done` epochs: what is due then. Collective.
    void exchange(Index done);

    /// Of every rank since the last exchange, summed cross entropies and then nodes: for checkpoints.
    std::vector<double> losses() const;
    void restore_losses(std::span<const double> values);

private:
    Index share_of(int rank, Index epoch) const { return (rank + epoch) % ranks_.size(); }
    Mat weights() const { return net_.range(GradientNetwork::Array::weights, net_.layers()); }
    Mat scratch() const { return net_.range(GradientNetwork::Array::gradient, net_.layers()); }
    /// The rank of first .. first + count with the least loss; the first one of equals.
    int leader_of(int first, int count) const;
    void meet_in_the_middle();
    /// Pulls ranks first .. first + count to the leader of theirs, whose weights are left in `into`.
    void follow(int first, int count, Mat into);

    Backend& backend_;
    const GradientNetwork& net_;
    Ranks& ranks_;
    Parallel form_;
    WorkerRule rule_;
    Buffer<real> model_values_;
    Parameters model_;
    Mat model_range_;
    std::unique_ptr<TreeSums> sums_;              // elastic
    std::vector<std::unique_ptr<Phase>> shares_;  // gradient of each
    std::vector<double> risk_, nodes_;            // by rank, since the last exchange
};

}  // namespace pdadmm
