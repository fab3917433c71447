// Declaration and resolution of the options of `pdadmm train` (host/cli/train_options.hpp).
#include "host/cli/train_options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "host/admm/quantisers.hpp"
#include "host/cli/option_text.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/presets.hpp"
#include "host/console/printable.hpp"
#include "host/data/dataset_reader.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

template <typename T>
CLI::Option* add(CLI::App& app, const char* name, T& value, const std::string& help, const char* group) {
    CLI::Option* option = app.add_option(name, value, help)->capture_default_str()->take_last()->group(group);
    if constexpr (std::is_floating_point_v<T>) option->check(finite());
    return option;
}
CLI::Option* choice(CLI::App& app, const char* name, std::string& value, const std::string& help, const char* group,
                    const std::vector<std::string>& choices) {
    return add(app, name, value, help, group)->check(CLI::IsMember(choices));
}
void flag(CLI::App& app, const char* name, bool& value, const char* help, const char* group) {
    app.add_flag(name, value, help)->take_last()->group(group);
}

constexpr const char* data_group = "Data";
constexpr const char* network_group = "Network";
constexpr const char* algorithm_group = "Algorithm (lists: one value, or one for each growth stage)";
constexpr const char* gradient_group = "Backpropagation (lists likewise)";
constexpr const char* quantisation_group = "Quantisation";
constexpr const char* ranks_group = "Ranks (or start with mpirun, torchrun --no-python, srun)";
constexpr const char* run_group = "Run";

// Options that change how a run is carried out or shown, not its result.
const std::vector<std::string> run_only{"--help",
                                        "--out",
                                        "--resume",
                                        "--overwrite",
                                        "--config",
                                        "--preset",
                                        "--quiet",
                                        "--threads",
                                        "--ranks",
                                        "--placement",
                                        "--trace",
                                        "--trace-iterations",
                                        "--check-replicas",
                                        "--transport",
                                        "--devices",
                                        "--rendezvous",
                                        "--peer-timeout",
                                        "--device",
                                        "--no-graphs",
                                        "--cache",
                                        "--no-cache",
                                        "--checkpoint-every",
                                        "--seeds",
                                        "--seed",
                                        "--json"};

// Options of pdADMM-G alone, and of backpropagation alone.
const std::vector<std::string> admm_only{"--rho",           "--nu",
                                         "--penalties",     "--decay-to",
                                         "--step",          "--step-floor",
                                         "--rho-schedule",  "--stall",
                                         "--rho-factor",    "--rho-max",
                                         "--z-init",        "--grow-state",
                                         "--rebuild-q",     "--refresh-every",
                                         "--quantize",      "--codec",
                                         "--bits",          "--scale",
                                         "--levels",        "--placement",
                                         "--trace",         "--trace-iterations",
                                         "--check-replicas"};
const std::vector<std::string> gradient_only{"--learning-rate", "--dropout", "--parallel", "--micro-batches"};
const std::vector<std::string>& foreign_to(const std::string& optimizer) {
    return optimizer == "admm" ? gradient_only : admm_only;
}

bool divides_nodes(const TrainOptions& o) { return o.optimizer != "admm" && o.parallel == "data"; }
constexpr int default_micro_batches = 4;  // a rank

/// What --micro-batches stands for.
int micro_batches(const TrainOptions& o) {
    const int ranks = rank_count(o.ranks);
    return o.micro_batches > 0 ? o.micro_batches : ranks > 1 ? default_micro_batches * ranks : 1;
}

const std::vector<std::string> optimizers{"admm", "gd", "adadelta", "adagrad", "adam"};
const std::vector<std::string> scales{"max", "rms", "auto"};
const std::vector<std::string> steps{"exact", "backtracking", "block"};
const std::vector<std::string> z_inits{"zero", "label", "forward", "carry"};
const std::vector<std::string> last_inits{"random", "identity", "carry"};

