// Every option of `pdadmm train`, once: its name, value, help, check, and what it is to a run's identity.
#pragma once

#include <string>
#include <vector>

#include "host/cli/option.hpp"
#include "host/cli/train_options.hpp"

namespace pdadmm {

/// Records bound to `options`, whose values are the defaults, in the order in which help and config.toml have them.
std::vector<Option> train_table(TrainOptions& options);

/// The part of them that concerns data, augmentation and backend (pdadmm augment).
std::vector<Option> data_table(TrainOptions& options);

/// Long names of those that decide what X is, beside the graph.
std::vector<std::string> augment_option_names();
/// They as arguments: "--hops=5", ...
std::vector<std::string> augment_arguments(TrainOptions options);

}  // namespace pdadmm
