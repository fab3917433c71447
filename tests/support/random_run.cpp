// Runs, their bytes and their comparison (tests/support/random_run.hpp).
#include "tests/support/random_run.hpp"

#include <fmt/format.h>

#include <cstring>
#include <random>

#include "host/admm/quantisers.hpp"
#include "tests/support/backend_memory.hpp"
#include "tests/support/test_backend.hpp"

namespace pdadmm {

AugmentedNodes made_up_nodes(Index inputs, Index classes, std::array<Index, 3> counts, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    AugmentedNodes nodes;
    nodes.inputs = inputs;
    nodes.classes = classes;
    nodes.counts = counts;
    for (Index j = 0; j < nodes.nodes(); ++j) {
        const auto y = static_cast<Index>(random() % static_cast<std::uint64_t>(classes));
        nodes.labels.push_back(static_cast<std::int32_t>(y));
        for (Index i = 0; i < inputs; ++i)
            nodes.X.push_back(static_cast<real>(normal(random) + (i % classes == y ? 1 : 0)));
    }
    return nodes;
}

AugmentedNodes owned_block(const AugmentedNodes& all, int block, int blocks) {
    AugmentedNodes own = all;
    own.X.clear();
    own.labels.clear();
    own.counts = {};
    const NodeRange held = NodeRange::share(static_cast<Index>(all.owners.size()), block, blocks);
    Index at = 0;
    for (std::size_t set = 0; set < 3; ++set)
        for (Index owner = 0; owner < static_cast<Index>(all.owners.size()); ++owner) {
            const Index count = all.owners[static_cast<std::size_t>(owner)][set];
            if (owner >= held.first && owner < held.first + held.count) {
                own.X.insert(own.X.end(), all.X.begin() + at * all.inputs, all.X.begin() + (at + count) * all.inputs);
                own.labels.insert(own.labels.end(), all.labels.begin() + at, all.labels.begin() + at + count);
                own.counts[set] += count;
            }
            at += count;
        }
    return own;
}

namespace {

template <typename T>
void append(std::vector<unsigned char>& bytes, const T* values, std::size_t count) {
    const auto* from = reinterpret_cast<const unsigned char*>(values);
    bytes.insert(bytes.end(), from, from + count * sizeof(T));
}

std::vector<unsigned char> state_bytes(Solver& solver) {
    Network& net = solver.network();
    Backend& be = solver.backend();
    std::vector<unsigned char> bytes;
    for (int layer = 1; layer <= net.shape().layers; ++layer)
        for (const NamedTensor& tensor : net.state(layer)) {
            const std::vector<real> host = solver.ranks().collect(tensor.value, layer);
            append(bytes, host.data(), host.size());
        }
    Controls k;
    be.download(net.controls(), &k, sizeof k);
    append(bytes, &k.rho, 1);
    append(bytes, &k.nu, 1);
    append(bytes, &k.mu, 1);
    append(bytes, &k.stalls, 1);
    append(bytes, &k.last_watched, 1);
    if (net.node_space() && net.layers().has(1)) {
        NodeSpaceScalars s;
        be.download(net.node_scalars(), &s, sizeof s);
        append(bytes, &s, 1);
    }
    return bytes;
}

void append_evaluation(std::vector<unsigned char>& bytes, const Evaluation& e) {
    append(bytes, e.accuracy.data(), 3);
    append(bytes, e.cost.data(), 3);
}

/// To the end, by up to `at_once` epochs a call; states and checkpoints are those after each call.
void go_on(Solver& solver, Trace& run, Index at_once = 1, const std::function<void(Solver&)>& after_each = nullptr) {
    while (!solver.finished()) {
        std::vector<unsigned char> figures;
        for (const EpochRecord& record : solver.advance(at_once)) {
            run.epochs.push_back(record);
            figures.clear();
            append(figures, &record.objective, 1);
            append(figures, &record.risk, 1);
            append(figures, &record.primal_sq, 1);
            append(figures, &record.linear_sq, 1);
            if (record.evaluated) append_evaluation(figures, record.evaluation);
            run.figures.push_back(figures);
        }
        run.states.push_back(state_bytes(solver));
        run.checkpoints.push_back(save_state(solver));
        if (after_each) after_each(solver);
    }
    run.node_space = solver.network().node_space();
    if (!solver.best()) return;
    run.best_epoch = solver.best()->epoch;
    append_evaluation(run.best_model, solver.best()->evaluation);
    for (const auto& parts : {solver.best()->model.W, solver.best()->model.b})
        for (const std::vector<real>& values : parts) append(run.best_model, values.data(), values.size());
}

}  // namespace

void quantise(SolverOptions& o, int bits) {
    o.quantize = Quantize::pq;
    o.bits = bits;
    o.scale = bits == 2 ? ChangeScale::rms : ChangeScale::max;
}

void use_fixed_levels(SolverOptions& o, Quantize what) {
    o.quantize = what;
    o.codec = Codec::grid;
    o.levels = uniform_levels(-1, 3, 100);
}

std::vector<RunSpec> run_specs(std::uint64_t seed) {
    const std::vector<Stage> stages{{2, 3, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                                    {4, 4, 0.02, 0.01, 1e-3, ZInit::carry, LastInit::carry},
                                    {6, 6, 0.05, 0.02, 0, ZInit::forward, LastInit::random}};
    const auto spec = [&](const char* name, Index inputs, auto&& change) {
        RunSpec run{name, made_up_nodes(inputs, 3, {40, 25, 10}, seed), {}};
        run.options.stages = stages;
        run.options.hidden = 11;
        run.options.eval_every = 2;
        run.options.refresh_every = 4;
        run.options.seed = seed;
        change(run);
        return run;
    };
    const auto block = [](RunSpec& s, Quantize quantize, DecayTo decay) {
        s.options.step.rule = StepRule::block;
        s.options.decay_to = decay;
        s.options.quantize = quantize;
    };
    return {
        spec("node space, risk", 30,
             [](RunSpec& s) {
                 s.options.schedule = {RhoSchedule::Watch::risk, 100, 3, 1, 2};
             }),
        spec("direct, cost, backtracking", 9,
             [](RunSpec& s) {
                 s.options.schedule = {RhoSchedule::Watch::cost, 100, 2, 1, 2};
                 s.options.step.rule = StepRule::backtracking;
             }),
        spec("difference, p and q", 30, [](RunSpec& s) { quantise(s.options, 4); }),
        spec("grid, p", 9, [](RunSpec& s) { use_fixed_levels(s.options, Quantize::p); }),
        spec("q rebuilt", 9, [](RunSpec& s) { s.options.rebuild_q = true; }),
        spec("block, node space, risk", 60,
             [&](RunSpec& s) {
                 block(s, Quantize::none, DecayTo::zero);
                 s.options.schedule = {RhoSchedule::Watch::risk, 100, 3, 1, 2};
             }),
        spec("block, risk, grid, p and q", 9,
             [&](RunSpec& s) {
                 block(s, Quantize::none, DecayTo::zero);
                 use_fixed_levels(s.options);
                 s.options.schedule = {RhoSchedule::Watch::risk, 100, 3, 1, 2};
             }),
        spec("block, difference, p and q, decay to the identity", 60,
             [&](RunSpec& s) {
                 block(s, Quantize::pq, DecayTo::identity);
                 s.options.bits = 4;
             }),
        spec("block, fewer nodes than neurons", 30,
             [&](RunSpec& s) {
                 block(s, Quantize::p, DecayTo::identity);
                 s.nodes = made_up_nodes(30, 3, {9, 25, 10}, seed);
                 s.options.hidden = 14;
             }),
        spec("exact, decay to the identity", 9, [](RunSpec& s) { s.options.decay_to = DecayTo::identity; }),
        spec("several blocks", 9,
             [&](RunSpec& s) {
                 s.nodes = made_up_nodes(9, 3, {700, 90, 10}, seed);
                 s.options.hidden = 40;
                 s.options.stages = {{5, 3, 0.1, 0.02, 1e-3, ZInit::forward, LastInit::carry}};
                 s.options.quantize = Quantize::p;
             }),
    };
}

RunSpec spec_with_ranges(std::uint64_t seed) {
    RunSpec run{"16 ranges of nodes", made_up_nodes(7, 3, {4500, 20, 0}, seed), {}};
    run.options.stages = {{2, 2, 0.1, 0.02, 1e-3, ZInit::forward, LastInit::carry},
                          {3, 2, 0.1, 0.02, 1e-3, ZInit::carry, LastInit::carry}};
    run.options.hidden = 6;
    run.options.step.rule = StepRule::block;
    run.options.quantize = Quantize::pq;
    run.options.seed = seed;
    return run;
}

Trace finish_run(const RunSpec& spec, int threads, int most_stacked, bool graphs, Index at_once, bool fused) {
    const auto backend = open_test_backend(threads, graphs, fused).backend;
    const NodeData data(*backend, spec.nodes, true, {0, 1, spec.options.node_ranges});
    SolverOptions options = spec.options;
    options.most_stacked = most_stacked;
    Solver solver(*backend, data, options);
    Trace run;
    go_on(solver, run, at_once);
    return run;
}

Trace resume_run(const RunSpec& spec, const CheckpointData& checkpoint, const Trace& whole, std::size_t epochs) {
    const auto backend = open_test_backend(1).backend;
    const NodeData data(*backend, spec.nodes, true, {0, 1, spec.options.node_ranges});
    Solver solver(*backend, data, spec.options);
    load_state(solver, checkpoint);
    Trace run;
    const auto kept = static_cast<std::ptrdiff_t>(epochs);
    run.epochs.assign(whole.epochs.begin(), whole.epochs.begin() + kept);
    run.states.assign(whole.states.begin(), whole.states.begin() + kept);
    run.figures.assign(whole.figures.begin(), whole.figures.begin() + kept);
    go_on(solver, run);
    return run;
}

std::vector<Trace> finish_run_on_ranks(const RunSpec& spec, int ranks, const CheckpointData* checkpoint,
                                       const std::function<void(Solver&)>& after_each) {
    std::vector<Trace> runs(static_cast<std::size_t>(ranks));
    run_local_ranks(ranks, [&](LocalRank& rank) {
        const auto backend = open_test_backend(1).backend;
        rank.transport.use_memory(local_memory(*backend));
        rank.nodes.use_memory(local_memory(*backend));
        runs[static_cast<std::size_t>(rank.control.rank())] =
            finish_run_as_rank(spec, *backend, {&rank.transport, &rank.control, &rank.nodes}, checkpoint, after_each);
    });
    return runs;
}

Trace finish_run_as_rank(const RunSpec& spec, Backend& backend, RankLinks links, const CheckpointData* checkpoint,
                         const std::function<void(Solver&)>& after_each) {
    const int rank = links.control->rank(), nodes = spec.options.node_blocks;
    const bool owned = !spec.nodes.owners.empty();
    const AugmentedNodes of_owner = owned ? owned_block(spec.nodes, rank % nodes, nodes) : AugmentedNodes();
    const NodeData data(backend, owned ? of_owner : spec.nodes, rank < nodes,
                        {rank % nodes, nodes, spec.options.node_ranges});
    Solver solver(backend, data, spec.options, links);
    if (checkpoint) load_state(solver, *checkpoint);
    Trace run;
    go_on(solver, run, 1, after_each);
    return run;
}

std::vector<RunSpec> ranked_specs(std::uint64_t seed) {
    std::vector<RunSpec> specs;
    for (RunSpec& spec : run_specs(seed))
        if (!spec.options.rebuild_q) specs.push_back(std::move(spec));
    RunSpec carried = specs.front();
    carried.name = "carried through growth";
    carried.options.grow_state = GrowState::carry;
    carried.options.schedule = {};
    specs.push_back(std::move(carried));
    RunSpec grid = specs.front();
    grid.name = "grid, p and q";
    grid.options.schedule = {};
    grid.options.quantize = Quantize::pq;
    grid.options.codec = Codec::grid;
    grid.options.levels = uniform_levels(-1, 3, 20);
    specs.push_back(std::move(grid));
    for (const int bits : {1, 2, 4}) {
        RunSpec sums = run_specs(seed)[2];
        sums.name = fmt::format("difference of {} bits by rms, p and q", bits);
        sums.options.bits = bits;
        sums.options.scale = ChangeScale::rms;
        specs.push_back(std::move(sums));
    }
    return specs;
}

std::string difference_of_ranks(const Trace& whole, const std::vector<Trace>& ranks) {
    for (const Trace& rank : ranks) {
        if (rank.figures.empty()) return "no epochs";
        if (rank.figures !=
            std::vector(whole.figures.end() - static_cast<std::ptrdiff_t>(rank.figures.size()), whole.figures.end()))
            return "figures";
        if (rank.best_epoch != whole.best_epoch) return "best epoch";
    }
    const Trace& first = ranks.front();
    if (first.states !=
        std::vector(whole.states.end() - static_cast<std::ptrdiff_t>(first.states.size()), whole.states.end()))
        return "state";
    for (std::size_t k = 0; k < first.checkpoints.size(); ++k) {
        const auto& a = whole.checkpoints[whole.checkpoints.size() - first.checkpoints.size() + k].shards;
        const auto& b = first.checkpoints[k].shards;
        if (a.size() != b.size()) return "shards";
        for (std::size_t s = 0; s < a.size(); ++s) {
            if (a[s].first != b[s].first || a[s].second.tensors.size() != b[s].second.tensors.size())
                return "shard " + a[s].first;
            for (std::size_t t = 0; t < a[s].second.tensors.size(); ++t)
                if (a[s].second.tensors[t].name != b[s].second.tensors[t].name ||
                    a[s].second.tensors[t].bytes != b[s].second.tensors[t].bytes)
                    return "tensor " + a[s].second.tensors[t].name + " of " + a[s].first;
        }
    }
    return first.best_model == whole.best_model ? "" : "best model";
}

std::string first_difference(const Trace& a, const Trace& b) {
    if (a.figures.size() != b.figures.size())
        return fmt::format("{} and {} epochs", a.figures.size(), b.figures.size());
    for (std::size_t k = 0; k < a.figures.size(); ++k)
        if (a.figures[k] != b.figures[k]) return fmt::format("figures of epoch {}", k + 1);
    for (std::size_t k = 0; k < a.states.size() && a.states.size() == b.states.size(); ++k)
        if (a.states[k] != b.states[k]) return fmt::format("state after epoch {}", k + 1);
    if (a.states.back() != b.states.back()) return "last state";
    if (a.best_epoch != b.best_epoch) return fmt::format("best epochs {} and {}", a.best_epoch, b.best_epoch);
    return a.best_model == b.best_model ? "" : "best model";
}

}  // namespace pdadmm
