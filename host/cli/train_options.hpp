// Values of the options of `pdadmm train` as they are typed, with their defaults, and what the solver wants of them.
// The options themselves are in option_table.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "host/cli/backend_choice.hpp"
#include "host/cli/rank_session.hpp"
#include "host/data/augmentation.hpp"
#include "host/data/dataset_reader.hpp"
#include "pdadmm/training.hpp"

namespace pdadmm {

/// Lists are comma separated text; a list with one entry a growth stage may have a single entry for all stages.
struct TrainOptions {
    std::string dataset = "sbm", split = "auto", split_index = "0", unlabelled = "-1", norm = "sym", self_loops = "add",
                feature_norm = "none", augment = "gcn";
    std::uint64_t split_seed = 0;
    bool binary_features = false, directed = false;
    int hops = 5;

    int layers = 10, hidden = 100;
    std::string grow;
    std::string stage_patience = "0", stage_from = "last", best_of = "any-stage", metric = "auto",
                class_weights = "none";
    std::string epochs = "200", rho = "0.01", nu = "0.01", weight_decay = "0.01";
    std::string step = "exact", decay_to = "zero", penalties = "relative", rho_schedule = "off",
                weight_init = "kaiming", z_init = "forward", last_init = "carry";
    std::string grow_state = "forward";
    std::string optimizer = "admm", learning_rate = "0.001", rate_schedule = "constant";
    std::string parallel = "pipeline";
    int micro_batches = 0, exchange_every = 8, exchange_all_every = 0, groups = 1;
    double dropout = 0, momentum = 0.9, pull = 0;
    double step_floor = 0, stall = 1e-3, rho_factor = 10, rho_max = 1, init_std = 0.1;
    int refresh_every = 25;
    bool rebuild_q = false;

    std::string quantize = "none", codec = "difference", scale = "auto", levels = "-1:20:22";
    int bits = 8;

    BackendChoice backend;
    RankChoice ranks;
    int node_ranges = 0;
    std::string owners;  // folders; empty: --dataset is all there is
    int trace_iterations = 50, check_replicas = 0;
    std::string placement = "auto", trace;
    std::string seeds = "1", seed, out, resume, preset = "fast", config, cache, registry;
    int eval_every = 0, patience = 0, checkpoint_every = 0;
    bool overwrite = false, quiet = false, json = false, no_cache = false;
};

/// --split-index all: a run for every split that the file holds, whose seed is the split's number.
bool every_split(const TrainOptions& options);
/// Throws UsageError where it is given to a command of one split.
void require_one_split(const TrainOptions& options);
/// Number of the stored split that a run with this seed takes. Throws UsageError.
Index split_number(const TrainOptions& options, std::uint64_t seed);
/// What reading the data set for such a run needs of the options. Throws UsageError.
LoadOptions load_options(const TrainOptions& options, std::uint64_t seed = 0);
/// The label that --unlabelled gives as text. Throws UsageError.
Index unlabelled_label(const std::string& text);

/// Where augmented features are kept; empty: nowhere.
std::filesystem::path augment_cache_folder(const TrainOptions& options);

/// Whether ranks have weights of their own.
bool has_workers(const TrainOptions& options);
/// Gives --grid what --parallel data stands for. Throws UsageError where they contradict each other, or where the grid
/// of baselines is to be chosen.
void settle_grid(TrainOptions& options);
/// Parts of the training nodes that --micro-batches stands for.
int micro_batches(const TrainOptions& options);

/// The solver's options, but for the seed. Throws UsageError naming the option, what was found and what is expected.
SolverOptions solver_options(TrainOptions options);
AugmentOptions augment_options(TrainOptions options);
/// --seed alone, else --seeds: "5" is 0 to 4, "3,7" is that list.
std::vector<std::uint64_t> chosen_seeds(TrainOptions options);

}  // namespace pdadmm
