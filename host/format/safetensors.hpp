// Models and checkpoints as safetensors: u64 header length, JSON header, then the tensors' bytes back to back.
// The reader takes untrusted bytes and is stricter than the format asks: see parse_safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pdadmm/types.hpp"

namespace pdadmm {

/// A named array in row-major order, little endian.
struct Tensor {
    std::string name;
    std::string dtype;         // F32 F64 I32 I64 U8
    std::vector<Index> shape;  // empty: one value
    std::vector<std::byte> bytes;
    std::string file = {};  // where it was read from, for messages

    Index size() const;                     // values
    std::vector<float> as_float() const;    // F32, F64 (rounded; DataError when a finite value leaves float's range)
    std::vector<double> as_double() const;  // F32, F64
    std::vector<Index> as_index() const;    // U8, I32, I64

    /// A tensor of `values`; an internal Error when `shape` does not have that many.
    static Tensor of(std::string name, std::vector<Index> shape, std::span<const float> values);
    static Tensor of(std::string name, std::vector<Index> shape, std::span<const double> values);
    static Tensor of(std::string name, std::vector<Index> shape, std::span<const std::int32_t> values);
    static Tensor of(std::string name, std::vector<Index> shape, std::span<const std::int64_t> values);
    static Tensor of(std::string name, std::vector<Index> shape, std::span<const std::uint8_t> values);
};

struct SafetensorsFile {
    std::map<std::string, std::string> metadata;
    std::vector<Tensor> tensors;  // in the order of their bytes
    std::string name = {};        // for messages

    bool has(std::string_view tensor) const;
    /// Throws DataError naming the file and the tensor that is missing.
    const Tensor& at(std::string_view tensor) const;
};

/// Parses a whole file; `name` goes into messages. Throws DataError unless: header at most 1 MiB and beginning with
/// '{', at most 4096 tensors of rank at most 8, no key twice, no unknown key, metadata text to text, UTF-8 throughout,
/// sizes from shape and dtype equal to the offsets, and tensors that cover the bytes after the header exactly, in one
/// piece.
SafetensorsFile parse_safetensors(std::span<const std::byte> file, const std::string& name);
/// Where a tensor lies in bytes that are there already, and what it is.
struct TensorPlace {
    std::string name, dtype;
    std::vector<Index> shape;
    std::span<const std::byte> bytes;
};
struct SafetensorsView {
    std::map<std::string, std::string> metadata;
    std::vector<TensorPlace> tensors;  // in the order of their bytes
};
/// parse_safetensors without a copy of the tensors: the view points into `file`.
SafetensorsView view_safetensors(std::span<const std::byte> file, const std::string& name);
/// parse_safetensors of a file of at most `max_bytes` bytes.
SafetensorsFile read_safetensors(const std::filesystem::path& path, std::uint64_t max_bytes);

/// The file's bytes: metadata sorted by key, tensors in the order given, header padded with spaces to a multiple of 8.
/// Equal input gives equal bytes. An internal Error when the content breaks a rule of parse_safetensors.
std::vector<std::byte> format_safetensors(const SafetensorsFile& content);
/// What stands in that file before the bytes of the tensors, which follow one another.
std::string safetensors_prefix(const SafetensorsFile& content);

}  // namespace pdadmm
