// Parsing of a subcommand's arguments with CLI11, the same way for all of them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pdadmm {

/// Parses `arguments`: long options in full (underscores in them count as dashes), values behind a blank or "=". The
/// last of several values of one option counts. Returns false after printing help. Throws UsageError.
bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments);

/// A subcommand's parser: name, description and one example under the help. Called before options are added.
void describe(CLI::App& app, const std::string& name, const std::string& example);

/// Refuses nan and inf, which CLI11's ranges let through.
CLI::Validator finite();

}  // namespace pdadmm
