// Options of the small benchmarks: names with a value behind them, or alone. Unknown ones are not noticed.
#pragma once

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace pdadmm {

class Arguments {
public:
    Arguments(int argc, char** argv) : words_(argv + 1, argv + argc) {}
    bool has(const char* name) const { return found(name) < words_.size(); }
    std::string text(const char* name, const char* fallback) const {
        const std::size_t at = found(name);
        return at + 1 < words_.size() ? words_[at + 1] : fallback;
    }
    int integer(const char* name, int fallback) const {
        const std::string given = text(name, "");
        return given.empty() ? fallback : std::atoi(given.c_str());
    }
    /// Between commas.
    std::vector<int> integers(const char* name, std::vector<int> fallback) const {
        const std::string given = text(name, "");
        if (given.empty()) return fallback;
        std::vector<int> values;
        std::stringstream parts(given);
        for (std::string part; std::getline(parts, part, ',');) values.push_back(std::atoi(part.c_str()));
        return values;
    }

private:
    std::size_t found(const char* name) const {
        std::size_t at = 0;
        while (at < words_.size() && words_[at] != name) ++at;
        return at;
    }
    std::vector<std::string> words_;
};

}  // namespace pdadmm
