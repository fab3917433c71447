// Named settings per data set, as data: what --preset puts before the configuration file and the command line.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

/// Neurons of the paper's wide networks, which have settings of their own.
inline constexpr int wide_hidden = 500;

/// What a preset's options depend on.
struct PresetSubject {
    std::string optimizer, dataset, split;
    int hidden = 100;
};
/// The options of `preset` ("fast", "paper"; "none" has hardly any) as command-line tokens ("--rho", "1e-5,1e-5,1e-4",
/// ...). Throws UsageError where the preset is unknown. A data set without a row of its own gets the preset's general
/// row.
std::vector<std::string> preset_arguments(const std::string& preset, const PresetSubject& run);

/// What goes with gradient steps ("exact") or minimisers ("block") in `fast`, likewise; nothing of other steps.
std::vector<std::string> step_arguments(const std::string& step);

std::vector<std::string> preset_names();

}  // namespace pdadmm
