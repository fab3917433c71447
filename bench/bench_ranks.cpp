// What a network costs when its layers lie on ranks: bench_ranks --layers L --hidden n --inputs n0 --classes C --nodes
// N --ranks 1,2,4.
//
// One line of JSON a number of ranks. Every rank's stages are timed alone: its own layers, messages that cost nothing,
// one thread on the CPU; between its rounds an iteration on one rank is timed, so that both see the same machine. From
// these the iteration time of ranks that run side by side is made ("modelled"), over every --link US,GB/S. With
// --measure ranks also run as threads of this process, as far as there are processors. Evaluation and reading figures
// are not included.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <array>
#include <iostream>
#include <set>

#include "bench/rounds.hpp"
#include "host/admm/ranked_iteration.hpp"
#include "host/admm/solver.hpp"
#include "host/machine/processors.hpp"
#include "host/network/weights.hpp"
#include "host/plan/machines.hpp"
#include "host/plan/schedule.hpp"
#include "host/transport/local.hpp"

namespace {

using namespace pdadmm;
using Json = nlohmann::json;

struct Options {
    NetworkShape shape{16, 2000, 1000, 10, 500};
    std::vector<int> ranks{1, 2, 4, 8, 16};
    std::string backend = "cpu", quantize = "none", math = "fp32";
    int bits = 4, rounds = 7;
    bool measure = false;
    std::vector<LinkRate> links;
};

Rules rules_of(const Options& o) {
    Rules rules;
    const Quantizer quantizer{Codec::difference, o.bits, nullptr, 0};
    if (o.quantize != "none") rules.p = quantizer;
    if (o.quantize == "pq") rules.q = quantizer;
    return rules;
}

std::unique_ptr<Backend> open_backend(const Options& o) {
    BackendOptions options{1, 0};
    options.math = o.math == "tf32" ? Math::tf32 : o.math == "bf16" ? Math::bf16 : Math::fp32;
    return make_backend(o.backend, options);
}

/// Random values without a draw for each: a block of draws in the backend's memory, copied again and again. Whole
/// networks have up to 10^10 values.
class RandomBlock {
public:
    explicit RandomBlock(Backend& backend) : backend_(backend), block_(backend, normal_draws(1, 0, count, 0.1)) {}
    void copy_to(real* data, Index values) const {
        for (Index at = 0; at < values; at += count) {
            const Index some = std::min(count, values - at);
            backend_.copy(CMat{block_.data(), some, 1, some}, Mat{data + at, some, 1, some});
        }
    }

private:
    static constexpr Index count = (Index{1} << 20) - 1;  // odd, so that few columns start alike
    Backend& backend_;
    Buffer<real> block_;
};

/// One rank's layers, in some state in the middle of training: every tensor random.
class RankOfLayers {
public:
    RankOfLayers(const Options& o, const Rules& rules, const AugmentedNodes& nodes, LayerRange layers)
        : backend_(open_backend(o)),
          random_(*backend_),
          data_(*backend_, nodes, layers.has(1)),
          network_(*backend_, o.shape, data_, {FirstLayer::automatic, 0, o.quantize != "none", false}, layers) {
        const Controls controls{real(0.01), real(0.01), real(0.01), 0, 0};
        backend_->upload(&controls, network_.controls(), sizeof controls);
        for (int layer = layers.first; layer <= layers.last; ++layer)
            for (const NamedTensor& tensor : network_.state(layer)) state_.push_back(tensor.value);
        for (const auto& [layer, tensor] : network_.halos()) state_.push_back(tensor.value);
        restart();
        whole_ =
            backend_->record([this, &rules] { iterate(*backend_, network_.groups(), network_.controls(), rules); });
    }

    Backend& backend() { return *backend_; }
    Network& network() { return network_; }
    const RandomBlock& random() const { return random_; }
    /// The first state again: neighbours that send nothing new would let values fade into subnormal numbers, which are
    /// slow.
    void restart() {
        for (const Mat& tensor : state_) random_.copy_to(tensor.data, tensor.size());
        if (!network_.node_space() || !network_.layers().has(1)) return;
        const NodeSpaceScalars scalars{1, 1};
        backend_->upload(&scalars, network_.node_scalars(), sizeof scalars);
        network_.form_node_space();
    }
    /// Returns when the backend has done everything.
    void wait() {
        Controls ignored;
        backend_->download(network_.controls(), &ignored, sizeof ignored);
    }
    /// Seconds of an iteration where these are all layers; the first ones only bring the arrays back into the caches.
    double seconds_alone() {
        const auto run = [this] {
            whole_->run();
            wait();
        };
        run();
        const double once = seconds_of(run);
        return seconds_of(run, std::clamp(static_cast<int>(0.02 / once), 1, 200));
    }

private:
    std::unique_ptr<Backend> backend_;
    RandomBlock random_;
    NodeData data_;
    Network network_;
    std::vector<Mat> state_;
    std::unique_ptr<Phase> whole_;
};

/// Messages that arrive at once and are always the same: random values, or with a codec no change. Notes when the calls
/// came, which is where the stages of a rank end.
class StopwatchTransport final : public Transport {
public:
    StopwatchTransport(int rank, int size, RankOfLayers& work, bool quantized)
        : Transport(rank, size), work_(work), quantized_(quantized) {}
    std::string name() const override { return "none"; }
    std::vector<Clock::time_point> calls;

private:
    void note() {
        work_.wait();
        calls.push_back(Clock::now());
    }
    void start_messages(std::span<const Message> messages) override {
        for (const Message& m : messages)
            if (m.direction == Direction::receive && filled_.insert(m.data).second) {
                if (quantized_)
                    work_.backend().zero(m.data, m.bytes);
                else
                    work_.random().copy_to(static_cast<real*>(m.data), static_cast<Index>(m.bytes / sizeof(real)));
            }
        note();
    }
    void finish_messages(std::span<const Message>) override { note(); }

