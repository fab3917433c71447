// The arguments of `pdadmm train` in layers: preset, configuration file, command line.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/cli/parse.hpp"
#include "host/cli/train_options.hpp"
#include "host/transport/environment.hpp"

namespace pdadmm {

/// Options with what was given of them.
struct GivenOptions {
    TrainOptions options;
    Given given;

    bool has(const std::string& long_name) const { return given.contains(long_name); }
};

/// Keys of options, as in configuration files, with values as text.
using OptionTexts = std::vector<std::pair<std::string, std::string>>;

struct TrainArguments : GivenOptions {
    OptionTexts identity;  // every option that decides the result, in the order of the table
    Launch launch;         // by the launcher that the environment shows
};

/// `pdadmm train` as its help shows it.
const Command& train_line();

/// Preset, then configuration file (of --config, or of the run that is resumed), then command line, which may also have
/// options of the command's `own`. Nothing after help for `command`. Throws UsageError; DataError where --resume names
/// other seeds than the run has.
std::optional<TrainArguments> parse_train(const Command& command, const std::vector<std::string>& arguments,
                                          const Options& own = {});

/// The same with these options, by their keys, in place of what was given; what contradicts itself is refused where it
/// is resolved (solver_options). Throws UsageError.
TrainArguments with_options(const TrainArguments& arguments, const OptionTexts& options);

/// config.toml of a run: everything that --resume needs.
std::string config_toml(const TrainArguments& arguments, const std::vector<std::uint64_t>& seeds);

/// What ranks must have been given alike beside `identity`, for those options whose value is all that counts.
OptionTexts agreed_options(TrainOptions options);

/// Options that came after the first runs, with the value that a run went by whose configuration does not record them.
OptionTexts later_options();

/// Keys of `identity` that a resumed run may have other values of: not the epochs that a learning rate falls over.
std::vector<std::string> extending_options(TrainOptions options);

}  // namespace pdadmm
