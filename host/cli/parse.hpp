// Parsing of a subcommand's arguments with CLI11, the same way for all of them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pdadmm {

/// Parses `arguments` (underscores in long options count as dashes). Returns false after printing help. Throws UsageError.
bool parse_arguments(CLI::App& app, std::vector<std::string> arguments);

/// A subcommand's parser: name, description and one example under the help.
void describe(CLI::App& app, const std::string& name, const std::string& example);

}  // namespace pdadmm