    RankOfLayers& work_;
    bool quantized_;
    std::set<void*> filled_;
};

/// Knows its place and talks to nobody.
class PlaceOnly final : public Control {
public:
    PlaceOnly(int rank, int size) : Control(rank, size) {}

private:
    void all_gather(Operation, std::span<const std::byte>, std::vector<std::vector<std::byte>>&) override {
        throw Error(ExitCode::internal, "bench_ranks: a collective, expected messages only");
    }
    void tell_failure(const std::string&, ExitCode) noexcept override {}
};

// Of an iteration, between the transport's calls; begin is the next iteration's first product, under which q travels.
constexpr std::array stage_names{"update_p", "under_p", "close", "begin"};

/// Median seconds of the four stages of rank `rank`, and of an iteration of `alone`, in turns.
Json timed_stages(const Options& o, const Rules& rules, const AugmentedNodes& nodes, const Placement& placement,
                  int rank, RankOfLayers& alone, std::vector<double>& alone_seconds) {
    const LayerRange own = placement.of(rank);
    RankOfLayers work(o, rules, nodes, own);
    StopwatchTransport transport(rank, placement.ranks(), work, rules.p.codec != Codec::none);
    PlaceOnly control(rank, placement.ranks());
    Ranks ranks(work.backend(), {&transport, &control});
    ranks.place(placement);
    RankedIteration iteration(work.network(), ranks, rules);
    for (int i = 0; i < 3; ++i) iteration.run();  // the first runs without being replayed
    iteration.settle();
    iteration.run();
    const double once = seconds_of([&] { iteration.run(); });
    const int repeats = std::clamp(static_cast<int>(0.02 / once), 2, 200);
    std::array<std::vector<double>, stage_names.size()> stages;
    for (int round = 0; round < o.rounds; ++round) {
        work.restart();
        iteration.settle();
        iteration.run();
        transport.calls.clear();
        for (int i = 0; i < repeats; ++i) iteration.run();
        // The calls of an iteration: finish q, start p, finish p, start q.
        for (std::size_t stage = 0; stage < stages.size(); ++stage) {
            double sum = 0;
            int count = 0;
            for (std::size_t i = stage; i + 1 < transport.calls.size(); i += stages.size(), ++count)
                sum += std::chrono::duration<double>(transport.calls[i + 1] - transport.calls[i]).count();
            if (count > 0) stages[stage].push_back(sum / count);
        }
        alone_seconds.push_back(alone.seconds_alone());
    }
    iteration.settle();
    Json json{{"layers", {own.first, own.last}}};
    for (std::size_t stage = 0; stage < stages.size(); ++stage)
        json[stage_names[stage]] = stages[stage].empty() ? 0.0 : median(stages[stage]);
    return json;
}

/// Median seconds of an iteration on ranks that are threads of this process.
double measured_seconds(const Options& o, const Rules& rules, const AugmentedNodes& nodes, const Placement& placement) {
    std::vector<double> seconds;
    run_local_ranks(placement.ranks(), [&](LocalRank& rank) {
        RankOfLayers work(o, rules, nodes, placement.of(rank.control.rank()));
        Ranks ranks(work.backend(), {&rank.transport, &rank.control});
        ranks.place(placement);
        RankedIteration iteration(work.network(), ranks, rules);
        const auto run = [&](int count) {
            for (int i = 0; i < count; ++i) iteration.run();
            iteration.settle();
            rank.control.barrier();
        };
        run(3);
        const auto repeats = static_cast<int>(
            rank.control.max(std::clamp(static_cast<int>(0.05 / seconds_of([&] { run(1); })), 1, 200)));
        for (int round = 0; round < o.rounds; ++round) {
            const double taken = seconds_of([&] { run(repeats); });
            if (rank.control.rank() == 0) seconds.push_back(taken / repeats);
        }
    });
    return median(seconds);
}

/// Ranks side by side over every link: seconds an iteration, of them exposed by messages, speedup over one rank, and
/// its share of the bound that balanced flops allow. The same for one rank, so that curves begin at 1.
Json modelled(const Options& o, const Json& record) {
    std::vector<RankStages> stages;
    for (const Json& stage : record["stages_s"])
        stages.push_back({stage["begin"], stage["update_p"], stage["under_p"], stage["close"]});
    const std::vector<BorderSeconds> none(stages.empty() ? 0 : stages.size() - 1);
    const double one = record["one_rank_s"], free = stages.empty() ? one : iteration_seconds(stages, none);
    Json figures = Json::array();
    for (const LinkRate& link : o.links) {
        const std::vector<BorderSeconds> borders(none.size(),
                                                 {link.seconds(record["p_bytes"]), link.seconds(record["q_bytes"])});
        const double seconds = stages.empty() ? one : iteration_seconds(stages, borders);
        figures.push_back({{"iteration_s", seconds},
                           {"exposed_s", seconds - free},
                           {"speedup", one / seconds},
                           {"share_of_bound", one / seconds / record["flop_balance_bound"].get<double>()}});
    }
    return figures;
}

Json measure(const Options& o, const AugmentedNodes& nodes, int ranks) {
    const Rules rules = rules_of(o);
    const NetworkShape& s = o.shape;
    const Placement placement = Placement::balanced(CostModel().of(s), ranks);
    RankOfLayers alone(o, rules, nodes, {1, s.layers});
    alone.seconds_alone();
    std::vector<double> alone_seconds;
    double all = 0, costliest = 0;
    Json stages = Json::array();
    for (int rank = 0; rank < ranks; ++rank) {
        if (ranks > 1) stages.push_back(timed_stages(o, rules, nodes, placement, rank, alone, alone_seconds));
        double cost = 0;
        for (int layer = placement.of(rank).first; layer <= placement.of(rank).last; ++layer)
            cost += counted_work(s, layer);
        all += cost;
        costliest = std::max(costliest, cost);
    }
    for (int round = 0; ranks == 1 && round < o.rounds; ++round) alone_seconds.push_back(alone.seconds_alone());
    const Index elements = s.hidden * s.nodes;
    Json json{{"backend", alone.backend().description()},
              {"shape",
               {{"layers", s.layers},
                {"inputs", s.inputs},
                {"hidden", s.hidden},
                {"classes", s.classes},
                {"nodes", s.nodes}}},
              {"quantize", o.quantize},
              {"bits", o.quantize == "none" ? static_cast<int>(8 * sizeof(real)) : o.bits},
              {"math", o.math},
              {"ranks", ranks},
              {"rounds", o.rounds},
              {"p_bytes", message_bytes(elements, rules.p)},
              {"q_bytes", message_bytes(elements, rules.q)},
              {"one_rank_s", median(alone_seconds)},
              {"flop_balance_bound", all / costliest},
              {"stages_s", std::move(stages)}};
    if (!o.links.empty()) json["modelled"] = modelled(o, json);
    if (o.measure && ranks > 1 && o.backend == "cpu" && ranks <= available_processors())
        json["measured_s"] = measured_seconds(o, rules, nodes, placement);
    return json;
}

}  // namespace

