// Resolution of the options of `pdadmm train` (host/cli/train_options.hpp).
#include "host/cli/train_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "host/admm/quantisers.hpp"
#include "host/cli/option_table.hpp"
#include "host/cli/option_text.hpp"
#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int default_micro_batches = 4;  // a rank

/// Numbers of a list, within its record's range. Throws UsageError.
std::vector<double> numbers(const Options& table, const char* option) {
    const Option& listed = record(table, option);
    const std::string text = text_of(listed.value);
    const std::vector<double> values = number_list(option, text, listed.rules.range->least, listed.rules.range->most);
    const auto broken = [](double value) { return value != std::floor(value); };
    if (listed.rules.whole && std::any_of(values.begin(), values.end(), broken))
        throw UsageError(fmt::format("{}: '{}', expected whole numbers", option, text));
    return values;
}

/// The enumerator whose number is that of `text` among the option's choices. Throws UsageError.
template <typename E>
E enumerator(const Option& option, const std::string& text) {
    const std::vector<std::string>& choices = option.rules.choices;
    const auto found = std::find(choices.begin(), choices.end(), text);
    if (found == choices.end())
        throw UsageError(fmt::format("{}: '{}', expected {}", option.long_name(), text, fmt::join(choices, ", ")));
    return static_cast<E>(found - choices.begin());
}
template <typename E>
E chosen(const Options& table, const char* option) {
    const Option& found = record(table, option);
    return enumerator<E>(found, text_of(found.value));
}

/// Layers of each stage: --grow up to --layers, then --layers itself.
std::vector<int> stage_layers(const TrainOptions& o, const std::vector<double>& grow) {
    std::vector<int> layers;
    for (const double value : grow) {
        if (value != std::floor(value) || (!layers.empty() && value <= layers.back()))
            throw UsageError(fmt::format("--grow: '{}', expected increasing whole numbers like 2,5,10", o.grow));
        if (value < o.layers) layers.push_back(static_cast<int>(value));
    }
    layers.push_back(o.layers);
    return layers;
}

/// Entry `stage` of a list with one entry, or at least one entry a stage (further ones belong to stages that --layers
/// cut).
template <typename T>
T entry(const char* option, const std::vector<T>& list, std::size_t stage, std::size_t stages, std::size_t declared) {
    if (list.empty()) throw UsageError(fmt::format("{}: nothing, expected 1 or {} values", option, stages));
    if (list.size() == 1) return list[0];
    if (list.size() != stages && (list.size() != declared || declared < stages))
        throw UsageError(fmt::format("{}: {} values, expected 1{} (one for each growth stage)", option, list.size(),
                                     stages > 1 ? fmt::format(" or {}", stages) : ""));
    // A preset's last value belongs to the full depth, wherever --layers puts it.
    return stage + 1 == stages ? list.back() : list[std::min(stage, list.size() - 1)];
}

std::vector<Stage> stages_of(const TrainOptions& o, const Options& table) {
    const std::vector<double> grow = numbers(table, "--grow");
    const std::vector<int> layers = stage_layers(o, grow);
    const std::size_t declared = std::max<std::size_t>(1, grow.size());
    const auto epochs = numbers(table, "--epochs"), rho = numbers(table, "--rho"),
               patience = numbers(table, "--stage-patience"), nu = numbers(table, "--nu"),
               rate = numbers(table, "--learning-rate"), mu = numbers(table, "--weight-decay");
    const auto z_init = split_text(o.z_init, ','), last_init = split_text(o.last_init, ',');
    std::vector<Stage> stages;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const auto pick = [&](const char* option, const auto& list) {
            return entry(option, list, i, layers.size(), declared);
        };
        Stage stage;
        stage.layers = layers[i];
        stage.epochs = static_cast<int>(pick("--epochs", epochs));
        stage.patience = static_cast<int>(pick("--stage-patience", patience));
        stage.rho = pick("--rho", rho);
        stage.nu = pick("--nu", nu);
        stage.weight_decay = pick("--weight-decay", mu);
        stage.learning_rate = pick("--learning-rate", rate);
        stage.z_init = enumerator<ZInit>(record(table, "--z-init"), pick("--z-init", z_init));
        stage.last_init = enumerator<LastInit>(record(table, "--last-init"), pick("--last-init", last_init));
        if (i == 0 && stage.z_init == ZInit::carry) stage.z_init = ZInit::forward;  // nothing to carry yet
        stages.push_back(stage);
    }
    if (o.patience > 0) stages.back().patience = o.patience;
    return stages;
}

