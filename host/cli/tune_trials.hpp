// The trials of a search: each is a run of pdadmm train in its own folder, on features that trials share.
#pragma once

#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/tune_options.hpp"
#include "host/cli/tune_table.hpp"
#include "host/data/augmentation.hpp"
#include "host/run/training_run.hpp"
#include "host/tune/search.hpp"

namespace pdadmm {

/// Augmented features by what made them, computed once. Those that no trial holds are let go where they take more than
/// `most_bytes` together, the longest unused first. Safe from several threads.
class SharedFeatures {
public:
    using Nodes = std::shared_ptr<const AugmentedNodes>;
    explicit SharedFeatures(std::uint64_t most_bytes) : most_bytes_(most_bytes) {}

    Nodes get(const std::string& key, const std::function<AugmentedNodes()>& make);

private:
    std::mutex mutex_;
    std::list<std::pair<std::string, Nodes>> kept_;  // newest use first
    std::uint64_t most_bytes_;
};

class Trials {
public:
    /// Reads the graph and makes a backend for each of --jobs. `note` gets lines for people.
    Trials(const TuneArguments& arguments, const std::function<void(const std::string&)>& note);
    ~Trials();

    const std::string& data_digest() const { return digest_; }
    /// "trial-007" in the search's folder.
    std::filesystem::path folder_of(int trial) const;
    /// What these options would cost, but for seconds; infinite where they cannot be trained.
    Costs known_costs(const OptionTexts& options) const;
    /// Trains trial `trial` up to `share` of its epochs, from where its folder says it stopped, on the backend of
    /// `job`. Its state is "" where a signal stopped it. Divergence and refused options are states, other errors are
    /// thrown.
    TrialRow train(int trial, const OptionTexts& options, double share, int job);
    /// Arguments of a trial as pdadmm train would have them.
    TrainArguments arguments_of(const OptionTexts& options) const;

private:
    RunResult run(int trial, const OptionTexts& options, double share, Backend& backend);

    const TuneArguments& arguments_;
    Dataset dataset_;
    Split split_;
    std::string digest_;
    std::vector<std::unique_ptr<Backend>> backends_;
    SharedFeatures features_;
};

}  // namespace pdadmm
