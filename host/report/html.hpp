// Pieces of HTML, whose texts are escaped here and nowhere else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pdadmm {

/// `text` as content or attribute; what is not UTF-8 becomes "?".
std::string escaped(std::string_view text);

/// A table of texts with the caption `title`; the first column names the row.
std::string table(const std::string& title, const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows);

/// A whole page that loads nothing, with the style and script of reports, and `own_style` beside them. `body` is HTML,
/// `title` a text.
std::string styled_page(const std::string& title, const std::string& body, std::string_view own_style = {});
/// One that ends in a text.
std::string page(const std::string& title, const std::string& body, const std::string& footer);

/// 12.8 MB, 65.4 kB, 512 bytes.
std::string bytes_text(double bytes);
/// A number in three digits: 12,345 · 0.0123 · 1.2e-07.
std::string number_text(double value);
/// 0.75 s, 12.3 min.
std::string seconds_text(double seconds);

}  // namespace pdadmm