std::vector<double> grid_levels(const TrainOptions& o) {
    std::vector<double> levels;
    if (const auto parts = split_text(o.levels, ':'); parts.size() == 3) {
        const double lo = number("--levels", parts[0]), hi = number("--levels", parts[1]),
                     count = number("--levels", parts[2]);
        if (!(lo < hi) || count < 2 || count > 65536 || count != std::floor(count))
            throw UsageError(
                fmt::format("--levels: '{}', expected lo:hi:count with lo < hi and 2 to 65536 levels", o.levels));
        levels = uniform_levels(lo, hi, static_cast<int>(count));
    } else {
        levels = number_list("--levels", o.levels, -1e30, 1e30);
        std::sort(levels.begin(), levels.end());
        levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    }
    if (levels.size() < 2)
        throw UsageError(
            fmt::format("--levels: '{}', expected lo:hi:count or a list of at least two numbers", o.levels));
    return levels;
}

PlacementRule placement_rule(const std::string& text) {
    if (text == "auto") return {PlacementRule::Kind::automatic, {}};
    if (text == "uniform") return {PlacementRule::Kind::uniform, {}};
    const auto refuse = [&] {
        throw UsageError(
            fmt::format("--placement: '{}', expected auto, uniform or whole numbers like 4,3,3", printable(text)));
    };
    if (text.find_first_not_of("0123456789,. ") != std::string::npos || text.empty()) refuse();
    PlacementRule rule{PlacementRule::Kind::listed, {}};
    for (const double layers : number_list("--placement", text, 1, 100000)) {
        if (layers != std::floor(layers)) refuse();
        rule.layers.push_back(static_cast<int>(layers));
    }
    return rule;
}

ChangeScale change_scale(const TrainOptions& o, const Options& table) {
    if (o.scale == "auto") return o.bits == 2 ? ChangeScale::rms : ChangeScale::max;
    return chosen<ChangeScale>(table, "--scale");
}

AugmentOperators operators_of(const TrainOptions& o) {
    AugmentOperators operators = parse_operators("--augment", o.augment);
    check_hops(operators, o.hops);
    return operators;
}

void refuse_contradictions(const TrainOptions& o, const SolverOptions& s) {
    operators_of(o);  // before a graph is read
    if ((o.parallel == "data" || s.has_workers()) && o.micro_batches > 0)
        throw UsageError(
            fmt::format("--micro-batches: with --parallel {}, expected pipeline; leave it out", o.parallel));
    if (s.stage_from == StageFrom::best && s.optimizer == Optimizer::admm && s.grow_state == GrowState::carry)
        throw UsageError(
            "--stage-from: best with --grow-state carry, expected --grow-state forward; p, z and q of the best "
            "evaluation are not kept");
}

}  // namespace

Index unlabelled_label(const std::string& text) {
    Index label = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), label);
    if (error != std::errc{} || stop != text.data() + text.size())
        throw UsageError(fmt::format("--unlabelled: '{}', expected a whole number", printable(text)));
    return label;
}

bool every_split(const TrainOptions& o) { return o.split_index == "all"; }

void require_one_split(const TrainOptions& o) {
    if (every_split(o)) throw UsageError("--split-index: all, expected the number of one split; only train takes all");
}

Index split_number(const TrainOptions& o, std::uint64_t seed) {
    if (every_split(o)) return static_cast<Index>(seed);
    constexpr Index most = 1'000'000;
    Index index = 0;
    const auto [stop, error] =
        std::from_chars(o.split_index.data(), o.split_index.data() + o.split_index.size(), index);
    if (error != std::errc{} || stop != o.split_index.data() + o.split_index.size() || index < 0 || index > most)
        throw UsageError(fmt::format("--split-index: '{}', expected a whole number from 0 to {}, or all",
                                     printable(o.split_index), most));
    return index;
}

LoadOptions load_options(const TrainOptions& o, std::uint64_t seed) {
    return {o.binary_features, {}, 0, split_number(o, seed), unlabelled_label(o.unlabelled)};
}

std::filesystem::path augment_cache_folder(const TrainOptions& o) {
    if (o.no_cache) return {};
    return o.cache.empty() ? default_augment_cache() : std::filesystem::path(o.cache);
}

bool has_workers(const TrainOptions& o) {
    return o.optimizer != "admm" && (o.parallel == "elastic" || o.parallel == "leader");
}

void settle_grid(TrainOptions& o) {
    if (o.optimizer == "admm") return;
    if (chooses_grid(o.ranks))
        throw UsageError(fmt::format(
            "--grid: auto with --optimizer {}, expected blocks of layers x nodes like 2x2; grids are counted for "
            "pdADMM-G alone",
            o.optimizer));
    if (o.parallel != "data") return;
    if (o.ranks.grid.empty()) o.ranks.grid = "1x-1";
    if (parse_grid(o.ranks.grid)->layers != 1)
        throw UsageError(fmt::format(
            "--grid: {} with --parallel data, expected one block of layers like 1x4; for both leave --parallel out",
            printable(o.ranks.grid)));
}

