// OPTIONS.md: every option of every command, made from the tables of options (pdadmm help options).
#pragma once

#include <string>

#include "host/cli/option.hpp"
#include "host/cli/parse.hpp"

namespace pdadmm {

/// What stands before the commands.
std::string options_page_head();

/// One command: its options by group.
std::string options_section(const Command& command, const Options& options);

/// What each preset gives, by optimizer and data set.
std::string presets_section();

}  // namespace pdadmm
