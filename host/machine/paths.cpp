#include "host/machine/paths.hpp"

#include <algorithm>
#include <cstdlib>

namespace pdadmm {

std::filesystem::path cache_folder() {
    if (const char* base = std::getenv("XDG_CACHE_HOME"); base && *base == '/')
        return std::filesystem::path(base) / "pdadmm";
    if (const char* home = std::getenv("HOME"); home && *home == '/')
        return std::filesystem::path(home) / ".cache" / "pdadmm";
    return {};
}

std::vector<std::filesystem::path> path_list(std::string_view text) {
    std::vector<std::filesystem::path> paths;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(':'), text.size());
        if (end > 0) paths.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return paths;
}

}  // namespace pdadmm