int main(int argc, char** argv) {
    Options o;
    std::vector<std::pair<double, double>> links;
    CLI::App app("Stage times of ranks, and ranks side by side made from them, as JSON lines");
    app.add_option("--layers", o.shape.layers)->capture_default_str()->check(CLI::Range(2, 4096));
    app.add_option("--hidden", o.shape.hidden)->capture_default_str()->check(CLI::PositiveNumber);
    app.add_option("--inputs", o.shape.inputs)->capture_default_str()->check(CLI::PositiveNumber);
    app.add_option("--classes", o.shape.classes)->capture_default_str()->check(CLI::PositiveNumber);
    app.add_option("--nodes", o.shape.nodes)->capture_default_str()->check(CLI::PositiveNumber);
    app.add_option("--ranks", o.ranks, "numbers of ranks")
        ->delimiter(',')
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--backend", o.backend)->capture_default_str()->check(CLI::IsMember({"cpu", "cuda"}));
    app.add_option("--math", o.math)->capture_default_str()->check(CLI::IsMember({"fp32", "tf32", "bf16"}));
    app.add_option("--quantize", o.quantize)->capture_default_str()->check(CLI::IsMember({"none", "p", "pq"}));
    app.add_option("--bits", o.bits)->capture_default_str()->check(CLI::IsMember({2, 4, 8, 16}));
    app.add_option("--rounds", o.rounds)->capture_default_str()->check(CLI::PositiveNumber);
    app.add_option("--link", links, "microseconds of a message and GB/s, like 5,12; several: one model each")
        ->delimiter(',');
    app.add_flag("--measure", o.measure, "also run ranks as threads, up to the number of processors");
    try {
        app.parse(argc, argv);
        for (const auto& [latency_us, gb_per_s] : links) o.links.push_back({1e-6 * latency_us, 1e9 * gb_per_s});
        const AugmentedNodes nodes = random_nodes(o.shape);
        for (const int ranks : o.ranks) {
            if (ranks > o.shape.layers)
                throw UsageError(fmt::format("--ranks: {}, expected at most {}, one a layer", ranks, o.shape.layers));
            std::cout << measure(o, nodes, ranks).dump() << std::endl;
        }
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    } catch (const Error& error) {
        fmt::print(stderr, "bench_ranks: error: {}\n", error.what());
        return static_cast<int>(error.code());
    }
}
