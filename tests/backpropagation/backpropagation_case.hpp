// Made-up nodes and options of backpropagation for tests, and what a trainer leaves behind.
#pragma once

#include <random>

#include "host/backpropagation/backpropagation.hpp"
#include "host/run/trainer_state.hpp"
#include "tests/support/test_backend.hpp"

namespace pdadmm {

inline constexpr bool exact = sizeof(real) == 8;
inline const std::vector<Optimizer> methods{Optimizer::gd,   Optimizer::adadelta, Optimizer::adagrad,
                                            Optimizer::adam, Optimizer::momentum, Optimizer::nesterov,
                                            Optimizer::adamw};

inline AugmentedNodes made_up_nodes(Index inputs, Index classes, std::array<Index, 3> counts, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    AugmentedNodes nodes{};
    nodes.inputs = inputs;
    nodes.classes = classes;
    nodes.counts = counts;
    for (Index j = 0; j < nodes.nodes(); ++j) {
        nodes.labels.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(classes)));
        for (Index i = 0; i < inputs; ++i) nodes.X.push_back(static_cast<real>(normal(random)));
    }
    return nodes;
}

inline SolverOptions options_of(Optimizer optimizer, std::vector<Stage> stages, double dropout, std::uint64_t seed) {
    SolverOptions o;
    o.optimizer = optimizer;
    o.stages = std::move(stages);
    o.hidden = 7;
    o.dropout = dropout;
    o.eval_every = 2;
    o.seed = seed;
    return o;
}
inline Stage stage_of(int layers, int epochs, double learning_rate, double decay, LastInit last = LastInit::carry) {
    Stage s;
    s.layers = layers;
    s.epochs = epochs;
    s.learning_rate = learning_rate;
    s.weight_decay = decay;
    s.last_init = last;
    return s;
}

/// Weights and optimizer's memory of all layers; on one rank, or of one worker.
inline std::vector<unsigned char> bytes_of(Trainer& trainer) {
    std::vector<unsigned char> bytes;
    for (int layer = 1; layer <= trainer.shape().layers; ++layer)
        for (const NamedTensor& t : trainer.state(layer)) {
            if (!t.value.data) continue;  // another worker's
            const std::vector<real> host = download(trainer.backend(), t.value);
            const auto* from = reinterpret_cast<const unsigned char*>(host.data());
            bytes.insert(bytes.end(), from, from + host.size() * sizeof(real));
        }
    return bytes;
}

}  // namespace pdadmm
