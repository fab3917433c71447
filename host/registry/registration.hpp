// How a command enters its runs: as well as it can. A registry that cannot be written costs a warning and nothing else.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "host/registry/run_entry.hpp"

namespace pdadmm {

/// Threads may share one.
class Registration {
public:
    /// `choice`: a file, off, or "" for registry.sqlite beside a run's folder. `warn` gets one line at most.
    Registration(std::string choice, std::function<void(const std::string&)> warn);

    /// Enters the run as its folder tells of it now; a folder that holds none is passed over. Never throws, and waits
    /// two seconds for others at most.
    void enter(const std::filesystem::path& run_folder) noexcept;
    /// Whether there is a registry for evaluations of the model in this folder.
    bool has_registry(const std::filesystem::path& run_folder) const;
    /// Adds an evaluation of a run's model where there is a registry that has the run; none is made.
    void enter_evaluation(const std::filesystem::path& run_folder, const EvaluationEntry& evaluation) noexcept;

private:
    void attempt(const std::function<void()>& act) noexcept;
    std::filesystem::path file_of(const std::filesystem::path& run_folder) const;

    std::string choice_;
    std::function<void(const std::string&)> warn_;
    std::atomic<bool> off_;
};

/// Enters a run once more when it has ended, however it did. An empty folder is entered nowhere.
class EndOfRun {
public:
    EndOfRun(Registration& registration, std::filesystem::path run_folder)
        : registration_(registration), run_folder_(std::move(run_folder)) {}
    EndOfRun(const EndOfRun&) = delete;
    EndOfRun& operator=(const EndOfRun&) = delete;
    ~EndOfRun() {
        if (!run_folder_.empty()) registration_.enter(run_folder_);
    }

private:
    Registration& registration_;
    std::filesystem::path run_folder_;
};

}  // namespace pdadmm
