// Which options a search chooses, over which values, and what they are to `pdadmm train`.
#pragma once

#include "host/cli/tune_options.hpp"
#include "host/tune/space.hpp"

namespace pdadmm {

/// The settings of --search, or all that mean something to --optimizer, without those that were typed. Throws
/// UsageError.
Space search_space(const TuneArguments& arguments);

/// Options of a trial: its settings, and what goes with them unless it was typed (a step's other options, weight decay
/// in relative terms, bits that are quantised).
OptionTexts trial_options(const TuneArguments& arguments, const Space& space, const Settings& settings);

}  // namespace pdadmm
