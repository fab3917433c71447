// Shared parsing (host/cli/parse.hpp). CLI11 converts and checks; the words of its errors are replaced here.
#include "host/cli/parse.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <type_traits>

#include "host/cli/options_page.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// Refuses nan and inf, which CLI11's ranges let through.
CLI::Validator finite() {
    return CLI::Validator(
        [](std::string& text) { return text.find_first_of("nN") == std::string::npos ? "" : text + " is not finite"; },
        "");
}

/// The entries of a list are checked where they are turned into numbers.
template <typename T>
void check(CLI::Option& declared, const OptionRules& rules) {
    if constexpr (std::is_floating_point_v<T>) declared.check(finite());
    if (rules.list) return;
    if (!rules.choices.empty()) {
        if constexpr (std::is_same_v<T, int>) {
            std::vector<int> numbers;
            for (const std::string& choice : rules.choices) numbers.push_back(std::stoi(choice));
            declared.check(CLI::IsMember(numbers));
        } else {
            declared.check(CLI::IsMember(rules.choices));
        }
    }
    if constexpr (!std::is_same_v<T, std::string>) {
        using Number = std::conditional_t<std::is_arithmetic_v<T>, T, std::uint64_t>;
        if (!rules.range) return;
        const auto [least, most, open] = *rules.range;
        if (std::isinf(most))
            declared.check(open ? CLI::Validator(CLI::PositiveNumber) : CLI::Validator(CLI::NonNegativeNumber));
        else
            declared.check(CLI::Range(static_cast<Number>(least), static_cast<Number>(most)));
    }
}

CLI::Option* declare(CLI::App& app, const Option& option) {
    CLI::Option* declared = std::visit(
        [&](auto* value) {
            using T = std::remove_pointer_t<decltype(value)>;
            if constexpr (std::is_same_v<T, bool>) {
                return app.add_flag(option.name, *value, option.help);
            } else {
                CLI::Option* added = app.add_option(option.name, *value, option.help);
                if (const std::string text = text_of(value); !text.empty()) added->default_str(text);
                check<T>(*added, option.rules);
                return added;
            }
        },
        option.value);
    declared->take_last()->required(option.rules.required);
    if (!option.group.empty()) declared->group(option.group);
    return declared;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j)
            diagonal =
                std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, diagonal + (a[i] == b[j] ? 0 : 1)}));
    }
    return row.back();
}

[[noreturn]] void fail_unknown(const Command& command, const Options& options, const std::string& given) {
    std::string nearest;
    std::size_t least = 3;
    const auto compare = [&](const std::string& name) {
        const std::size_t distance = given.size() > 3 && name.starts_with(given) ? 1 : edit_distance(given, name);
        if (distance < least) nearest = name, least = distance;
    };
    if (given.size() < 100) {
        compare("--help");
        for (const Option& option : options) compare(option.long_name());
    }
    throw UsageError(fmt::format("{}: unknown option, expected {}; see {} --help", printable(given),
                                 nearest.empty() ? "an option of " + command.name : "for example " + nearest,
                                 command.name));
}

/// The option that an argument names: "--micro-batches" of "--micro_batches=4", "-K" of "-K3".
std::string name_in(const std::string& argument) {
    if (!argument.starts_with("--")) return argument.substr(0, 2);
    std::string name = argument.substr(0, argument.find('='));
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

/// An option that CLI11 knows.
struct Declared {
    const Option& option;
    const CLI::Option& parsed;
};

/// Declares what the arguments may mean, all options where they ask for help: CLI11 compares every name with every
/// other, and each layer of a training's arguments is parsed by itself.
std::vector<Declared> declare_named(CLI::App& app, const Options& options, const std::vector<std::string>& arguments,
                                    bool all) {
    std::set<std::string> named;
    for (const std::string& argument : arguments) named.insert(name_in(argument));
    std::vector<Declared> declared;
    for (const Option& option : options) {
        const std::string name = option.long_name();
        const std::string letter = option.name.substr(std::min(name.size() + 1, option.name.size()));
        if (all || option.rules.required || named.contains(name) || named.contains(letter))
            declared.push_back({option, *declare(app, option)});
    }
    return declared;
}

/// Tokens in the one form that leaves CLI11 nothing to guess: "--name", "value". A value that looks like an option is
/// taken only behind "=".
std::vector<std::string> plain_tokens(const CLI::App& app, const Command& command, const Options& options,
                                      const std::vector<std::string>& arguments) {
    std::vector<std::string> tokens;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& given = arguments[i];
        if (given.size() < 2 || given[0] != '-')
            throw UsageError(fmt::format("'{}': stands alone, expected an option before it; see {} --help",
                                         printable(given), app.get_name()));
        const bool is_long = given[1] == '-';
        const std::string name = name_in(given);
        const std::size_t end = name.size();
        const CLI::Option* option = is_long && name.size() < 4 ? nullptr : app.get_option_no_throw(name);
        if (!option) fail_unknown(command, options, is_long ? name : given);
        if (option->get_expected_max() == 0) {
            if (!is_long && given.size() > 2) fail_unknown(command, options, given);
            tokens.push_back(name + given.substr(end));
            continue;
        }
        tokens.push_back(name);
        if (end < given.size()) {
            tokens.push_back(given.substr(end + (given[end] == '=' ? 1 : 0)));
        } else if (i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) {
            tokens.push_back(arguments[++i]);
        } else {
            throw UsageError(fmt::format("{}: no value, expected one after it; see {} --help", name, app.get_name()));
        }
    }
    return tokens;
}

