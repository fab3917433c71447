// The table of options (host/cli/option_table.hpp).
#include "host/cli/option_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/cli/presets.hpp"
#include "host/data/dataset_reader.hpp"

namespace pdadmm {
namespace {

constexpr const char* run_group = "Run";
constexpr const char* algorithm_group = "Algorithm (lists: one value, or one for each growth stage)";
constexpr Range penalties{1e-30, 1e30}, decays{0, 1e30}, epochs{1, 1e9}, evaluations{0, 1e9}, seeds{0, 4294967295.0};
constexpr Method admm = Method::admm, backpropagation = Method::backpropagation;

Options graph_options(TrainOptions& o) {
    return grouped(
        "Data", {{"--dataset,-d",
                  &o.dataset,
                  fmt::format("{}, a .npz file or a folder, or sbm:key=value,...", fmt::join(dataset_names(), ", ")),
                  {.named = true}},
                 {"--split", &o.split,
                  "auto, stored, paper, random:TRAIN_PER_CLASS/VAL/TEST, or random:60%/20%/20% of the labelled nodes"},
                 {"--split-seed", &o.split_seed, "seed of a random split", {.range = from_zero}},
                 {"--split-index",
                  &o.split_index,
                  "which of several splits that the file holds; all: a run for each, its number being the seed",
                  {.before = "0"}},
                 {"--unlabelled", &o.unlabelled, "label that means none, beside -1 and NaN", {.before = "-1"}},
                 {"--hops,-K", &o.hops, "powers A^0 .. A^(K-1) in X", {.range = Range{1, 64}}},
                 {"--augment", &o.augment, "list of gcn, row, high, ppr:ALPHA, heat:T", {.before = "gcn"}},
                 {"--norm", &o.norm, "normalisation of the adjacency", {.choices = {"sym", "row", "none"}}},
                 {"--self-loops", &o.self_loops, "self loops of the adjacency", {.choices = {"add", "keep", "none"}}},
                 {"--feature-norm",
                  &o.feature_norm,
                  "row: features sum to 1; l2: unit length in each hop block",
                  {.choices = {"none", "row", "l2"}}},
                 {"--directed", &o.directed, "keep edges as stored instead of symmetrising"},
                 {"--binary-features", &o.binary_features, "every positive feature becomes 1"}});
}

Options cache_options(TrainOptions& o) {
    return grouped(
        run_group,
        {{"--cache",
          &o.cache,
          "folder for augmented features (default: the user's cache folder)",
          {.named = true, .identity = Identity::none}},
         {"--no-cache", &o.no_cache, "neither read nor keep augmented features", {.identity = Identity::none}}});
}

Options network_options(TrainOptions& o) {
    return grouped("Network", {{"--layers,-L", &o.layers, "layers of the final network", {.range = Range{2, 100000}}},
                               {"--hidden", &o.hidden, "neurons of a hidden layer", {.range = Range{1, 1000000}}},
                               {"--grow",
                                &o.grow,
                                "greedy growth: numbers of layers trained first, e.g. 2,5,10",
                                {.range = Range{2, 100000}, .list = true}}});
}

Options stage_options(TrainOptions& o) {
    return grouped(
        algorithm_group,
        {{"--optimizer",
          &o.optimizer,
          "pdADMM-G, or backpropagation with gradient descent or one of its relatives",
          {.choices = {"admm", "gd", "adadelta", "adagrad", "adam", "momentum", "nesterov", "adamw"}}},
         {"--epochs",
          &o.epochs,
          "iterations of each stage at most",
          {.range = epochs, .list = true, .whole = true, .identity = Identity::extends}},
         {"--stage-patience",
          &o.stage_patience,
          "a stage ends after so many evaluations without a better validation figure (--metric), or without validation "
          "nodes a lower training risk; 0: never",
          {.range = evaluations, .list = true, .whole = true, .identity = Identity::extends, .before = "0"}},
         {"--stage-from",
          &o.stage_from,
          "a stage grows from the last W and b of the one before, or from those of its best evaluation",
          {.choices = {"last", "best"}, .before = "last"}}});
}

Options penalty_options(TrainOptions& o) {
    return grouped(
        algorithm_group,
        {{"--rho", &o.rho, "penalty of p = q", {.range = penalties, .list = true, .method = admm}},
         {"--nu", &o.nu, "penalty of z = W p + b and q = f(z)", {.range = penalties, .list = true, .method = admm}},
         {"--weight-decay",
          &o.weight_decay,
          "mu; of backpropagation, L2 in the gradient, or beside it with adamw",
          {.range = decays, .list = true}},
         {"--penalties",
          &o.penalties,
          "relative: weight decay is given over nu and the features' mean |x - xbar|^2",
          {.choices = {"absolute", "relative"}, .method = admm, .before = "absolute"}},
         {"--class-weights",
          &o.class_weights,
          "balanced: a node's cross entropy counts in the risk by the rarity of its class, so that all classes weigh "
          "the "
          "same",
          {.choices = {"none", "balanced"}, .before = "none"}},
         {"--decay-to",
          &o.decay_to,
          "what weight decay draws square hidden layers to",
          {.choices = {"zero", "identity"}, .method = admm, .before = "zero"}},
         {"--step",
          &o.step,
          "p and W by a gradient step of exact or backtracking size, or to their minimisers (block)",
          {.choices = {"exact", "backtracking", "block"}, .method = admm}},
         {"--step-floor",
          &o.step_floor,
          "least tau and theta of exact steps (the paper's code: 20)",
          {.range = from_zero, .method = admm}},
         {"--rho-schedule",
          &o.rho_schedule,
          "grow rho and nu when this figure stalls",
          {.choices = {"off", "cost", "risk"}, .method = admm}},
         {"--stall",
          &o.stall,
          "a fall of the mean over training nodes by less than this, twice in a row, is a stall",
          {.range = from_zero, .method = admm}},
         {"--rho-factor", &o.rho_factor, "growth of rho and nu", {.range = Range{1, 1e6}, .method = admm}},
         {"--rho-max", &o.rho_max, "rho and nu stop growing here", {.range = above_zero, .method = admm}}});
}

Options start_options(TrainOptions& o) {
    return grouped(
        algorithm_group,
        {{"--weight-init", &o.weight_init, "first weights", {.choices = {"normal", "kaiming"}}},
         {"--init-std", &o.init_std, "standard deviation of --weight-init normal", {.range = above_zero}},
         {"--z-init",
          &o.z_init,
          "z of the last layer at the start of a stage: zero, label, forward, carry",
          {.choices = {"zero", "label", "forward", "carry"}, .list = true, .method = admm}},
         {"--last-init",
          &o.last_init,
          "last layer of a later stage: random, identity, carry",
          {.choices = {"random", "identity", "carry"}, .list = true}},
         {"--grow-state",
          &o.grow_state,
          "p, z and q of kept layers at growth: by a forward pass, or carried over",
          {.choices = {"forward", "carry"}, .method = admm}},
         {"--rebuild-q", &o.rebuild_q, "keep no q but rebuild it from z and u: a fifth less memory", {.method = admm}},
         {"--refresh-every",
          &o.refresh_every,
          "iterations between recomputations of the residual; 0: never",
          {.range = from_zero, .method = admm}}});
}

Options backpropagation_options(TrainOptions& o) {
    return grouped(
        "Backpropagation (lists likewise)",
        {{"--learning-rate",
          &o.learning_rate,
          "of an epoch's step; rates of a usual size differ by the optimizer",
          {.range = penalties, .list = true, .method = backpropagation}},
         {"--rate-schedule",
          &o.rate_schedule,
          "cosine: the learning rate falls to 0 over the --epochs of a stage, which a resumed run then cannot change",
          {.choices = {"constant", "cosine"}, .method = backpropagation, .before = "constant"}},
         {"--momentum",
          &o.momentum,
          "share of the last step that momentum and nesterov keep",
          {.range = Range{0, 0.9999}, .method = backpropagation, .before = "0.9"}},
         {"--dropout",
          &o.dropout,
          "share of hidden activations that an epoch leaves out",
          {.range = Range{0, 0.99}, .method = backpropagation}},
         {"--parallel",
          &o.parallel,
          "what --ranks divides: pipeline, the layers, or both with --grid; data, the training nodes; elastic and "
          "leader (EASGD, LSGD), too, but each rank has weights of its own",
          {.choices = {"pipeline", "data", "elastic", "leader"}, .method = backpropagation}},
         {"--micro-batches",
          &o.micro_batches,
          "of pipeline: parts of the nodes that follow each other through the layers; 0: 4 a rank, 1 where each has "
          "all layers",
          {.range = Range{0, 1000000}, .method = backpropagation, .identity = Identity::of_pipeline}},
         {"--exchange-every",
          &o.exchange_every,
          "of elastic and leader: epochs after which a rank is pulled to the centre, or to the best of its group",
          {.range = Range{1, 1000000}, .method = backpropagation, .before = "8"}},
         {"--exchange-all-every",
          &o.exchange_all_every,
          "of leader: epochs after which it is pulled to the best of all; 0: --exchange-every",
          {.range = Range{0, 1000000}, .method = backpropagation, .before = "0"}},
         {"--groups",
          &o.groups,
          "of leader: groups of ranks with a leader each",
          {.range = Range{1, 256}, .method = backpropagation, .before = "1"}},
         {"--pull",
          &o.pull,
          "of elastic: the centre's moving rate; of leader: the share of the way to it; 0: 0.9 and 0.1",
          {.range = Range{0, 1}, .method = backpropagation, .before = "0"}}});
}

Options quantisation_options(TrainOptions& o) {
    return grouped(
        "Quantisation",
        {{"--quantize",
          &o.quantize,
          "what crosses a layer border quantised",
          {.choices = {"none", "p", "pq"}, .method = admm}},
         {"--codec",
          &o.codec,
          "grid: fixed levels; difference: changes, on a shrinking grid",
          {.choices = {"grid", "difference"}, .method = admm}},
         {"--bits",
          &o.bits,
          "bits of codec difference; 1: the sign of a change times the mean magnitude",
          {.choices = {"1", "2", "4", "8", "16"}, .method = admm}},
         {"--scale",
          &o.scale,
          "largest code of codec difference: the largest change, or 1, 3, 6 root mean squares at 2, 4, 8 bits (1 and "
          "16 bits: the same for both); auto: rms at 2 bits, else max",
          {.choices = {"max", "rms", "auto"}, .method = admm, .before = "max"}},
         {"--levels", &o.levels, "levels of codec grid: lo:hi:count or a list", {.method = admm}}});
}

Options rank_options(TrainOptions& o) {
    return grouped(
        "Ranks (or start with mpirun, torchrun --no-python, srun)",
        {{"--ranks",
          &o.ranks.count,
          "blocks of layers (or what --parallel divides), each on threads of its own",
          {.range = Range{1, 256}, .identity = Identity::of_workers}},
         {"--grid",
          &o.ranks.grid,
          "blocks of layers x blocks of training nodes, like 4x2; -1: the rest of --ranks or of those started; auto: "
          "the fastest by count, of pdADMM-G alone (default: layers alone)",
          {.identity = Identity::none, .agreed = true}},
         {"--node-ranges",
          &o.node_ranges,
          "ranges of training nodes that sums are formed by, which decide the last bits; 0: 16 from 4096 nodes on, "
          "else 1",
          {.range = Range{0, 64}, .before = "0"}},
         {"--owners",
          &o.owners,
          "folders of pdadmm augment --out, like a/,b/,c/, in place of --dataset: each is a block of nodes, and its "
          "rank "
          "alone reads it",
          {.named = true, .method = admm, .identity = Identity::kept, .agreed = true}},
         {"--placement",
          &o.placement,
          "layers of each rank: auto (balanced by measured cost), uniform (equal numbers) or a list like 4,3,3",
          {.method = admm, .identity = Identity::none, .agreed = true}},
         {"--devices",
          &o.ranks.devices,
          "GPUs of this machine, a rank on each: 0,1,2,3; under a launcher, for its ranks here",
          {.identity = Identity::none}},
         {"--transport",
          &o.ranks.transport,
          "between ranks; auto: local for threads, mpi for processes, nccl for GPUs",
          {.choices = {"auto", "local", "mpi", "nccl"}, .identity = Identity::none}},
         {"--rendezvous",
          &o.ranks.rendezvous,
          "HOST:PORT where rank 0 listens, where the launcher does not say it",
          {.identity = Identity::none}},
         {"--peer-timeout",
          &o.ranks.peer_timeout,
          "seconds without a sign of life of a process before the job ends",
          {.range = Range{0.5, 86400}, .identity = Identity::none}},
         {"--check-replicas",
          &o.check_replicas,
          "iterations between comparisons of what two ranks hold both; 0: never",
          {.range = from_zero, .method = admm, .identity = Identity::none, .agreed = true}}});
}

Options folder_options(TrainOptions& o) {
    return grouped(
        run_group,
        {{"--preset",
          &o.preset,
          fmt::format("settings for this data set, under --config and the other options: {}",
                      fmt::join(preset_names(), ", ")),
          {.identity = Identity::none}},
         {"--config",
          &o.config,
          "TOML file with any of these options; the command line wins",
          {.named = true, .identity = Identity::none, .in_files = false}},
         {"--seeds",
          &o.seeds,
          "how many (0, 1, ...), or a list",
          {.range = seeds, .list = true, .whole = true, .identity = Identity::seed}},
         {"--seed", &o.seed, "one run with this seed", {.range = seeds, .whole = true, .identity = Identity::seed}},
         {"--out,-o",
          &o.out,
          "run folder: configuration, metrics, models, checkpoints, summary",
          {.named = true, .identity = Identity::none, .agreed = true}},
         {"--registry",
          &o.registry,
          "file that lists runs, or off (default: registry.sqlite beside the folder of --out)",
          {.named = true, .identity = Identity::none}},
         {"--overwrite", &o.overwrite, "replace what an earlier run left in --out", {.identity = Identity::none}},
         {"--resume",
          &o.resume,
          "run folder (or one checkpoint in it) to go on with",
          {.named = true, .identity = Identity::none, .agreed = true, .in_files = false}},
         {"--checkpoint-every",
          &o.checkpoint_every,
          "epochs between checkpoints in --out; 0: only when stopped",
          {.range = from_zero, .identity = Identity::kept, .agreed = true}}});
}

Options watching_options(TrainOptions& o) {
    return grouped(
        run_group,
        {{"--trace",
          &o.trace,
          "file for a trace of phases and messages (of the first seed), to be opened in chrome://tracing or "
          "ui.perfetto.dev",
          {.named = true, .method = admm, .identity = Identity::none}},
         {"--trace-iterations",
          &o.trace_iterations,
          "iterations of each growth stage that --trace records",
          {.range = Range{1, 100000}, .method = admm, .identity = Identity::none}},
         {"--eval-every",
          &o.eval_every,
          "epochs between accuracies; 0: between those of the validation nodes, as few as keep them a tenth of the "
          "counted work, and of all nodes where those are best or a stage ends",
          {.range = from_zero}},
         {"--patience",
          &o.patience,
          "--stage-patience of the last stage, whatever that says; 0: as it says",
          {.range = from_zero, .identity = Identity::extends}},
         {"--best-of",
          &o.best_of,
          "stages among whose evaluations the model with the best validation figure is kept",
          {.choices = {"any-stage", "last-stage"}, .identity = Identity::extends, .before = "last-stage"}},
         {"--metric",
          &o.metric,
          "figure of the validation nodes that chooses the best model and ends stages; auto: micro-f1 where nodes have "
          "several labels, else accuracy",
          {.choices = {"accuracy", "macro-f1", "weighted-f1", "roc-auc", "average-precision", "micro-f1", "auto"},
           .before = "accuracy"}},
         {"--quiet,-q", &o.quiet, "print the summary only", {.identity = Identity::none}},
         {"--json", &o.json, "print the summary as JSON", {.identity = Identity::none}}});
}

}  // namespace

Options data_table(TrainOptions& o) {
    return joined({graph_options(o), backend_options(o.backend, run_group), cache_options(o)});
}

Options train_table(TrainOptions& o) {
    return joined({data_table(o), network_options(o), stage_options(o), penalty_options(o), start_options(o),
                   backpropagation_options(o), quantisation_options(o), rank_options(o), folder_options(o),
                   watching_options(o)});
}

std::vector<std::string> augment_option_names() {
    return {"--hops", "--augment", "--norm", "--self-loops", "--feature-norm", "--directed", "--binary-features"};
}

std::vector<std::string> augment_arguments(TrainOptions o) {
    const Options table = data_table(o);
    std::vector<std::string> arguments;
    for (const std::string& name : augment_option_names()) {
        const Option& option = record(table, name);
        const bool* flag = option.is_flag() ? std::get<bool*>(option.value) : nullptr;
        if (!flag)
            arguments.push_back(name + "=" + text_of(option.value));
        else if (*flag)
            arguments.push_back(name);
    }
    return arguments;
}

}  // namespace pdadmm
