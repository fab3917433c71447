// Paths that the environment names.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace pdadmm {

/// Where the program keeps what it can make again: $XDG_CACHE_HOME/pdadmm, else ~/.cache/pdadmm; empty where neither
/// variable is set to an absolute path.
std::filesystem::path cache_folder();

/// The paths between the colons of `text`; empty ones are left out.
std::vector<std::filesystem::path> path_list(std::string_view text);

}  // namespace pdadmm
