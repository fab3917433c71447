// Pieces of HTML (host/report/html.hpp).
#include "host/report/html.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "host/console/printable.hpp"
#include "host/report/assets.hpp"

namespace pdadmm {
std::string escaped(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        char32_t code = 0;
        const std::size_t size = utf8_length(text, code);
        const std::string_view one = text.substr(0, size ? size : 1);
        if (!size || (code < 0x20 && code != '\n' && code != '\t'))
            out += '?';
        else if (one == "&")
            out += "&amp;";
        else if (one == "<")
            out += "&lt;";
        else if (one == ">")
            out += "&gt;";
        else if (one == "\"")
            out += "&quot;";
        else
            out += one;
        text.remove_prefix(one.size());
    }
    return out;
}

std::string table(const std::string& title, const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows) {
    std::string text = fmt::format("<div class=\"wide\"><table><caption>{}</caption><thead><tr>", escaped(title));
    for (const std::string& cell : header) text += fmt::format("<th scope=\"col\">{}</th>", escaped(cell));
    text += "</tr></thead><tbody>\n";
    for (const auto& row : rows) {
        text += "<tr>";
        for (std::size_t i = 0; i < row.size(); ++i)
            text += (i ? "<td>" : "<th scope=\"row\">") + escaped(row[i]) + (i ? "</td>" : "</th>");
        text += "</tr>\n";
    }
    return text + "</tbody></table></div>\n";
}

std::string styled_page(const std::string& title, const std::string& body, std::string_view own_style) {
    return fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<title>{0}</title><style>{1}{2}</style></head>\n<body><main>\n<h1>{0}</h1>\n{3}</main>\n"
        "<script>{4}</script></body></html>\n",
        escaped(title), report_style, own_style, body, report_script);
}

std::string page(const std::string& title, const std::string& body, const std::string& footer) {
    return styled_page(title, body + fmt::format("<p class=\"muted\">{}.</p>\n", escaped(footer)));
}

std::string bytes_text(double bytes) {
    for (const auto& [unit, name] : {std::pair{1e9, "GB"}, std::pair{1e6, "MB"}, std::pair{1e3, "kB"}})
        if (bytes >= unit) return fmt::format("{:.3g} {}", bytes / unit, name);
    return fmt::format("{:.0f} bytes", bytes);
}

std::string number_text(double value) {
    if (!std::isfinite(value)) return "";
    if (std::abs(value) < 1000 || std::abs(value) >= 1e6) return fmt::format("{:.3g}", value);
    const auto whole = static_cast<long long>(std::llround(value));
    return fmt::format("{},{:03}", whole / 1000, std::abs(whole) % 1000);
}

std::string seconds_text(double seconds) {
    return seconds < 100 ? fmt::format("{:.3g} s", seconds) : fmt::format("{:.3g} min", seconds / 60);
}

}  // namespace pdadmm
