// One numeric array in NumPy's .npy format, versions 1 to 3. The reader takes untrusted bytes: its grammar is narrower
// than NumPy's, nothing is evaluated, and nothing is allocated for a size that the bytes do not bear out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// An array of rank 0, 1 or 2. After parsing, `bytes` are in C (row-major) order and little endian whatever the file
/// had.
struct NpyArray {
    std::string name;          // for messages: file and member, such as "cora.npz: labels.npy"
    std::string dtype;         // |b1 |i1 |u1 <i2 <u2 <i4 <u4 <i8 <u8 <f2 <f4 <f8, or |S1 to |S9
    std::vector<Index> shape;  // empty: one value
    std::vector<std::byte> bytes;

    Index size() const;  // values
    bool is_float() const { return dtype.size() == 3 && dtype[1] == 'f'; }
    bool is_bool() const { return dtype == "|b1"; }

    /// Any dtype. A finite f8 beyond float's range throws DataError; large integers round to the nearest float; NaN and
    /// infinities pass.
    std::vector<float> as_float() const;
    /// As as_float, without rounding but for integers beyond 2^53.
    std::vector<double> as_double() const;
    /// Integers and bool; floats only where every value is integral and at most 2^53 in size. Else DataError, naming
    /// the first offending value and its position.
    std::vector<Index> as_index() const;
    /// The same, and NaN is `for_nan`.
    std::vector<Index> as_index(Index for_nan) const;
    /// as_index, and every value must fit in 32 bits.
    std::vector<std::int32_t> as_int32() const;
    /// A single short text (|S), such as the format that scipy.sparse.save_npz names.
    std::string as_text() const;
};

/// Parses a whole .npy file. `name` goes into messages and the result. Throws DataError; what is refused: any other
/// magic or version, a header above 64 KiB or outside the grammar, rank above 2, sizes that do not match the bytes
/// exactly, and the dtypes object, structured, string (but for |S1 to |S9), time, complex and of zero size.
NpyArray parse_npy(std::span<const std::byte> file, const std::string& name);
/// The same without a second copy of the data.
NpyArray parse_npy(std::vector<std::byte>&& file, const std::string& name);
/// The array in a file of at most `max_bytes` bytes.
NpyArray read_npy(const std::filesystem::path& path, std::uint64_t max_bytes);

/// What stands before the values of a version 1 .npy file, row-major and little endian: 64 bytes or a multiple. `dtype`
/// as in NpyArray, `shape` of rank 1 or 2.
std::string npy_prefix(std::string_view dtype, const std::vector<Index>& shape);

/// A version 1 .npy file of row-major `values`; `shape` has rank 1 or 2 and its product is values.size(), else an
/// internal Error. The header is padded so that the data start at a multiple of 64 bytes.
std::vector<std::byte> format_npy(std::span<const float> values, const std::vector<Index>& shape);
std::vector<std::byte> format_npy(std::span<const double> values, const std::vector<Index>& shape);
std::vector<std::byte> format_npy(std::span<const std::int32_t> values, const std::vector<Index>& shape);
std::vector<std::byte> format_npy(std::span<const std::int64_t> values, const std::vector<Index>& shape);

}  // namespace pdadmm
