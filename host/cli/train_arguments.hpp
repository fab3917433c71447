// The arguments of `pdadmm train` in layers: preset, configuration file, command line.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/train_options.hpp"

namespace pdadmm {

struct TrainArguments {
    TrainOptions options;
    std::vector<std::pair<std::string, std::string>> resolved;  // what decides the result
    std::vector<std::string> given;                             // names of the options that were given
    bool help = false;

    bool has(const std::string& option) const { return std::find(given.begin(), given.end(), option) != given.end(); }
};

/// Preset, then configuration file (of --config, or of the run that is resumed), then command line. Throws UsageError;
/// DataError where
/// --resume names other seeds than the run has.
TrainArguments parse_train(const std::vector<std::string>& arguments);

/// config.toml of a run: everything that --resume needs.
std::string config_toml(const TrainArguments& arguments, const std::vector<std::uint64_t>& seeds);

}  // namespace pdadmm