/// Stages' layers: --grow up to --layers, then --layers itself.
std::vector<int> stage_layers(const TrainOptions& o) {
    std::vector<int> layers;
    for (const double value : number_list("--grow", o.grow, 2, 100000)) {
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

template <typename E>
E one_of(const char* option, const std::string& value, const std::vector<std::string>& names) {
    const auto found = std::find(names.begin(), names.end(), value);
    if (found == names.end())
        throw UsageError(fmt::format("{}: '{}', expected {}", option, value, fmt::join(names, ", ")));
    return static_cast<E>(found - names.begin());
}

}  // namespace

std::filesystem::path augment_cache_folder(const TrainOptions& o) {
    if (o.no_cache) return {};
    return o.cache.empty() ? default_augment_cache() : std::filesystem::path(o.cache);
}

void declare_data_options(CLI::App& app, TrainOptions& o) {
    add(app, "--dataset,-d", o.dataset,
        fmt::format("{}, a .npz file, or sbm:key=value,...", fmt::join(dataset_names(), ", ")), data_group);
    add(app, "--split", o.split,
        "auto, stored, paper, random:TRAIN_PER_CLASS/VAL/TEST, or random:60%/20%/20% of the labelled nodes",
        data_group);
    add(app, "--split-seed", o.split_seed, "seed of a random split", data_group)->check(CLI::NonNegativeNumber);
    add(app, "--hops,-K", o.hops, "blocks A^0 .. A^(K-1) in X", data_group)->check(CLI::Range(1, 64));
    choice(app, "--norm", o.norm, "normalisation of the adjacency", data_group, {"sym", "row", "none"});
    choice(app, "--self-loops", o.self_loops, "self loops of the adjacency", data_group, {"add", "keep", "none"});
    choice(app, "--feature-norm", o.feature_norm, "row: features sum to 1; l2: unit length in each hop block",
           data_group, {"none", "row", "l2"});
    flag(app, "--directed", o.directed, "keep edges as stored instead of symmetrising", data_group);
    flag(app, "--binary-features", o.binary_features, "every positive feature becomes 1", data_group);
    declare_backend_options(app, o.backend, run_group);
    add(app, "--cache", o.cache, "folder for augmented features (default: the user's cache folder)", run_group);
    flag(app, "--no-cache", o.no_cache, "neither read nor keep augmented features", run_group);
}

void declare_train_options(CLI::App& app, TrainOptions& o) {
    declare_data_options(app, o);
    add(app, "--layers,-L", o.layers, "layers of the final network", network_group)->check(CLI::Range(2, 100000));
    add(app, "--hidden", o.hidden, "neurons of a hidden layer", network_group)->check(CLI::Range(1, 1000000));
    add(app, "--grow", o.grow, "greedy growth: numbers of layers trained first, e.g. 2,5,10", network_group);

    choice(app, "--optimizer", o.optimizer,
           "pdADMM-G, or backpropagation with gradient descent or one of its relatives", algorithm_group, optimizers);
    add(app, "--epochs", o.epochs, "iterations of each stage at most", algorithm_group);
    add(app, "--stage-patience", o.stage_patience,
        "a stage ends after so many evaluations without a better validation accuracy, or without validation nodes a "
        "lower training risk; 0: never",
        algorithm_group);
    choice(app, "--stage-from", o.stage_from,
           "a stage grows from the last W and b of the one before, or from those of its best evaluation",
           algorithm_group, {"last", "best"});
    add(app, "--rho", o.rho, "penalty of p = q", algorithm_group);
    add(app, "--nu", o.nu, "penalty of z = W p + b and q = f(z)", algorithm_group);
    add(app, "--weight-decay", o.weight_decay, "mu; of backpropagation, L2 in the gradient", algorithm_group);
    choice(app, "--penalties", o.penalties,
           "relative: weight decay is given over nu and the features' mean |x - xbar|^2", algorithm_group,
           {"absolute", "relative"});
    choice(app, "--decay-to", o.decay_to, "what weight decay draws square hidden layers to", algorithm_group,
           {"zero", "identity"});
    choice(app, "--step", o.step,
           "p and W by a gradient step of exact or backtracking size, or to their minimisers (block)", algorithm_group,
           steps);
    add(app, "--step-floor", o.step_floor, "least tau and theta of exact steps (the paper's code: 20)", algorithm_group)
        ->check(CLI::NonNegativeNumber);
    choice(app, "--rho-schedule", o.rho_schedule, "grow rho and nu when this figure stalls", algorithm_group,
           {"off", "cost", "risk"});
    add(app, "--stall", o.stall, "a fall of the mean over training nodes by less than this, twice in a row, is a stall",
        algorithm_group);
    add(app, "--rho-factor", o.rho_factor, "growth of rho and nu", algorithm_group)->check(CLI::Range(1.0, 1e6));
    add(app, "--rho-max", o.rho_max, "rho and nu stop growing here", algorithm_group)->check(CLI::PositiveNumber);
    choice(app, "--weight-init", o.weight_init, "first weights", algorithm_group, {"normal", "kaiming"});
    add(app, "--init-std", o.init_std, "standard deviation of --weight-init normal", algorithm_group)
        ->check(CLI::PositiveNumber);
    add(app, "--z-init", o.z_init, "z of the last layer at the start of a stage: zero, label, forward, carry",
        algorithm_group);
    add(app, "--last-init", o.last_init, "last layer of a later stage: random, identity, carry", algorithm_group);
    choice(app, "--grow-state", o.grow_state, "p, z and q of kept layers at growth: by a forward pass, or carried over",
           algorithm_group, {"forward", "carry"});
    flag(app, "--rebuild-q", o.rebuild_q, "keep no q but rebuild it from z and u: a fifth less memory",
         algorithm_group);
    add(app, "--refresh-every", o.refresh_every, "iterations between recomputations of the residual; 0: never",
        algorithm_group)
        ->check(CLI::NonNegativeNumber);

    add(app, "--learning-rate", o.learning_rate, "of gd, adadelta, adagrad and adam", gradient_group);
    add(app, "--dropout", o.dropout, "share of hidden activations that an epoch leaves out", gradient_group)
        ->check(CLI::Range(0.0, 0.99));

    choice(app, "--parallel", o.parallel, "what --ranks divides: pipeline, the layers; data, the training nodes",
           gradient_group, {"pipeline", "data"});
    add(app, "--micro-batches", o.micro_batches,
        "of pipeline: parts of the nodes that follow each other through the layers; 0: 4 a rank, 1 on one rank",
        gradient_group)
        ->check(CLI::Range(0, 1000000));

    choice(app, "--quantize", o.quantize, "what crosses a layer border quantised", quantisation_group,
           {"none", "p", "pq"});
    choice(app, "--codec", o.codec, "grid: fixed levels; difference: changes, on a shrinking grid", quantisation_group,
           {"grid", "difference"});
    add(app, "--bits", o.bits, "bits of codec difference; 1: the sign of a change times the mean magnitude",
        quantisation_group)
        ->check(CLI::IsMember({1, 2, 4, 8, 16}));
    choice(app, "--scale", o.scale,
           "largest code of codec difference: the largest change, or 1, 3, 6 root mean squares at 2, 4, 8 bits (1 and "
           "16 bits: the same for both); auto: rms at 2 bits, else max",
           quantisation_group, scales);
    add(app, "--levels", o.levels, "levels of codec grid: lo:hi:count or a list", quantisation_group);

    add(app, "--ranks", o.ranks.count, "blocks of layers (--parallel data: of nodes), each on threads of its own",
        ranks_group)
        ->check(CLI::Range(1, 256));
    add(app, "--placement", o.placement,
        "layers of each rank: auto (balanced by measured cost), uniform (equal numbers) or a list like 4,3,3",
        ranks_group);
    add(app, "--devices", o.ranks.devices,
        "GPUs of this machine, a rank on each: 0,1,2,3; under a launcher, for its ranks here", ranks_group);
    choice(app, "--transport", o.ranks.transport,
           "between ranks; auto: local for threads, mpi for processes, nccl for GPUs", ranks_group,
           {"auto", "local", "mpi", "nccl"});
    add(app, "--rendezvous", o.ranks.rendezvous, "HOST:PORT where rank 0 listens, where the launcher does not say it",
        ranks_group);
    add(app, "--peer-timeout", o.ranks.peer_timeout, "seconds without a sign of life of a process before the job ends",
        ranks_group)
        ->check(CLI::Range(0.5, 86400.0));
    add(app, "--check-replicas", o.check_replicas,
        "iterations between comparisons of what two ranks hold both; 0: never", ranks_group)
        ->check(CLI::NonNegativeNumber);

    add(app, "--preset", o.preset,
        fmt::format("settings for this data set, under --config and the other options: {}",
                    fmt::join(preset_names(), ", ")),
        run_group);
    add(app, "--config", o.config, "TOML file with any of these options; the command line wins", run_group);
    add(app, "--seeds", o.seeds, "how many (0, 1, ...), or a list", run_group);
    add(app, "--seed", o.seed, "one run with this seed", run_group);
    add(app, "--out,-o", o.out, "run folder: configuration, metrics, models, checkpoints, summary", run_group);
    flag(app, "--overwrite", o.overwrite, "replace what an earlier run left in --out", run_group);
    add(app, "--resume", o.resume, "run folder (or one checkpoint in it) to go on with", run_group);
    add(app, "--checkpoint-every", o.checkpoint_every, "epochs between checkpoints in --out; 0: only when stopped",
        run_group)
        ->check(CLI::NonNegativeNumber);
    add(app, "--trace", o.trace,
        "file for a trace of phases and messages (of the first seed), to be opened in chrome://tracing or "
        "ui.perfetto.dev",
        run_group);
    add(app, "--trace-iterations", o.trace_iterations, "iterations of each growth stage that --trace records",
        run_group)
        ->check(CLI::Range(1, 100000));
    add(app, "--eval-every", o.eval_every,
        "epochs between accuracies; 0: between those of the validation nodes, as few as keep them a tenth of the "
        "counted work, and of all nodes where those "
        "are best or a stage ends",
        run_group)
        ->check(CLI::NonNegativeNumber);
    add(app, "--patience", o.patience, "--stage-patience of the last stage, whatever that says; 0: as it says",
        run_group)
        ->check(CLI::NonNegativeNumber);
    choice(app, "--best-of", o.best_of,
           "stages among whose evaluations the model with the best validation accuracy is kept", run_group,
           {"any-stage", "last-stage"});
    flag(app, "--quiet,-q", o.quiet, "print the summary only", run_group);
    flag(app, "--json", o.json, "print the summary as JSON", run_group);
}

std::string foreign_option(const std::string& optimizer, const std::vector<std::string>& given) {
    for (const std::string& option : foreign_to(optimizer))
        if (std::find(given.begin(), given.end(), option) != given.end()) return option;
    return "";
}

const std::vector<std::pair<std::string, std::string>>& later_options() {
    static const std::vector<std::pair<std::string, std::string>> options{
        {"scale", "max"},          {"stage-from", "last"},    {"decay-to", "zero"},
        {"penalties", "absolute"}, {"best-of", "last-stage"}, {"stage-patience", "0"}};
    return options;
}

std::vector<std::pair<std::string, std::string>> resolved_options(const CLI::App& app, const TrainOptions& o) {
    std::vector<std::pair<std::string, std::string>> values;
    std::vector<std::string> left_out = run_only;
    const std::vector<std::string>& foreign = foreign_to(o.optimizer);
    left_out.insert(left_out.end(), foreign.begin(), foreign.end());
    if (divides_nodes(o)) {  // sums over ranks differ with their number, and there are no micro-batches
        std::erase(left_out, "--ranks");
        left_out.push_back("--micro-batches");
    }
    for (const CLI::Option* option : app.get_options()) {
        const std::string name = option->get_name();
        if (std::find(left_out.begin(), left_out.end(), name) != left_out.end()) continue;
        const bool is_flag = option->get_expected_max() == 0;
        std::string value = is_flag ? "false" : option->get_default_str();
        if (option->count() > 0) value = is_flag ? (option->as<bool>() ? "true" : "false") : option->results().back();
        if (name == "--micro-batches") value = std::to_string(micro_batches(o));
        if (name == "--ranks") value = std::to_string(rank_count(o.ranks));
        values.emplace_back(name.substr(2), value);
    }
    return values;
}

SolverOptions solver_options(const TrainOptions& o, std::uint64_t seed) {
    SolverOptions s;
    const std::vector<int> layers = stage_layers(o);
    const std::size_t declared = std::max<std::size_t>(1, number_list("--grow", o.grow, 2, 100000).size());
    const auto epochs = number_list("--epochs", o.epochs, 1, 1e9), rho = number_list("--rho", o.rho, 1e-30, 1e30),
               patience = number_list("--stage-patience", o.stage_patience, 0, 1e9),
               nu = number_list("--nu", o.nu, 1e-30, 1e30),
               rate = number_list("--learning-rate", o.learning_rate, 1e-30, 1e30),
               mu = number_list("--weight-decay", o.weight_decay, 0, 1e30);
    const auto z_init = split_text(o.z_init, ','), last_init = split_text(o.last_init, ',');
    s.stages.clear();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const auto pick = [&](const char* option, const auto& list) {
            return entry(option, list, i, layers.size(), declared);
        };
        Stage stage;
        stage.layers = layers[i];
        stage.epochs = static_cast<int>(pick("--epochs", epochs));
        if (stage.epochs != pick("--epochs", epochs))
            throw UsageError(fmt::format("--epochs: '{}', expected whole numbers", o.epochs));
        stage.patience = static_cast<int>(pick("--stage-patience", patience));
        if (stage.patience != pick("--stage-patience", patience))
            throw UsageError(fmt::format("--stage-patience: '{}', expected whole numbers", o.stage_patience));
        stage.rho = pick("--rho", rho);
        stage.nu = pick("--nu", nu);
        stage.weight_decay = pick("--weight-decay", mu);
        stage.learning_rate = pick("--learning-rate", rate);
        stage.z_init = one_of<ZInit>("--z-init", pick("--z-init", z_init), z_inits);
        stage.last_init = one_of<LastInit>("--last-init", pick("--last-init", last_init), last_inits);
        if (i == 0 && stage.z_init == ZInit::carry) stage.z_init = ZInit::forward;  // nothing to carry yet
        s.stages.push_back(stage);
    }
    s.optimizer = one_of<Optimizer>("--optimizer", o.optimizer, optimizers);
    s.dropout = o.dropout;
    s.parallel = one_of<Parallel>("--parallel", o.parallel, {"pipeline", "data"});
    if (divides_nodes(o) && o.micro_batches > 0)
        throw UsageError("--micro-batches: with --parallel data, expected pipeline; leave it out");
    s.micro_batches = micro_batches(o);
    s.hidden = o.hidden;
    s.step = {one_of<StepRule>("--step", o.step, steps), o.step_floor};
    s.penalties = one_of<Penalties>("--penalties", o.penalties, {"absolute", "relative"});
    s.decay_to = one_of<DecayTo>("--decay-to", o.decay_to, {"zero", "identity"});
    s.schedule.watch = one_of<RhoSchedule::Watch>("--rho-schedule", o.rho_schedule, {"off", "cost", "risk"});
    s.schedule.threshold = o.stall;
    s.schedule.factor = o.rho_factor;
    s.schedule.most = o.rho_max;
    s.weight_init = o.weight_init == "normal" ? WeightInit::normal : WeightInit::kaiming;
    s.init_std = o.init_std;
    s.grow_state = one_of<GrowState>("--grow-state", o.grow_state, {"forward", "carry"});
    s.quantize = one_of<Quantize>("--quantize", o.quantize, {"none", "p", "pq"});
    s.codec = o.codec == "grid" ? Codec::grid : Codec::difference;
    s.bits = o.bits;
    s.scale = o.scale == "auto" ? (o.bits == 2 ? ChangeScale::rms : ChangeScale::max)
                                : one_of<ChangeScale>("--scale", o.scale, scales);
    if (s.quantize != Quantize::none && s.codec == Codec::grid) s.levels = grid_levels(o);
    s.eval_every = o.eval_every;
    s.refresh_every = o.refresh_every;
    s.rebuild_q = o.rebuild_q;
    if (o.patience > 0) s.stages.back().patience = o.patience;
    s.stage_from = one_of<StageFrom>("--stage-from", o.stage_from, {"last", "best"});
    if (s.stage_from == StageFrom::best && s.optimizer == Optimizer::admm && s.grow_state == GrowState::carry)
        throw UsageError(
            "--stage-from: best with --grow-state carry, expected --grow-state forward; p, z and q of the best "
            "evaluation are not kept");
    s.best_of = one_of<BestOf>("--best-of", o.best_of, {"any-stage", "last-stage"});
    s.seed = seed;
    s.placement = placement_rule(o.placement);
    s.trace_iterations = o.trace_iterations;
    s.check_replicas = o.check_replicas;
    return s;
}

AugmentOptions augment_options(const TrainOptions& o) {
    AugmentOptions a;
    a.hops = o.hops;
    a.graph.norm = one_of<Norm>("--norm", o.norm, {"sym", "row", "none"});
    a.graph.self_loops = one_of<SelfLoops>("--self-loops", o.self_loops, {"add", "keep", "none"});
    a.graph.directed = o.directed;
    a.feature_norm = one_of<FeatureNorm>("--feature-norm", o.feature_norm, {"none", "row", "l2"});
    return a;
}

std::vector<std::uint64_t> chosen_seeds(const TrainOptions& o) {
    const char* option = o.seed.empty() ? "--seeds" : "--seed";
    const std::string& text = o.seed.empty() ? o.seeds : o.seed;
    std::vector<std::uint64_t> seeds;
    for (const double value : number_list(option, text, 0, 4294967295.0)) {
        if (value != std::floor(value)) throw UsageError(fmt::format("{}: '{}', expected whole numbers", option, text));
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
