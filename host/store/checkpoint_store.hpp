// Checkpoints that survive kill -9, a full disk and a power loss.
//
// RUN/checkpoints/NNNNNNNN (the iteration over the whole run) holds one safetensors shard a layer and further named
// ones, and manifest.json with the length and digest of each. Everything is written into .tmp-NNNNNNNN and fsync'ed,
// files first, then the folder; one rename makes it a checkpoint, an fsync of checkpoints/ makes that durable; only
// then the oldest goes, again by rename (.old-NNNNNNNN) first. So a folder with a checkpoint's name is complete,
// whatever interrupted the run, and no existing checkpoint is ever written into. Shards belong to layers, not to ranks:
// any number of ranks can resume.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/format/safetensors.hpp"
#include "host/store/checkpoint_manifest.hpp"
#include "host/store/run_directory.hpp"

namespace pdadmm {

/// What one checkpoint holds. Shard names are [a-z0-9-], e.g. "layer-01", "model-best", in the order of the manifest.
struct CheckpointData {
    std::uint64_t step = 0;
    nlohmann::json meta = nlohmann::json::object();  // finite numbers only: JSON has no others
    std::vector<std::pair<std::string, SafetensorsFile>> shards;
    std::string folder;  // where it was loaded from, for messages

    /// Throws DataError naming the folder and the shard that is missing.
    const SafetensorsFile& shard(std::string_view name) const;
};

/// The run has made no checkpoint yet: it can only start anew.
struct NoCheckpointError : DataError {
    using DataError::DataError;
};

/// Shards to keep in memory; every shard's digest is verified in any case. Empty: all.
using ShardFilter = std::function<bool(std::string_view name)>;

/// Loads exactly this folder. Throws DataError naming the file and what is wrong with it.
CheckpointData load_checkpoint(const std::string& folder, const ShardFilter& wanted = {});

/// The newest valid checkpoint of a run. Each damaged one on the way is a warning that says what was wrong; DataError
/// where none is left, or at once for one of a newer format version, which is not damaged; NoCheckpointError where
/// there is none.
CheckpointData load_newest_checkpoint(const std::string& run_folder, Warnings& warnings,
                                      const ShardFilter& wanted = {});

/// What `--resume PATH` names: a run's folder, or one checkpoint in it (RUN/checkpoints/NNNNNNNN).
struct ResumeSource {
    std::string run_folder;
    std::optional<std::string> checkpoint;  // exact: no fallback
};
ResumeSource resume_source(const std::string& path);
/// One of the two functions above, as `source` asks.
CheckpointData load_checkpoint(const ResumeSource& source, Warnings& warnings, const ShardFilter& wanted = {});

/// The first key (in alphabetical order) whose value differs between two flat objects, as
/// "checkpoint has hidden=500, this run 1000"; empty where only keys of `may_differ` do.
std::string config_difference(const nlohmann::json& checkpoint, const nlohmann::json& run,
                              std::span<const std::string_view> may_differ);

/// Writes the checkpoints of the run whose lock is held through `run`, which must outlive it. The first failed write,
/// fsync, close or rename ends a save with OutputError; earlier checkpoints stay as they are, so the run can be
/// resumed.
class CheckpointStore {
public:
    /// Removes what dead runs left unfinished. Keeps the newest `keep` (>= 1) checkpoints. `check_space` refuses a save
    /// that needs more than the file system says is free (x 1.05).
    explicit CheckpointStore(const RunDirectory& run, std::size_t keep = 2, bool check_space = true);

    /// Saves and makes durable. A step that this store saved last is not written again; any other existing name is
    /// refused. A removal of old checkpoints that fails is a warning and tried again with the next save.
    void save(const CheckpointData& data, Warnings& warnings);

    // The three parts of a save, for ranks that write their own layers: one rank begins and commits (or abandons) after
    // it has heard from all, each writes shards into the folder that begin names.
    /// Makes the temporary folder for `bytes` bytes of shards and returns its path.
    std::string begin(std::uint64_t step, std::uint64_t bytes);
    static ShardEntry write_shard(const std::string& temporary_folder, const std::string& name,
                                  const SafetensorsFile& shard);
    void commit(const Manifest& manifest, Warnings& warnings);
    /// Removes the temporary folder of a save that failed, as far as that is possible.
    void abandon(std::uint64_t step) noexcept;

    /// After resuming from `step`: renames newer checkpoints to aside-NNNNNNNN with a warning each, since the run will
    /// make those steps again. (They are damaged, unreadable just now, or those that an exact --resume goes back
    /// behind: nothing that may be good is removed. An earlier one of the same step is.)
    void set_aside_newer(std::uint64_t step, Warnings& warnings);

    /// The last step made durable by this store.
    std::optional<std::uint64_t> last_saved() const { return last_saved_; }

    /// Removes every checkpoint in an opened checkpoints/ folder, set aside or not, and nothing else.
    static void remove_all(const Folder& checkpoints);

private:
    void remove_older(std::uint64_t step, Warnings& warnings) const;

    Folder folder_;
    std::size_t keep_;
    bool check_space_;
    std::optional<std::uint64_t> last_saved_;
};

}  // namespace pdadmm
