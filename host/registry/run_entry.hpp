// What the registry says of one run: all of it read from the run's folder, so that the folders are the truth and the
// registry can be made again from them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/store/run_origin.hpp"

namespace pdadmm {

/// A figure of an iteration that was evaluated.
struct HistoryPoint {
    std::string name;  // train, val, test, objective, primal_residual, linear_residual, seconds (since the start)
    std::int64_t epoch = 0;
    double value = 0;

    bool operator==(const HistoryPoint&) const = default;
};

/// One evaluation of the run's model by pdadmm evaluate.
struct EvaluationEntry {
    double at = 0;  // seconds since 1970
    std::string dataset, data_digest, model, program;
    std::map<std::string, double> figures;  // "test accuracy", "test macro-f1", ...
};

struct RunEntry {
    std::string folder;  // absolute; in the file relative to it where it lies below
    std::string parent;  // the folder of its run of several seeds; "" where it has none
    RunOrigin origin;
    std::string state;  // running, done, stopped (by a signal, or by a search), failed (by an error), lost (ended
                        // without a word)
    int exit = 0;
    double changed = 0;                          // seconds since 1970, of the newest of its files
    std::map<std::string, std::string> options;  // config.json: every option, digest and fact that decides the result
    /// train, val, test: accuracy at the best validation figure, else of the last iterate; last_train and so on: of the
    /// last iterate; val_macro_f1 and so on with another --metric; objective, seconds, bytes, iterations,
    /// best_iteration, parameters of the summary, or of a run that is not done, of its newest iterations.
    std::map<std::string, double> figures;
    std::vector<HistoryPoint> history;           // at most 300 iterations
    std::map<std::string, std::uint64_t> files;  // bytes of each; of checkpoints, in all
    std::vector<EvaluationEntry> evaluations;    // in the registry alone

    std::string option(const std::string& name) const;
    /// NaN where there is none.
    double figure(const std::string& name) const;
};

/// Figures that a run may have beside those of another --metric, in the order in which pages show them.
bool is_figure(std::string_view name);

/// The folder is one seed's run.
bool is_run(const std::filesystem::path& folder);

/// The entry of a run's folder. Throws DataError where it is none, or its files are not what pdadmm train wrote.
RunEntry read_entry(const std::filesystem::path& folder);

}  // namespace pdadmm
