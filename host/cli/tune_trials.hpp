// The trials of a search: each is a run of pdadmm train in its own folder, on features that trials share.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/cli/shared_features.hpp"
#include "host/cli/tune_options.hpp"
#include "host/cli/tune_table.hpp"
#include "host/registry/registration.hpp"
#include "host/run/training_run.hpp"
#include "host/train/metric.hpp"
#include "host/tune/search.hpp"

namespace pdadmm {

class Trials {
public:
    /// Reads the graph and makes a backend for each of --jobs. `note` gets lines for people.
    Trials(const TuneArguments& arguments, const std::function<void(const std::string&)>& note);
    ~Trials();

    const std::string& data_digest() const { return digest_; }
    /// What trials are compared by, --metric auto being what it stands for.
    const char* metric() const { return name_of(metric_); }
    /// "trial-007" in the search's folder.
    std::filesystem::path folder_of(int trial) const;
    /// What these options would cost, but for seconds; infinite where they cannot be trained. `job` says on whose
    /// backend this is found out: jobs do not share one.
    Costs known_costs(const OptionTexts& options, int job = 0) const;
    /// Trains trial `trial` up to `share` of its epochs, from where its folder says it stopped, on the backend of
    /// `job`. Its state is "" where a signal stopped it. Divergence, options that cannot be trained and costs known
    /// before that are beyond a limit are states, other errors are thrown.
    TrialRow train(int trial, const OptionTexts& options, double share, int job);
    /// Arguments of a trial as pdadmm train would have them.
    TrainArguments arguments_of(const OptionTexts& options) const;

private:
    RunResult run(int trial, const OptionTexts& options, double share, Backend& backend);

    const TuneArguments& arguments_;
    Dataset dataset_;
    Split split_;
    std::string digest_;
    Metric metric_ = Metric::accuracy;
    std::vector<std::unique_ptr<Backend>> backends_;
    SharedFeatures features_;
    Registration registration_;
};

}  // namespace pdadmm
