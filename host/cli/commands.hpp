// The subcommands of pdadmm. Each has a table of its options (host/cli/option.hpp) and runs with what was parsed;
// results go to stdout, everything else to stderr; errors are exceptions (pdadmm/error.hpp).
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

/// `arguments` are those after the subcommand's name. Return the exit code.
int train_command(const std::vector<std::string>& arguments);
int tune_command(const std::vector<std::string>& arguments);
int plan_command(const std::vector<std::string>& arguments);
int evaluate_command(const std::vector<std::string>& arguments);
int predict_command(const std::vector<std::string>& arguments);
int augment_command(const std::vector<std::string>& arguments);
int report_command(const std::vector<std::string>& arguments);
int info_command(const std::vector<std::string>& arguments);

/// Version and build, one line: "pdadmm 0.2.0 (fp32, GNU 12.2.0)".
std::string version_line();

}  // namespace pdadmm
