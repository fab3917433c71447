// What a run's folder says of the run, read back for its report.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace pdadmm {

/// The figures of a line of metrics.jsonl that a report shows.
inline constexpr std::array row_figures{"epoch",
                                        "stage",
                                        "layers",
                                        "objective",
                                        "primal_residual",
                                        "linear_residual",
                                        "rho",
                                        "nu",
                                        "seconds",
                                        "bytes",
                                        "train_accuracy",
                                        "val_accuracy",
                                        "test_accuracy",
                                        "train_micro_f1",
                                        "val_micro_f1",
                                        "test_micro_f1",
                                        "setup_seconds"};
struct MetricsRow {
    std::array<double, row_figures.size()> values;                     // NaN where the line has none
    std::vector<double> layer_primal_residual, layer_linear_residual;  // where it was evaluated
};

/// One seed's folder. Rows are lines of metrics.jsonl (host/run/README.md); `summary` is null where the run is not
/// done.
struct SeedRecord {
    nlohmann::json config, summary;
    std::vector<MetricsRow> rows;
    std::string confusion;  // confusion.csv; "" where there is none
};

/// A run of one or several seeds.
struct RunRecord {
    std::string folder, name, config_toml;
    std::vector<SeedRecord> seeds;

    /// An entry of the configuration as text; "" where it is missing.
    std::string option(const std::string& key) const;
};

/// Throws DataError where `folder` is not what pdadmm train wrote, or holds no iteration yet.
RunRecord read_run(const std::string& folder);

/// One seed's folder, which may hold no iteration yet. Throws DataError where its files are not what pdadmm train
/// wrote.
SeedRecord read_seed(const std::string& folder);

/// A figure of a line, or a number of a summary; NaN where there is none.
double figure(const MetricsRow& row, std::string_view key);
/// Of the iteration, and of a stage's set-up before it.
double training_seconds(const MetricsRow& row);
double figure(const nlohmann::json& object, const std::string& key);
/// The other way: null where it is no finite number, which JSON does not have.
nlohmann::json number_or_null(double value);

struct MeanSd {
    double mean, sd;  // NaN of no values; sd is NaN of one
};
MeanSd mean_sd(const std::vector<double>& values);
/// "0.829 ± 0.002", or the mean alone; "" of no values.
std::string to_string(const MeanSd& m);

/// What the best model was chosen by: "accuracy", or another figure's name.
std::string metric_of(const RunRecord& run);
/// The part of a seed's summary that has it: of "last" or "best".
std::string metric_part(const RunRecord& run, const char* part);
/// Of every finished seed, that part's `set`: "train", "val" or "test".
std::vector<double> accuracies(const RunRecord& run, const char* part, const char* set);

}  // namespace pdadmm
