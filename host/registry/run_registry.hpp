// The registry of runs: one file of SQLite that indexes run folders. Many processes may write at once; each entry is
// one transaction, whole or not there, also when its process is killed.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/registry/filter.hpp"
#include "host/registry/run_entry.hpp"
#include "host/registry/sqlite.hpp"

namespace pdadmm {

inline constexpr const char* registry_name = "registry.sqlite";

/// registry.sqlite beside a run's folder; of the folder of one seed among several, beside that of the whole run.
std::filesystem::path registry_beside(const std::filesystem::path& run_folder);

/// The file that `choice` names: itself, or registry.sqlite in a folder.
std::filesystem::path registry_file(const std::filesystem::path& choice);

/// What `choice` names: a file, or a folder that holds registry.sqlite; of "" the first that is there of
/// runs/registry.sqlite and registry.sqlite. Throws UsageError where there is none.
std::filesystem::path find_registry(const std::string& choice);

class RunRegistry {
public:
    enum class Access { read, write, make };

    /// `patience_s`: how long to wait in all for other writers. Throws as Database and prepare_schema do.
    RunRegistry(const std::filesystem::path& file, Access access, double patience_s = 10);

    /// Enters a run, in place of what is known of its folder. Its evaluations stay while it is the same run.
    void enter(const RunEntry& run);
    /// Adds an evaluation of the run in this folder. False where the registry does not have it.
    bool enter_evaluation(const std::filesystem::path& run_folder, const EvaluationEntry& evaluation);
    /// Reads again every run that was said to be running: it may be further, done, stopped or lost.
    void refresh();
    /// Makes the index of `folder` anew, at any depth below it: enters each run there and drops those that are gone.
    /// `note` is told of folders that cannot be read. The number of runs entered, and of those dropped.
    std::pair<std::size_t, std::size_t> rescan(const std::filesystem::path& folder,
                                               const std::function<void(const std::string&)>& note);
    void drop(const std::string& folder);

    enum class Detail { facts, all };  // facts: without history and files
    /// The runs that fit, newest first. Throws UsageError where no run at all has an option or fact of a filter's name.
    std::vector<RunEntry> runs(const std::vector<Filter>& filters, Detail detail = Detail::facts);
    /// The one run whose id begins with `name`, or whose folder it is, as given or from the registry's. Throws
    /// UsageError of none and of several.
    RunEntry run(const std::string& name);

    const std::filesystem::path& file() const { return file_; }
    /// As the file has it: relative where it lies below the registry's folder.
    std::string stored(const std::filesystem::path& folder) const;

private:
    std::string whole(const std::string& stored) const;
    void require_known(const std::vector<Filter>& filters);
    void insert_details(std::int64_t key, const RunEntry& run);
    void read_details(const Condition& where, std::vector<RunEntry>& runs, const std::vector<std::int64_t>& keys,
                      Detail detail);

    std::filesystem::path file_, folder_;  // absolute
    Database database_;
};

}  // namespace pdadmm
