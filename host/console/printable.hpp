// The escaping of untrusted text in what the program says.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pdadmm {

/// `text` made safe for one line of a terminal: control characters, invalid UTF-8 and direction overrides become \xNN,
/// and what is longer than `limit` characters is cut and ends in "...".
std::string printable(std::string_view text, std::size_t limit = 80);

/// The same for a path, with room for all of it.
std::string printable_path(const std::filesystem::path& path);

}  // namespace pdadmm
