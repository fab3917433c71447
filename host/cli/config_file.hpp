// Configuration files: the flat part of TOML, `key = value` with a string, number, boolean or a list of those. Keys are
// long options without their dashes.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

/// The text of a configuration file. Throws UsageError where it cannot be read or is longer than 64 KiB.
std::string read_config_file(const std::string& path);

/// Command-line tokens ("--name=value") for the keys of `toml`, in its order; lists become comma separated, and
/// underscores in keys dashes. Throws UsageError naming file, line and what is wrong: syntax, a key that `known`
/// (options with their dashes) does not hold, a key that is there twice, or a table.
std::vector<std::string> config_arguments(const std::string& toml, const std::string& file,
                                          const std::vector<std::string>& known);

/// `name = "value"`, escaped so that config_arguments reads the same value; true and false stand without quotes.
std::string config_line(const std::string& name, const std::string& value);

}  // namespace pdadmm
