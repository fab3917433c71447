#include "host/machine/cache_folder.hpp"

#include <cstdlib>

namespace pdadmm {

std::filesystem::path cache_folder() {
    if (const char* base = std::getenv("XDG_CACHE_HOME"); base && *base == '/')
        return std::filesystem::path(base) / "pdadmm";
    if (const char* home = std::getenv("HOME"); home && *home == '/')
        return std::filesystem::path(home) / ".cache" / "pdadmm";
    return {};
}

}  // namespace pdadmm
