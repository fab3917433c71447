// Stage times of backpropagation as a pipeline of ranks, and GPipe itself on ranks that are threads of this
// process: bench_pipeline [--layers L] [--hidden n] [--inputs n0] [--classes C] [--nodes N] [--ranks R,...]
// [--micro-batches M,...] [--rounds K] [--measure].
//
// Each rank's layers alone, one after the other: all micro-batches forward (with the loss where the last layer is), all
// backward, of that the products that make the gradient of weights, and the step of Adam; one thread a rank. With
// --measure also whole epochs, as far as there are processors. A line of JSON for every R and M, seconds of every
// round. All weights are zero: times of products do not depend on values, and nothing fades into subnormal numbers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "bench/arguments.hpp"
#include "bench/rounds.hpp"
#include "host/backpropagation/gradient_epoch.hpp"
#include "host/backpropagation/gradient_part.hpp"
#include "host/machine/processors.hpp"
#include "host/transport/local.hpp"
#include "pdadmm/error.hpp"

namespace {

using namespace pdadmm;

/// What one rank holds.
class PipelineStage {
public:
    PipelineStage(const NetworkShape& shape, const AugmentedNodes& nodes, LayerRange layers, Index micro_batches)
        : backend_(make_backend("cpu", {1, 0})),
          data_(*backend_, nodes, layers.has(1)),
          net_(*backend_, shape, Optimizer::adam, GradientPart::of_one_range(layers, shape.nodes, micro_batches)),
          task_{data_.X_train(), data_.training_labels(), {}} {
        if (layers.first > 1) clear(net_.activation(layers.first - 1));
        if (layers.last < shape.layers)  // what would come from the next rank, for even and odd micro-batches
            for (Index m = 0; m < std::min<Index>(2, micro_batches); ++m)
                clear(net_.activation_gradient(layers.last, m));
        backend_->count_step(net_.step());
    }

    Backend& backend() { return *backend_; }
    const GradientNetwork& net() const { return net_; }
    const GradientTask& task() const { return task_; }

    void forward_all() {
        for (Index m = 0; m < batches(); ++m) forward(*backend_, net_, task_, m);
        loss_gradient(*backend_, net_, task_);
    }
    void backward_all() {
        for (Index m = 0; m < batches(); ++m) backward(*backend_, net_, task_, net_.layers(), m);
    }
    /// G += g A_prev' of every layer and micro-batch.
    void weight_products() {
        for (Index m = 0; m < batches(); ++m)
            for (int layer = net_.layers().first; layer <= net_.layers().last; ++layer) {
                const NodeRange of = net_.part().batch(m).nodes;
                const bool last = layer == net_.shape().layers;
                const CMat g =
                    last ? net_.activation(layer).columns(of.first, of.count) : net_.activation_gradient(layer, m);
                const CMat A_prev =
                    (layer == 1 ? task_.X : CMat(net_.activation(layer - 1))).columns(of.first, of.count);
                backend_->gemm(Trans::no, Trans::yes, 1, g, A_prev, m == 0 ? real(0) : real(1),
                               net_.gradient().W[static_cast<std::size_t>(layer - 1)], Precision::working);
            }
    }
    void step() {
        using Array = GradientNetwork::Array;
        for (const LayerRange& equal : net_.stacks())
            backend_->optimizer_step({Optimizer::adam, 0.01}, net_.step(), net_.stack(Array::gradient, equal),
                                     net_.stack(Array::weights, equal), net_.stack(Array::first, equal),
                                     net_.stack(Array::second, equal),
                                     net_.figures() + (equal.first - net_.layers().first));
    }

private:
    Index batches() const { return net_.part().batches; }
    void clear(Mat m) { backend_->zero(m.data, static_cast<std::size_t>(m.size()) * sizeof(real)); }

