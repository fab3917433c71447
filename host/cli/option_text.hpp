// Text of options and configuration files turned into numbers and lists, with errors that name the option.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

/// Parts between separators, blanks around them removed; no parts for empty text, and a trailing separator adds none.
std::vector<std::string> split_text(const std::string& text, char separator);
/// A finite number. Throws UsageError naming `option`.
double number(const char* option, const std::string& text);
/// Comma-separated numbers within [least, most]. Throws UsageError naming `option`.
std::vector<double> number_list(const char* option, const std::string& text, double least, double most);

}  // namespace pdadmm
