// The .npy grammar accepted here (spaces between tokens are free):
//   "\x93NUMPY" major minor length header data          length: u16 in version 1, u32 in versions 2 and 3
//   header = '{' 3 x (key ':' value) '}'                 a comma between pairs, one allowed after the last
//   'descr': quoted  [<>|=] kind digit                   'fortran_order': True | False
//   'shape': '()' | '(' n ',' ')' | '(' n ',' n ')'      n of at most 18 digits, Python 2's L allowed after it
#include "host/format/npy_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t max_header = 64 * 1024;

class HeaderParser {
public:
    HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

    NpyHeader parse() {
        NpyHeader header;
        bool have_descr = false, have_order = false, have_shape = false;
        expect('{');
        while (!accept('}')) {
            const std::string_view key = quoted();
            expect(':');
            if (key == "descr") {
                once(have_descr, key);
                descr(header);
            } else if (key == "fortran_order") {
                once(have_order, key);
                header.fortran = boolean();
            } else if (key == "shape") {
                once(have_shape, key);
                header.shape = shape();
            } else {
                fail(fmt::format("header key '{}', expected descr, fortran_order and shape only", printable(key)));
            }
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
        if (at_ != text_.size()) fail("header goes on after its dictionary, expected spaces and a line end");
        if (!have_descr || !have_order || !have_shape) fail("header lacks one of descr, fortran_order and shape");
        return header;
    }

private:
    [[noreturn]] void fail(const std::string& problem) const { throw DataError(name_ + ": " + problem); }
    [[noreturn]] void fail_here(std::string_view wanted) const {
        fail(fmt::format("header has '{}', expected {}", printable(text_.substr(at_, 12)), wanted));
    }
    void skip() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }
    char peek() {
        skip();
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool accept(char wanted) {
        if (peek() != wanted || at_ >= text_.size()) return false;
        ++at_;
        return true;
    }
    void expect(char wanted) {
        if (!accept(wanted)) fail_here(fmt::format("'{}'", wanted));
    }
    bool accept_word(std::string_view word) {
        skip();
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }
    void once(bool& seen, std::string_view key) const {
        if (seen) fail(fmt::format("header key '{}' stands twice, expected once", key));
        seen = true;
    }
    std::string_view quoted() {
        const char quote = peek();
        if (quote != '\'' && quote != '"') fail_here("a quoted word");
        const std::size_t begin = ++at_;
        while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\\') ++at_;
        if (at_ >= text_.size() || text_[at_] != quote)
            fail("header has an open quote or an escape, expected plain words");
        return text_.substr(begin, at_++ - begin);
    }
    bool boolean() {
        if (accept_word("True")) return true;
        if (accept_word("False")) return false;
        fail_here("True or False");
    }
    Index number() {
        skip();
        const std::size_t begin = at_;
        Index value = 0;
        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
            if (at_ - begin == 18) fail("shape has a number of more than 18 digits");
            value = value * 10 + (text_[at_] - '0');
        }
        if (at_ == begin) fail_here("a non-negative whole number in the shape");
        if (text_[begin] == '0' && at_ - begin > 1) fail("shape has a number with leading zeros");
        if (at_ < text_.size() && text_[at_] == 'L') ++at_;
        return value;
    }
    std::vector<Index> shape() {
        std::vector<Index> sizes;
        expect('(');
        while (!accept(')')) {
            if (sizes.size() == 2) fail("shape has more than 2 dimensions, expected at most 2");
            sizes.push_back(number());
            if (accept(',')) continue;
            if (sizes.size() == 1) fail_here("',' after the only dimension");
            expect(')');
            break;
        }
        return sizes;
    }
    void descr(NpyHeader& header) {
        const char first = peek();
        if (first == '[' || first == '(' || first == '{')
            fail("structured dtype is not read; save each field as its own array");
        const std::string_view text = quoted();
        const auto refuse = [&](std::string_view why) { fail(fmt::format("dtype '{}' {}", printable(text), why)); };
        constexpr std::string_view advice = "is not read; save a numeric array";
        if (text.size() < 2) refuse(advice);
        const char order = text[0], kind = text[1];
        if (order != '<' && order != '>' && order != '|' && order != '=') refuse(advice);
        if (kind == 'O') refuse("(pickled objects) is not read; save a numeric array");
        if (kind == 'S' && text.size() == 3 && text[2] >= '1' && text[2] <= '9') {
            header.dtype = fmt::format("|{}", text.substr(1));
            return;
        }
        if (kind == 'S' || kind == 'U' || kind == 'a') refuse("(text) is not read; save a numeric array");
        if (kind == 'V') refuse("(structured or raw) is not read; save a numeric array");
        if (kind == 'c') refuse("(complex) is not read; save real numbers");
        constexpr std::array<std::string_view, 12> read = {"b1", "i1", "u1", "i2", "u2", "i4",
                                                           "u4", "i8", "u8", "f2", "f4", "f8"};
        if (std::find(read.begin(), read.end(), text.substr(1)) == read.end()) refuse(advice);
        const bool single = text[2] == '1';
        if (!single && order == '|') refuse("has no byte order, expected < or >");
        header.dtype = fmt::format("{}{}", single ? '|' : '<', text.substr(1));
        header.big_endian = !single && order == '>';
    }

    std::string_view text_;
    const std::string& name_;
    std::size_t at_ = 0;
};

/// Header length and the position behind it, checked against the bytes that are there.
struct Extent {
    std::size_t header_begin, header_size;
};
Extent find_header(std::span<const std::byte> file, const std::string& name) {
    const auto at = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
    if (file.size() < 10 || std::memcmp(file.data(), "\x93NUMPY", 6) != 0)
        throw DataError(name + ": does not begin like a .npy file; save it with numpy.save or numpy.savez");
    const std::size_t major = at(6), minor = at(7);
    if (major < 1 || major > 3 || minor != 0)
        throw DataError(fmt::format("{}: .npy version {}.{}, expected 1.0, 2.0 or 3.0", name, major, minor));
    std::size_t begin = 10, size = at(8) | at(9) << 8;
    if (major > 1) {
        if (file.size() < 12) throw DataError(name + ": ends within its header");
        begin = 12;
        size |= at(10) << 16 | at(11) << 24;
    }
    if (size > max_header)
        throw DataError(fmt::format("{}: header of {} bytes, expected at most {}", name, size, max_header));
    if (size > file.size() - begin) throw DataError(fmt::format("{}: ends within its header of {} bytes", name, size));
    return {begin, size};
}

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& name) {
    const Extent header = find_header(file, name);
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + header.header_begin, header.header_size);
    NpyHeader parsed = HeaderParser(text, name).parse();
    parsed.bytes = header.header_begin + header.header_size;
    return parsed;
}

}  // namespace pdadmm
