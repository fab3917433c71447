// Writing of .npy files (host/format/npy.hpp).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "host/format/npy.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

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

std::string dimensions(const std::vector<Index>& shape) {
    if (shape.empty()) return "()";
    return shape.size() == 1 ? fmt::format("({},)", shape[0]) : fmt::format("({}, {})", shape[0], shape[1]);
}

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
