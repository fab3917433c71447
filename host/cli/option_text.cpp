// Numbers and lists of options (host/cli/option_text.hpp).
#include "host/cli/option_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

std::vector<std::string> split_text(const std::string& text, char separator) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(separator, at), text.size());
        const std::size_t first = text.find_first_not_of(" \t", at),
                          last = text.find_last_not_of(" \t", end == at ? 0 : end - 1);
        parts.push_back(first >= end ? std::string() : text.substr(first, last - first + 1));
        at = end + 1;
    }
    return parts;
}

double number(const char* option, const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
        throw UsageError(fmt::format("{}: '{}', expected a number", option, printable(text)));
    return value;
}

std::vector<double> number_list(const char* option, const std::string& text, double least, double most) {
    std::vector<double> values;
    for (const std::string& part : split_text(text, ',')) {
        const double value = number(option, part);
        if (value < least || value > most)
            throw UsageError(fmt::format("{}: {}, expected {} to {}", option, value, least, most));
        values.push_back(value);
    }
    return values;
}

}  // namespace pdadmm
