// The escaping of untrusted text (host/console/printable.hpp).
#include "host/console/printable.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pdadmm {
namespace {

bool steers_terminal(char32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) ||  // C0, DEL, C1
           (code >= 0x200B && code <= 0x200F) ||
           (code >= 0x2028 && code <= 0x202E) ||  // invisible, line breaks, direction
           (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

}  // namespace

std::size_t utf8_length(std::string_view text, char32_t& code) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    std::size_t length;
    if (first < 0x80) {
        code = first;
        return 1;
    } else if (first >= 0xC2 && first <= 0xDF) {
        length = 2, code = first & 0x1F;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3, code = first & 0x0F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4, code = first & 0x07;
    } else {
        return 0;
    }
    if (text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
        code = code << 6 | (byte(i) & 0x3F);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return overlong || surrogate || code > 0x10FFFF ? 0 : length;
}

std::string printable(std::string_view text, std::size_t limit) {
    std::string out;
    std::size_t used = 0, cut = 0;  // characters so far; where the text ends if "..." must follow
    while (!text.empty()) {
        char32_t code = 0;
        const std::size_t length = utf8_length(text, code);
        std::string piece;
        if (length == 0 || steers_terminal(code)) {
            for (std::size_t i = 0; i < std::max<std::size_t>(length, 1); ++i)
                piece += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
        } else {
            piece = text.substr(0, length);
        }
        const std::size_t width = length > 0 && !steers_terminal(code) ? 1 : piece.size();
        if (used + width > limit) return out.substr(0, cut) + "...";
        out += piece;
        used += width;
        if (used + 3 <= limit) cut = out.size();
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out;
}

std::string printable_path(const std::filesystem::path& path) { return printable(path.native(), 4096); }

}  // namespace pdadmm
