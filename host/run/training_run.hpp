// One seed's training from start or checkpoint to its summary, with its folder, progress line and signals.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/run/model_file.hpp"
#include "host/train/trainer.hpp"

namespace pdadmm {

struct RunSettings {
    SolverOptions solver;
    nlohmann::json identity;  // flat: every option, digest and build fact that decides the result
    nlohmann::json unrecorded =
        nlohmann::json::object();        // options of it that came later: what runs that record none went by
    std::vector<std::string> extending;  // keys of it that may differ when the run is resumed
    SavedModel model_template;
    const AugmentedNodes* nodes = nullptr;  // with X, where rank 0 is
    std::string folder;                     // empty: nothing is written
    std::string config_toml, program;       // the options as a file; version and build
    bool overwrite = false, resume = false, quiet = false;
    std::string exact_checkpoint;  // --resume named one checkpoint
    std::function<void()> begun;   // called on rank 0 when the folder holds the run's configuration
    int checkpoint_every = 0;
    Index pause_after = 0;               // epochs in all after which the run is saved and ends, to be resumed; 0: never
    std::string trace;                   // file for a trace of the first run; empty: none
    int run = 1, runs = 1;               // for the progress line
    std::vector<int> memory_sharers{0};  // ranks that take memory from where this one does, itself among them
};

struct RunResult {
    std::uint64_t seed = 0;
    Index epochs = 0;
    double objective = 0, seconds = 0, setup_seconds = 0;  // as in Progress
    std::uint64_t bytes = 0;
    Index epochs_here = 0;  // by this command, with its number of ranks
    std::uint64_t bytes_here = 0;
    std::vector<std::uint64_t>
        border_bytes;  // of an iteration of the last stage, over each border between ranks (Trainer::border_bytes)
    Metric metric = Metric::accuracy;
    Evaluation last;
    std::optional<Evaluation> best;  // of the epoch with the best validation figure
    Index best_epoch = 0;
    int best_layers = 0;      // of its network
    int stopped_by = 0;       // signal; the run is saved and can be resumed
    bool paused = false;      // RunSettings::pause_after; likewise
    std::string trace_error;  // why the trace could not be written; the run is whole without it
};

/// With `links` this is one of several ranks, which all call it: rank 0 alone prints and writes, and reads what decides
/// whether a run goes on; the others read its checkpoint. The result is complete on rank 0; stopped_by is the same on
/// all.
RunResult run_training(Backend& backend, const NodeData& data, const RunSettings& settings, RankLinks links = {});

nlohmann::json to_json(const RunResult& result);

}  // namespace pdadmm