/// "INT:INT in [1 - 64]" and the like, as CLI11 describes a type, in words.
std::string in_words(const std::string& type) {
    const std::size_t colon = type.find(':');
    const std::string kind = type.substr(0, colon), range = colon == std::string::npos ? "" : type.substr(colon + 1);
    const std::string number = kind == "FLOAT"                   ? "a number"
                               : kind == "TEXT"                  ? "text"
                               : kind == "INT" || kind == "UINT" ? "a whole number"
                                                                 : "true or false";
    if (range.starts_with("{")) {
        std::string names = range.substr(1, range.size() - 2);
        for (std::size_t at = 0; (at = names.find(',', at)) != std::string::npos; at += 2) names.insert(at + 1, " ");
        return "one of " + names;
    }
    if (const std::size_t low = range.find('['), dash = range.find(" - "), high = range.rfind(']');
        low < dash && dash < high && high != std::string::npos)
        return fmt::format("{} from {} to {}", number, range.substr(low + 1, dash - low - 1),
                           range.substr(dash + 3, high - dash - 3));
    if (range == "NONNEGATIVE") return number + " from 0";
    if (range == "POSITIVE") return number + " above 0";
    return kind == "UINT" ? number + " from 0" : number;
}

[[noreturn]] void fail_in_our_words(const CLI::App& app, const std::string& text) {
    const CLI::Option* about = nullptr;  // the option with the longest name that the text holds
    for (const CLI::Option* option : app.get_options()) {
        const std::size_t at = text.find(option->get_name());
        if (at < 30 && (!about || option->get_name().size() > about->get_name().size())) about = option;
    }
    if (!about) throw UsageError(fmt::format("{}; see {} --help", printable(text, 200), app.get_name()));
    if (about->count() == 0)
        throw UsageError(fmt::format("{}: missing, expected {}; see {} --help", about->get_name(),
                                     about->get_description(), app.get_name()));
    throw UsageError(fmt::format("{}: '{}', expected {}; see {} --help", about->get_name(),
                                 printable(about->results().back()), in_words(about->get_type_name()), app.get_name()));
}

constexpr std::size_t help_column = 34, narrowest_help = 80;  // where descriptions begin; columns

/// `text` with lines of at most `width` columns, as far as blanks allow: descriptions go on below themselves, and names
/// of options stay whole.
std::string wrapped(const std::string& text, std::size_t width) {
    std::string out;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        const bool option = line.starts_with("  -"), described = line.starts_with(std::string(help_column, ' '));
        const std::size_t indent = option || described ? help_column : 0;
        const bool name_alone = option && (line.size() <= help_column || line[help_column - 1] != ' ');
        while (line.size() > width && !name_alone) {
            const std::size_t blank = line.rfind(' ', width);
            if (blank == std::string::npos || blank <= indent) break;
            out += line.substr(0, blank) + '\n';
            line = std::string(indent, ' ') + line.substr(blank + 1);
        }
        out += line + '\n';
    }
    return out;
}

bool asks(const std::vector<std::string>& arguments, std::initializer_list<std::string_view> words) {
    return std::find_first_of(arguments.begin(), arguments.end(), words.begin(), words.end()) != arguments.end();
}

}  // namespace

std::optional<Given> parse_options(const Command& command, const Options& options,
                                   const std::vector<std::string>& arguments) {
    if (asks(arguments, {"--help-markdown"})) {
        put_result(options_section(command, options));
        return std::nullopt;
    }
    CLI::App app(command.about);
    app.name(command.name);
    app.footer("Example:\n  " + command.example);
    app.get_formatter()->column_width(help_column);
    const bool help = asks(arguments, {"--help", "-h"});
    const std::vector<Declared> declared = declare_named(app, options, arguments, help);
    if (help) {
        put_result(wrapped(app.help(), std::max(narrowest_help, terminal_width(STDOUT_FILENO, narrowest_help))));
        return std::nullopt;
    }
    std::vector<std::string> tokens = plain_tokens(app, command, options, arguments);
    std::reverse(tokens.begin(), tokens.end());  // CLI11 takes them from the back
    try {
        app.parse(tokens);
    } catch (const CLI::ParseError& error) {
        fail_in_our_words(app, error.what());
    }
    Given given;
    for (const auto& [option, parsed] : declared) {
        if (parsed.count() == 0) continue;
        const std::string& text = given[option.long_name()] =
            option.is_flag() ? text_of(option.value) : parsed.results().back();
        if (option.rules.named && text.empty())
            throw UsageError(
                fmt::format("{}: nothing, expected a name or a path; see {} --help", option.long_name(), command.name));
    }
    return given;
}

}  // namespace pdadmm
