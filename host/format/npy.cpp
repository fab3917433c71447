// The .npy grammar accepted here (spaces between tokens are free):
//   "\x93NUMPY" major minor length header data          length: u16 in version 1, u32 in versions 2 and 3
//   header = '{' 3 x (key ':' value) '}'                 a comma between pairs, one allowed after the last
//   'descr': quoted  [<>|=] kind digit                   'fortran_order': True | False
//   'shape': '()' | '(' n ',' ')' | '(' n ',' n ')'      n of at most 18 digits, Python 2's L allowed after it
#include "host/format/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

static_assert(std::endian::native == std::endian::little, "readers and writers copy little-endian values");

namespace {

constexpr std::size_t max_header = 64 * 1024;

/// What the header says.
struct Layout {
    std::string dtype;
    bool big_endian = false, fortran = false;
    std::vector<Index> shape;
};

class HeaderParser {
public:
    HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

    Layout parse() {
        Layout layout;
        bool have_descr = false, have_order = false, have_shape = false;
        expect('{');
        while (!accept('}')) {
            const std::string_view key = quoted();
            expect(':');
            if (key == "descr") {
                once(have_descr, key);
                descr(layout);
            } else if (key == "fortran_order") {
                once(have_order, key);
                layout.fortran = boolean();
            } else if (key == "shape") {
                once(have_shape, key);
                layout.shape = shape();
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
        return layout;
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
    void descr(Layout& layout) {
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
        if (kind == 'S' || kind == 'U' || kind == 'a') refuse("(text) is not read; save a numeric array");
        if (kind == 'V') refuse("(structured or raw) is not read; save a numeric array");
        if (kind == 'c') refuse("(complex) is not read; save real numbers");
        if (text.substr(1) == "f2") refuse("(half precision) is not read; save as float32");
        constexpr std::array<std::string_view, 11> read = {"b1", "i1", "u1", "i2", "u2", "i4",
                                                           "u4", "i8", "u8", "f4", "f8"};
        if (std::find(read.begin(), read.end(), text.substr(1)) == read.end()) refuse(advice);
        const bool single = text[2] == '1';
        if (!single && order == '|') refuse("has no byte order, expected < or >");
        layout.dtype = fmt::format("{}{}", single ? '|' : '<', text.substr(1));
        layout.big_endian = !single && order == '>';
    }

    std::string_view text_;
    const std::string& name_;
    std::size_t at_ = 0;
};

std::size_t item_size(const std::string& dtype) { return static_cast<std::size_t>(dtype[2] - '0'); }

void reverse_each(std::vector<std::byte>& bytes, std::size_t item) {
    for (std::size_t i = 0; i + item <= bytes.size(); i += item)
        std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                     bytes.begin() + static_cast<std::ptrdiff_t>(i + item));
}

std::vector<std::byte> to_row_major(const std::vector<std::byte>& bytes, std::size_t rows, std::size_t cols,
                                    std::size_t item) {
    std::vector<std::byte> out(bytes.size());
    if (bytes.empty()) return out;
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t col = 0; col < cols; ++col)
            std::memcpy(&out[(row * cols + col) * item], &bytes[(col * rows + row) * item], item);
    return out;
}

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

NpyArray convert(std::vector<std::byte>&& data, Layout&& layout, const std::string& name) {
    const std::size_t item = item_size(layout.dtype);
    // Every dimension counts as at least 1 here, so that no empty array carries a product beyond 2^63.
    Index bound = static_cast<Index>(item), expected = static_cast<Index>(item);
    for (const Index size : layout.shape) {
        if (__builtin_mul_overflow(bound, std::max<Index>(size, 1), &bound))
            throw DataError(
                fmt::format("{}: shape {} has more bytes than can be counted", name, dimensions(layout.shape)));
        expected *= size;
    }
    if (static_cast<std::uint64_t>(expected) != data.size())
        throw DataError(fmt::format("{}: {} bytes of data, expected {} for shape {} of '{}'", name, data.size(),
                                    expected, dimensions(layout.shape), layout.dtype));
    if (layout.big_endian) reverse_each(data, item);
    if (layout.fortran && layout.shape.size() == 2)
        data = to_row_major(data, static_cast<std::size_t>(layout.shape[0]), static_cast<std::size_t>(layout.shape[1]),
                            item);
    return {name, std::move(layout.dtype), std::move(layout.shape), std::move(data)};
}

template <typename T>
T load(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
}

/// Calls visit(position, value) for every value in its own type; bool bytes come as std::uint8_t and are 0 or 1.
template <typename Visit>
void for_each_value(const NpyArray& array, Visit visit) {
    if (array.dtype.size() != 3 ||
        array.bytes.size() != static_cast<std::size_t>(array.size()) * item_size(array.dtype))
        throw Error(ExitCode::internal, array.name + ": array whose bytes do not match its shape and dtype");
    const auto walk = [&]<typename T>(T) {
        const std::size_t count = array.bytes.size() / sizeof(T);
        for (std::size_t i = 0; i < count; ++i) visit(i, load<T>(array.bytes.data() + i * sizeof(T)));
    };
    const std::string_view kind = std::string_view(array.dtype).substr(1);
    if (kind == "b1") {
        for (std::size_t i = 0; i < array.bytes.size(); ++i) {
            const auto value = std::to_integer<std::uint8_t>(array.bytes[i]);
            if (value > 1)
                throw DataError(
                    fmt::format("{}: value {} at position {} of a bool array, expected 0 or 1", array.name, value, i));
            visit(i, value);
        }
    } else if (kind == "i1") {
        walk(std::int8_t{});
    } else if (kind == "u1") {
        walk(std::uint8_t{});
    } else if (kind == "i2") {
        walk(std::int16_t{});
    } else if (kind == "u2") {
        walk(std::uint16_t{});
    } else if (kind == "i4") {
        walk(std::int32_t{});
    } else if (kind == "u4") {
        walk(std::uint32_t{});
    } else if (kind == "i8") {
        walk(std::int64_t{});
    } else if (kind == "u8") {
        walk(std::uint64_t{});
    } else if (kind == "f4") {
        walk(float{});
    } else if (kind == "f8") {
        walk(double{});
    } else {
        throw DataError(
            fmt::format("{}: dtype '{}' is not read; save a numeric array", array.name, printable(array.dtype)));
    }
}

/// All values as integers in [low, high].
template <typename T>
std::vector<T> integers(const NpyArray& array) {
    std::vector<T> out(static_cast<std::size_t>(array.size()));
    for_each_value(array, [&]<typename V>(std::size_t i, V value) {
        const auto refuse = [&](std::string_view wanted) {
            throw DataError(fmt::format("{}: value {} at position {} of dtype '{}', expected {}", array.name, value, i,
                                        array.dtype, wanted));
        };
        if constexpr (std::is_floating_point_v<V>) {
            constexpr V exact = 9007199254740992.0;  // 2^53
            if (!(value >= -exact && value <= exact) || value != std::trunc(value)) refuse("a whole number");
            if (!std::in_range<T>(static_cast<Index>(value))) refuse("one that fits in 32 bits");
        } else {
            if (!std::in_range<T>(value))
                refuse(sizeof(T) == 4 ? "one that fits in 32 bits" : "one that fits in 63 bits");
        }
        out[i] = static_cast<T>(value);
    });
    return out;
}

}  // namespace

Index NpyArray::size() const {
    Index count = 1;
    for (const Index n : shape) count *= n;
    return count;
}

std::vector<float> NpyArray::as_float() const {
    std::vector<float> out(static_cast<std::size_t>(size()));
    for_each_value(*this, [&](std::size_t i, auto value) {
        if constexpr (std::is_same_v<decltype(value), double>) {
            // Compared after rounding to nearest: values up to half a step above the largest float still become it.
            if (std::isfinite(value) && std::abs(value) >= 0x1.ffffffp127)
                throw DataError(
                    fmt::format("{}: value {} at position {} is beyond what a 32-bit float holds", name, value, i));
        }
        out[i] = static_cast<float>(value);
    });
    return out;
}

std::vector<double> NpyArray::as_double() const {
    std::vector<double> out(static_cast<std::size_t>(size()));
    for_each_value(*this, [&](std::size_t i, auto value) { out[i] = static_cast<double>(value); });
    return out;
}

std::vector<Index> NpyArray::as_index() const { return integers<Index>(*this); }
std::vector<std::int32_t> NpyArray::as_int32() const { return integers<std::int32_t>(*this); }

NpyArray parse_npy(std::span<const std::byte> file, const std::string& name) {
    const Extent header = find_header(file, name);
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + header.header_begin, header.header_size);
    Layout layout = HeaderParser(text, name).parse();
    const auto data = file.subspan(header.header_begin + header.header_size);
    return convert({data.begin(), data.end()}, std::move(layout), name);
}

NpyArray parse_npy(std::vector<std::byte>&& file, const std::string& name) {
    const Extent header = find_header(file, name);
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + header.header_begin, header.header_size);
    Layout layout = HeaderParser(text, name).parse();
    file.erase(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(header.header_begin + header.header_size));
    return convert(std::move(file), std::move(layout), name);
}

NpyArray read_npy(const std::filesystem::path& path, std::uint64_t max_bytes) {
    return parse_npy(read_file(path, max_bytes), printable_path(path));
}

}  // namespace pdadmm
