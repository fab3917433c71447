// Where the program keeps what it can make again.
#pragma once

#include <filesystem>

namespace pdadmm {

/// $XDG_CACHE_HOME/pdadmm, else ~/.cache/pdadmm; empty where neither variable is set to an absolute path.
std::filesystem::path cache_folder();

}  // namespace pdadmm
