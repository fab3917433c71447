// What a run reads and writes in its folder: its configuration, metrics, models, checkpoints and summary.
#pragma once

#include <optional>
#include <string>

#include "host/run/training_run.hpp"
#include "host/store/checkpoint_store.hpp"
#include "host/store/run_directory.hpp"

namespace pdadmm {

/// The result of a run that has finished before; none where it has not, or is to go further. Throws DataError where the
/// folder's run is another than `settings` describe.
std::optional<RunResult> finished_result(const RunSettings& settings);

/// The folder of a run: everything that is written goes through here.
class RunFiles {
public:
    RunFiles(const RunSettings& settings, RunMode mode, Warnings& warnings);

    /// Goes on from the newest checkpoint, whose last record is returned; none where the run never saved one.
    /// Collective with follow_restore(), and where nodes have owners over all keepers: from the newest that all of them
    /// have.
    std::optional<EpochRecord> restore(Trainer& trainer, Warnings& warnings);

    /// config.json, config.toml and origin.json.
    void write_configuration();
    void append_metrics(const EpochRecord& record);
    void checkpoint(CheckpointData data, const EpochRecord& last, Warnings& warnings);
    void write_status(const std::string& end, int signal, Index epoch, int exit);
    /// Models, confusion.csv, summary.json, the status of a run that is done, and its report.
    void write_result(const RunResult& result, const Model& model, const std::optional<BestModel>& best,
                      Backend& backend, Warnings& warnings);

private:
    std::optional<CheckpointData> newest_checkpoint(Ranks& ranks, Warnings& warnings);
    void write_model(const std::string& name, const Model& model, Index epoch);

    RunDirectory directory_;
    CheckpointStore store_;
    const RunSettings& settings_;
};

/// report.html of a run, or of the seeds below it. Where what it tells of is damaged, a warning: the run is whole
/// without.
void write_report(RunDirectory& directory, const std::string& program, Warnings& warnings);

/// The part of RunFiles::restore of ranks that keep nothing.
void follow_restore(Trainer& trainer);

}  // namespace pdadmm