int micro_batches(const TrainOptions& o) {
    if (o.micro_batches > 0) return o.micro_batches;
    const Grid grid = grid_of(o.ranks);
    return o.parallel == "pipeline" && grid.layers > 1 ? default_micro_batches * grid.ranks() : 1;
}

SolverOptions solver_options(TrainOptions o) {
    const Options table = train_table(o);
    SolverOptions s;
    s.stages = stages_of(o, table);
    s.optimizer = chosen<Optimizer>(table, "--optimizer");
    s.dropout = o.dropout;
    s.momentum = o.momentum;
    s.rate_schedule = chosen<RateSchedule>(table, "--rate-schedule");
    if (has_workers(o)) s.parallel = o.parallel == "elastic" ? Parallel::elastic : Parallel::leader;
    s.workers = {o.exchange_every, o.exchange_all_every, o.groups, o.pull};
    s.micro_batches = micro_batches(o);
    s.hidden = o.hidden;
    s.step = {chosen<StepRule>(table, "--step"), o.step_floor};
    s.penalties = chosen<Penalties>(table, "--penalties");
    s.decay_to = chosen<DecayTo>(table, "--decay-to");
    s.schedule.watch = chosen<RhoSchedule::Watch>(table, "--rho-schedule");
    s.schedule.threshold = o.stall;
    s.schedule.factor = o.rho_factor;
    s.schedule.most = o.rho_max;
    s.weight_init = chosen<WeightInit>(table, "--weight-init");
    s.init_std = o.init_std;
    s.grow_state = chosen<GrowState>(table, "--grow-state");
    s.quantize = chosen<Quantize>(table, "--quantize");
    s.codec = o.codec == "grid" ? Codec::grid : Codec::difference;
    s.bits = o.bits;
    s.scale = change_scale(o, table);
    if (s.quantize != Quantize::none && s.codec == Codec::grid) s.levels = grid_levels(o);
    s.eval_every = o.eval_every;
    s.refresh_every = o.refresh_every;
    s.rebuild_q = o.rebuild_q;
    s.stage_from = chosen<StageFrom>(table, "--stage-from");
    s.best_of = chosen<BestOf>(table, "--best-of");
    s.metric = chosen<Metric>(table, "--metric");
    s.placement = placement_rule(o.placement);
    s.node_ranges = o.node_ranges;
    s.node_blocks = grid_of(o.ranks).nodes;
    s.trace_iterations = o.trace_iterations;
    s.check_replicas = o.check_replicas;
    refuse_contradictions(o, s);
    return s;
}

AugmentOptions augment_options(TrainOptions o) {
    const Options table = data_table(o);
    AugmentOptions a;
    a.hops = o.hops;
    a.graph.norm = chosen<Norm>(table, "--norm");
    a.graph.self_loops = chosen<SelfLoops>(table, "--self-loops");
    a.graph.directed = o.directed;
    a.feature_norm = chosen<FeatureNorm>(table, "--feature-norm");
    a.operators = operators_of(o);
    return a;
}

std::vector<std::uint64_t> chosen_seeds(TrainOptions o) {
    const char* option = o.seed.empty() ? "--seeds" : "--seed";
    const std::string& text = o.seed.empty() ? o.seeds : o.seed;
    std::vector<std::uint64_t> seeds;
    for (const double value : numbers(train_table(o), option)) {
        seeds.push_back(static_cast<std::uint64_t>(value));
        if (std::find(seeds.begin(), seeds.end() - 1, seeds.back()) != seeds.end() - 1)
            throw UsageError(fmt::format("--seeds: {} twice, expected every seed once", seeds.back()));
    }
    if (!o.seed.empty()) {
        if (seeds.size() != 1)
            throw UsageError(fmt::format("--seed: '{}', expected one whole number; for several use --seeds", o.seed));
        return seeds;
    }
    if (seeds.empty())
        throw UsageError("--seeds: nothing, expected how many or a list; write --seeds 5 or --seeds 0,100");
    if (seeds.size() > 1 || text.find(',') != std::string::npos) return seeds;
    if (seeds[0] < 1 || seeds[0] > 10000)
        throw UsageError(
            fmt::format("--seeds: {}, expected 1 to 10000; for one certain seed use --seed {}", seeds[0], seeds[0]));
    std::vector<std::uint64_t> counted(static_cast<std::size_t>(seeds[0]));
    for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = i;
    return counted;
}

}  // namespace pdadmm
