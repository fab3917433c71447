// Values of .npy arrays: brought into row-major order and little-endian, and read as numbers.
#include "host/format/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "host/format/npy_header.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

static_assert(std::endian::native == std::endian::little, "readers and writers copy little-endian values");

namespace {

std::size_t item_size(const std::string& dtype) { return static_cast<std::size_t>(dtype[2] - '0'); }

void reverse_each(std::vector<std::byte>& bytes, std::size_t item) {
    for (std::size_t i = 0; i + item <= bytes.size(); i += item)
        std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                     bytes.begin() + static_cast<std::ptrdiff_t>(i + item));
}

/// In square tiles: columns of a whole matrix would each touch every line of memory again.
template <std::size_t item>
void transpose_tiles(const std::byte* from, std::size_t rows, std::size_t cols, std::byte* to) {
    constexpr std::size_t tile = 32;
    for (std::size_t first_row = 0; first_row < rows; first_row += tile)
        for (std::size_t first_col = 0; first_col < cols; first_col += tile)
            for (std::size_t row = first_row; row < std::min(first_row + tile, rows); ++row)
                for (std::size_t col = first_col; col < std::min(first_col + tile, cols); ++col)
                    std::memcpy(to + (row * cols + col) * item, from + (col * rows + row) * item, item);
}

std::vector<std::byte> to_row_major(const std::vector<std::byte>& bytes, std::size_t rows, std::size_t cols,
                                    std::size_t item) {
    std::vector<std::byte> out(bytes.size());
    if (bytes.empty()) return out;
    const auto transpose = item == 1   ? transpose_tiles<1>
                           : item == 2 ? transpose_tiles<2>
                           : item == 4 ? transpose_tiles<4>
                                       : transpose_tiles<8>;
    transpose(bytes.data(), rows, cols, out.data());
    return out;
}

std::string dimensions(const std::vector<Index>& shape) {
    if (shape.empty()) return "()";
    return shape.size() == 1 ? fmt::format("({},)", shape[0]) : fmt::format("({}, {})", shape[0], shape[1]);
}

NpyArray convert(std::vector<std::byte>&& data, NpyHeader&& layout, const std::string& name) {
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
    if (layout.fortran && layout.shape.size() == 2 && layout.dtype[1] != 'S')
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

/// A half-precision number: sign, 5 bits of exponent, 10 of fraction. Every one is a float.
float from_half(std::uint16_t bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 1023u;
    if (exponent == 0) {  // zero and subnormal: a multiple of 2^-24
        const float size = static_cast<float>(fraction) * 0x1p-24f;
        return sign ? -size : size;
    }
    const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

/// Calls visit(position, value) for every value in its own type; bool bytes come as std::uint8_t and are 0 or 1, half
/// precision as float.
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
    } else if (kind == "f2") {
        for (std::size_t i = 0; 2 * i < array.bytes.size(); ++i)
            visit(i, from_half(load<std::uint16_t>(array.bytes.data() + 2 * i)));
    } else if (kind == "f4") {
        walk(float{});
    } else if (kind == "f8") {
        walk(double{});
    } else {
        throw DataError(fmt::format("{}: dtype '{}'{} is not read; save a numeric array", array.name,
                                    printable(array.dtype), kind[0] == 'S' ? " (text)" : ""));
    }
}

/// All values as integers; NaN as `for_nan` where that is given.
template <typename T>
std::vector<T> integers(const NpyArray& array, std::optional<T> for_nan = std::nullopt) {
    std::vector<T> out(static_cast<std::size_t>(array.size()));
    for_each_value(array, [&]<typename V>(std::size_t i, V value) {
        const auto refuse = [&](std::string_view wanted) {
            throw DataError(fmt::format("{}: value {} at position {} of dtype '{}', expected {}", array.name, value, i,
                                        array.dtype, wanted));
        };
        if constexpr (std::is_floating_point_v<V>) {
            constexpr V exact = 9007199254740992.0;  // 2^53
            if (for_nan && std::isnan(value)) {
                out[i] = *for_nan;
                return;
            }
            if (std::abs(value) > exact) refuse("at most 2^53, beyond which floats leave whole numbers out");
            if (!(value == std::trunc(value))) refuse("a whole number");
            if (!std::in_range<T>(static_cast<Index>(value))) refuse("one that fits in 32 bits");
        } else {
            if (!std::in_range<T>(value))
                refuse(sizeof(T) == 4 ? "one that fits in 32 bits" : "one that fits in 63 bits");
        }
        out[i] = static_cast<T>(value);
    });
    return out;
}

template <typename T>
std::vector<std::byte> format_array(std::span<const T> values, const std::vector<Index>& shape,
                                    std::string_view dtype) {
    std::uint64_t count = 1;
    bool fits = shape.size() == 1 || shape.size() == 2;
    for (const Index size : shape)
        fits = fits && size >= 0 && !__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count);
    if (!fits || count != values.size())
        throw Error(ExitCode::internal,
                    fmt::format(".npy of {} values cannot have the shape {}", values.size(), fmt::join(shape, " x ")));
    const std::string prefix = npy_prefix(dtype, shape);
    std::vector<std::byte> out(prefix.size() + values.size_bytes());
    std::memcpy(out.data(), prefix.data(), prefix.size());
    if (!values.empty()) std::memcpy(out.data() + prefix.size(), values.data(), values.size_bytes());
    return out;
}

}  // namespace

std::string npy_prefix(std::string_view dtype, const std::vector<Index>& shape) {
    std::string header =
        fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, dimensions(shape));
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    std::string prefix("\x93NUMPY\x01\x00", 8);
    prefix += static_cast<char>(header.size() & 0xFF);
    prefix += static_cast<char>(header.size() >> 8);
    return prefix + header;
}

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
std::vector<Index> NpyArray::as_index(Index for_nan) const { return integers<Index>(*this, for_nan); }
std::vector<std::int32_t> NpyArray::as_int32() const { return integers<std::int32_t>(*this); }

std::string NpyArray::as_text() const {
    if (dtype.size() != 3 || dtype[1] != 'S' || !shape.empty())
        throw DataError(fmt::format("{}: dtype '{}', expected one short text", name, printable(dtype)));
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return text.substr(0, text.find('\0'));
}

NpyArray parse_npy(std::span<const std::byte> file, const std::string& name) {
    NpyHeader header = parse_npy_header(file, name);
    const auto data = file.subspan(header.bytes);
    return convert({data.begin(), data.end()}, std::move(header), name);
}

NpyArray parse_npy(std::vector<std::byte>&& file, const std::string& name) {
    NpyHeader header = parse_npy_header(file, name);
    file.erase(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(header.bytes));
    return convert(std::move(file), std::move(header), name);
}

NpyArray read_npy(const std::filesystem::path& path, std::uint64_t max_bytes) {
    return parse_npy(read_file(path, max_bytes), printable_path(path));
}

std::vector<std::byte> format_npy(std::span<const float> values, const std::vector<Index>& shape) {
    return format_array(values, shape, "<f4");
}
std::vector<std::byte> format_npy(std::span<const double> values, const std::vector<Index>& shape) {
    return format_array(values, shape, "<f8");
}
std::vector<std::byte> format_npy(std::span<const std::int32_t> values, const std::vector<Index>& shape) {
    return format_array(values, shape, "<i4");
}
std::vector<std::byte> format_npy(std::span<const std::int64_t> values, const std::vector<Index>& shape) {
    return format_array(values, shape, "<i8");
}

}  // namespace pdadmm
