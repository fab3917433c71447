// The words of a line.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace pdadmm {

/// What may be wrong, though work goes on: what was found, and what to do.
inline std::string warning_line(const std::string& text) { return "pdadmm: warning: " + text; }

/// What stands between blanks, without empty words.
inline std::vector<std::string> words_of(const std::string& line) {
    std::vector<std::string> words;
    for (std::size_t at = 0; at < line.size();) {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        if (end > at) words.push_back(line.substr(at, end - at));
        at = end + 1;
    }
    return words;
}

}  // namespace pdadmm
