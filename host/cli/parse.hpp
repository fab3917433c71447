// Parsing of a subcommand's arguments, the same way for all of them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/option.hpp"

namespace pdadmm {

/// What the help of a command says beside its options.
struct Command {
    std::string name, about, example;  // name: "pdadmm train"
    std::string options_of{};          // the command whose options it has, where OPTIONS.md need not repeat them
};

/// Long names of the options that were given, and the text of each; of a flag, true or false.
using Given = std::map<std::string, std::string>;

/// Puts what `arguments` give into the values of `options`: long options in full (underscores in them count as dashes),
/// values behind a blank or "=". The last of several values of one option counts. Nothing is returned where they asked
/// for help, which has been printed (--help, or --help-markdown for a section of OPTIONS.md). Throws UsageError.
std::optional<Given> parse_options(const Command& command, const Options& options,
                                   const std::vector<std::string>& arguments);

}  // namespace pdadmm
