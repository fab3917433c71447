// Named settings per data set, as data: what --preset puts before the configuration file and the command line.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

/// The options of `preset` ("fast", "paper"; "none" has none) for an optimizer, data set, hidden width and kind of quantisation, as command-line tokens
/// ("--rho", "1e-5,1e-5,1e-4", ...). Throws UsageError where the preset is unknown. A data set without a row of its own gets
/// the preset's general row.
std::vector<std::string> preset_arguments(const std::string& preset, const std::string& optimizer, const std::string& dataset, int hidden, bool quantized);

std::vector<std::string> preset_names();

}  // namespace pdadmm
