// The folder of one run: locked while the run lives, holding what it prints for others to read.
//   config.json config.toml   the resolved configuration        metrics.jsonl   one line an epoch, appended
//   origin.json   what made the run, and where (host/store/run_origin.hpp)
//   model-best.safetensors model-final.safetensors              summary.json status.json   how it ended
//   confusion.csv   of the best model
//   checkpoints/NNNNNNNN      host/store/checkpoint_store.hpp         lock            flock'ed by the run
//   report.html               a page of all that
// A run of several seeds has config.toml, summary.json, status.json, report.html and lock, and such a folder seed-N
// for each of them. One on nodes of several owners has such a folder owner-N for each of them but the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/store/folder.hpp"

namespace pdadmm {

/// Lines for stderr about what went wrong without stopping the run, in the order they were met.
using Warnings = std::vector<std::string>;

enum class RunMode {
    create,     // the folder is missing or empty
    overwrite,  // what an earlier run left is removed; files that are not a run's stay
    resume,     // the folder is a run's
};

enum class RunKind { one_seed, several_seeds };

/// How a run ended, for schedulers that lose exit codes (mpirun stopped by a signal returns 1).
struct RunStatus {
    std::string end;  // "done", "signal", "paused", "error", "diverged"
    int signal = 0;
    std::uint64_t iteration = 0;
    int exit = 0;
};

/// Every function throws OutputError where the file system refuses. Move-only; the lock goes with it.
class RunDirectory {
public:
    /// Makes or opens `path` and locks it. Throws OutputError where it is no folder (a symbolic link included), holds
    /// what `mode` does not allow, or is locked by another run; DataError where `mode` is resume and it is not a run's
    /// folder. A file system without locks is a warning. Temporary files of dead runs are removed. Overwriting takes
    /// the folders of an earlier run's seeds too, except for files in them that are not a run's.
    RunDirectory(const std::string& path, RunMode mode, Warnings& warnings, RunKind kind = RunKind::one_seed);

    /// Throws the OutputError that a new run in `path` would meet, as far as can be seen without making anything: no
    /// folder, no leave to write, or something in it.
    static void check_new(const std::string& path, RunMode mode);

    static std::string owner_name(int owner) { return "owner-" + std::to_string(owner); }  // counted from 1
    static std::string seed_name(std::uint64_t seed) { return "seed-" + std::to_string(seed); }
    /// Whether a run is writing in `path`; false where the file system has no locks.
    static bool held(const std::filesystem::path& path);
    /// Removes what a run, of one or several seeds, left in `path`, and the folder where nothing else is in it. Throws
    /// OutputError where a run is writing there.
    static void remove(const std::string& path, Warnings& warnings);
    /// Whether `path` is the folder of one seed in that of a run of several.
    static bool is_one_of_several(const std::filesystem::path& path);
    /// The folders of seeds in `path`, by number; none where it cannot be read.
    static std::vector<std::filesystem::path> seed_folders(const std::filesystem::path& path);

    const std::string& path() const { return folder_.path(); }
    const Folder& folder() const { return folder_; }

    /// Replaces one of the files named above atomically and durably (not lock, metrics.jsonl or checkpoints). Any other
    /// name is an internal Error.
    void write(const std::string& name, std::string_view text);
    void write(const std::string& name, std::span<const std::byte> bytes);
    /// status.json: {"end":"signal","signal":15,"iteration":412,"exit":143}.
    void write_status(const RunStatus& status);

    /// Appends one line (without its newline) to metrics.jsonl. After a failure no torn line is left where that is
    /// possible.
    void append_metrics(std::string_view line);
    /// Bytes of metrics.jsonl: what a checkpoint records.
    std::uint64_t metrics_offset() const { return metrics_bytes_; }
    /// Makes metrics.jsonl durable and returns its bytes; called before a checkpoint that records them is saved.
    std::uint64_t sync_metrics();
    /// Cuts metrics.jsonl back to what the checkpoint that is resumed from recorded, so that no row is missing or
    /// double. A file that is shorter (damaged by hand) is cut to whole lines with a warning.
    void rewind_metrics(std::uint64_t offset, Warnings& warnings);

private:
    void claim(RunMode mode, const std::vector<std::string>& before, Warnings& warnings);
    void remove_part(const std::string& name, Warnings& warnings);

    Folder folder_;
    Descriptor lock_, metrics_;
    std::uint64_t metrics_bytes_ = 0;
};

}  // namespace pdadmm
