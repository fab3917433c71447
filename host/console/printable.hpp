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

/// Length in bytes of the valid UTF-8 character that `text`, which is not empty, begins with, 0 where there is none;
/// its code point in `code`.
std::size_t utf8_length(std::string_view text, char32_t& code);

}  // namespace pdadmm
