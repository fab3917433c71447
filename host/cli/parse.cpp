// Shared parsing (host/cli/parse.hpp).
#include "host/cli/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

bool parse_arguments(CLI::App& app, std::vector<std::string> arguments) {
    for (std::string& argument : arguments)
        if (argument.starts_with("--")) std::replace(argument.begin(), argument.begin() + static_cast<std::ptrdiff_t>(std::min(argument.find('='), argument.size())), '_', '-');
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    try {
        app.parse(arguments);
    } catch (const CLI::CallForHelp&) {
        fmt::print("{}", app.help());
        return false;
    } catch (const CLI::ParseError& error) {
        std::string text = error.what();
        std::replace(text.begin(), text.end(), '\n', ' ');
        throw UsageError(fmt::format("{}; see {} --help", text, app.get_name()));
    }
    return true;
}

void describe(CLI::App& app, const std::string& name, const std::string& example) {
    app.name(name);
    app.footer("Example:\n  " + example);
    app.get_formatter()->column_width(34);
}

}  // namespace pdadmm