    std::unique_ptr<Backend> backend_;
    NodeData data_;
    GradientNetwork net_;
    GradientTask task_;
};

/// As often as takes about 5 ms: of short rounds the least is one that no other process lengthened.
template <typename Work>
int repeats_of(Work&& work) {
    return std::clamp(static_cast<int>(0.005 / seconds_of(work)), 1, 100);
}

/// {"layers": [first, last], "forward_s": [...], ...}, a value a round.
std::string timed(const NetworkShape& shape, const AugmentedNodes& nodes, LayerRange layers, Index micro_batches,
                  int rounds) {
    PipelineStage stage(shape, nodes, layers, micro_batches);
    const auto all = [&] {
        stage.forward_all();
        stage.backward_all();
        stage.step();
    };
    all();
    const int repeats = repeats_of(all);
    std::vector<double> forward, backward, weights, step;
    for (int round = 0; round < rounds; ++round) {
        forward.push_back(seconds_of([&] { stage.forward_all(); }, repeats));
        backward.push_back(seconds_of([&] { stage.backward_all(); }, repeats));
        weights.push_back(seconds_of([&] { stage.weight_products(); }, repeats));
        step.push_back(seconds_of([&] { stage.step(); }, repeats));
    }
    return fmt::format(
        "{{\"layers\": [{}, {}], \"forward_s\": [{:.6g}], \"backward_s\": [{:.6g}], "
        "\"weight_products_s\": [{:.6g}], \"step_s\": [{:.6g}]}}",
        layers.first, layers.last, fmt::join(forward, ", "), fmt::join(backward, ", "), fmt::join(weights, ", "),
        fmt::join(step, ", "));
}

/// Seconds of an epoch on ranks that are threads, round by round.
std::vector<double> measured(const NetworkShape& shape, const AugmentedNodes& nodes, const Placement& placement,
                             Index micro_batches, int rounds) {
    std::vector<double> seconds;
    run_local_ranks(placement.ranks(), [&](LocalRank& rank) {
        PipelineStage stage(shape, nodes, placement.of(rank.control.rank()), micro_batches);
        Ranks ranks(stage.backend(), {&rank.transport, &rank.control});
        ranks.place(placement);
        GradientEpoch epoch(stage.backend(), stage.net(), stage.task(), ranks);
        const auto run = [&](int count) {
            for (int i = 0; i < count; ++i) {
                epoch.run();
                stage.step();
            }
            rank.control.barrier();
        };
        run(2);
        const int repeats = static_cast<int>(rank.control.max(repeats_of([&] { run(1); })));
        for (int round = 0; round < rounds; ++round) {
            const double taken = seconds_of([&] { run(repeats); });
            if (rank.control.rank() == 0) seconds.push_back(taken / repeats);
        }
    });
    return seconds;
}

void report(const NetworkShape& shape, const AugmentedNodes& nodes, int ranks, Index micro_batches, int rounds,
            bool measure) {
    if (ranks > shape.layers)
        throw UsageError(fmt::format("--ranks: {}, expected at most {}, one a layer", ranks, shape.layers));
    if (micro_batches > shape.nodes)
        throw UsageError(
            fmt::format("--micro-batches: {}, expected at most {}, one a node", micro_batches, shape.nodes));
    const Placement placement = gradient_placement({}, shape, ranks);
    std::vector<std::string> stages;
    for (int rank = 0; rank < ranks; ++rank)
        stages.push_back(timed(shape, nodes, placement.of(rank), micro_batches, rounds));
    std::vector<double> epochs;
    if (measure && ranks > 1 && ranks <= available_processors())
        epochs = measured(shape, nodes, placement, micro_batches, rounds);
    fmt::print("{{\"ranks\": {}, \"micro_batches\": {}, \"stages\": [{}], \"measured_s\": [{:.6g}]}}\n", ranks,
               micro_batches, fmt::join(stages, ", "), fmt::join(epochs, ", "));
}

}  // namespace

int main(int argc, char** argv) {
    const Arguments given(argc, argv);
    const NetworkShape shape{given.integer("--layers", 16), given.integer("--inputs", 2000),
                             given.integer("--hidden", 1000), given.integer("--classes", 10),
                             given.integer("--nodes", 500)};
    try {
        const AugmentedNodes nodes = random_nodes(shape);
        for (const int ranks : given.integers("--ranks", {1, 2}))
            for (const int micro_batches : given.integers("--micro-batches", {1, 2, 4, 8, 16}))
                report(shape, nodes, ranks, micro_batches, given.integer("--rounds", 7), given.has("--measure"));
    } catch (const Error& error) {
        fmt::print(stderr, "bench_pipeline: error: {}\n", error.what());
        return static_cast<int>(error.code());
    }
}
