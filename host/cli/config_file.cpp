// A strict reader of flat TOML (host/cli/config_file.hpp). Every character is looked at once; nothing nests but one
// list.
#include "host/cli/config_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t most_bytes = std::size_t{64} << 10;

bool is_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class Reader {
public:
    Reader(std::string_view text, const std::string& file) : text_(text), file_(file) {
        if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
    }

    /// Moves to the next key; false at the end.
    bool next() {
        skip_lines();
        if (text_.empty()) return false;
        if (text_.front() == '[') fail("a table", "keys only; leave the line in brackets out");
        return true;
    }

    std::string key() {
        if (at('"') || at('\'')) return text_.front() == '"' ? basic_string() : literal_string();
        const std::string found = take_while(is_key_character);
        if (found.empty()) fail(shown(), "a key, as in rho = 0.01");
        return found;
    }

    std::string value() {
        skip_blanks();
        if (!at('=')) fail(shown(), "= after the key, as in rho = 0.01");
        text_.remove_prefix(1);
        skip_blanks();
        std::string found = at('[') ? list() : scalar();
        skip_blanks();
        if (at('#')) skip_comment();
        if (!text_.empty() && !at('\n')) fail(shown(), "the end of the line after the value");
        return found;
    }

    [[noreturn]] void fail(const std::string& found, const std::string& expected) const {
        throw UsageError(fmt::format("{}: line {}: {}, expected {}", printable_path(file_), line_, found, expected));
    }

private:
    bool at(char c) const { return !text_.empty() && text_.front() == c; }
    std::string shown() const {
        const std::string_view rest = text_.substr(0, std::min(text_.find('\n'), text_.size()));
        return rest.empty() ? "nothing" : fmt::format("'{}'", printable(rest, 40));
    }

    void skip_blanks() {
        while (at(' ') || at('\t') || (text_.starts_with("\r\n"))) text_.remove_prefix(1);
    }
    void skip_comment() { text_.remove_prefix(std::min(text_.find('\n'), text_.size())); }
    void skip_lines() {
        for (;; text_.remove_prefix(1), ++line_) {
            skip_blanks();
            if (at('#')) skip_comment();
            if (!at('\n')) return;
        }
    }

    template <typename Accept>
    std::string take_while(Accept accept) {
        std::size_t length = 0;
        while (length < text_.size() && accept(text_[length])) ++length;
        std::string taken(text_.substr(0, length));
        text_.remove_prefix(length);
        return taken;
    }

    std::string list() {
        std::string joined;
        text_.remove_prefix(1);
        for (bool first = true;; first = false) {
            skip_lines();
            if (at(']')) break;
            if (text_.empty()) fail("the end of the file", "] after the list");
            if (!first) joined.push_back(',');
            joined.append(scalar());
            skip_lines();
            if (at(',')) {
                text_.remove_prefix(1);
            } else if (!at(']')) {
                fail(shown(), "a comma or ] in the list");
            }
        }
        text_.remove_prefix(1);
        return joined;
    }

    std::string scalar() {
        if (text_.starts_with("\"\"\"") || text_.starts_with("'''"))
            fail("a string of several lines", "one of one line");
        if (at('"')) return basic_string();
        if (at('\'')) return literal_string();
        std::string bare = take_while([](char c) { return is_key_character(c) || c == '+' || c == '.'; });
        const bool number =
            !bare.empty() && std::string_view("+-.0123456789").find(bare.front()) != std::string_view::npos;
        if (!number && bare != "true" && bare != "false")
            fail(bare.empty() ? shown() : fmt::format("'{}'", printable(bare, 40)),
                 "a number, true, false, \"text\" or a list of them");
        if (number) std::erase(bare, '_');
        if (bare.front() == '+') bare.erase(0, 1);
        return bare;
    }

    std::string literal_string() {
        text_.remove_prefix(1);
        std::string found = take_while([](char c) { return c != '\'' && c != '\n'; });
        close('\'');
        return found;
    }

    std::string basic_string() {
        std::string found;
        text_.remove_prefix(1);
        for (;;) {
            found += take_while([](char c) { return c != '"' && c != '\\' && c != '\n'; });
            if (!at('\\')) break;
            found += escape();
        }
        close('"');
        return found;
    }

    void close(char quote) {
        if (!at(quote)) fail("the end of the line", fmt::format("a closing {}", quote));
        text_.remove_prefix(1);
    }

    std::string escape() {
        constexpr std::string_view letters = "btnfr\"\\", meanings = "\b\t\n\f\r\"\\";
        const char letter = text_.size() > 1 ? text_[1] : '\n';
        if (const std::size_t which = letters.find(letter); which != std::string_view::npos) {
            text_.remove_prefix(2);
            return {meanings[which]};
        }
        const std::size_t digits = letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
        const std::string_view hex = text_.substr(0, 2 + digits);
        std::uint32_t code = 0;
        const auto [end, error] =
            std::from_chars(hex.data() + std::min<std::size_t>(2, hex.size()), hex.data() + hex.size(), code, 16);
        const bool whole =
            digits > 0 && hex.size() == 2 + digits && error == std::errc() && end == hex.data() + hex.size();
        if (!whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            fail(shown(), "an escape like \\\", \\\\ or \\u00e9");
        text_.remove_prefix(hex.size());
        return utf8(code);
    }

    static std::string utf8(std::uint32_t code) {
        if (code < 0x80) return {static_cast<char>(code)};
        std::string bytes;
        int shift = code < 0x800 ? 6 : code < 0x10000 ? 12 : 18;
        bytes += static_cast<char>((shift == 6 ? 0xC0 : shift == 12 ? 0xE0 : 0xF0) | code >> shift);
        while ((shift -= 6) >= 0) bytes += static_cast<char>(0x80 | ((code >> shift) & 0x3F));
        return bytes;
    }

    std::string_view text_;
    std::string file_;
    int line_ = 1;
};

}  // namespace

std::string read_config_file(const std::string& path) {
    try {
        return read_text(path, most_bytes);
    } catch (const DataError& error) {
        throw UsageError(fmt::format("{}, expected a configuration file with lines like rho = 0.01", error.what()));
    }
}

std::vector<std::string> config_arguments(const std::string& toml, const std::string& file,
                                          const std::vector<std::string>& known) {
    if (toml.size() > most_bytes)
        throw UsageError(
            fmt::format("{}: {} bytes, expected at most {}", printable_path(file), toml.size(), most_bytes));
    std::vector<std::string> arguments, seen;
    for (Reader reader(toml, file); reader.next();) {
        std::string key = reader.key();
        std::replace(key.begin(), key.end(), '_', '-');
        const std::string option = "--" + key;
        if (std::find(known.begin(), known.end(), option) == known.end())
            reader.fail(fmt::format("unknown key '{}'", printable(key)),
                        "the long name of an option without its dashes; see pdadmm train --help");
        if (std::find(seen.begin(), seen.end(), key) != seen.end())
            reader.fail(fmt::format("'{}' again", key), "every key once");
        seen.push_back(key);
        arguments.push_back(option + "=" + reader.value());
        if (arguments.back().find('\0') != std::string::npos) reader.fail("a zero byte", "text without one");
    }
    return arguments;
}

std::string config_line(const std::string& name, const std::string& value) {
    if (value == "true" || value == "false") return fmt::format("{} = {}\n", name, value);
    std::string escaped;
    for (const char c : value) {
        if (c == '"' || c == '\\')
            escaped += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            escaped += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            escaped += c;
    }
    return fmt::format("{} = \"{}\"\n", name, escaped);
}

}  // namespace pdadmm
