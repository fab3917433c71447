// One numeric array read from its beginning to its end, a piece at a time: what a file larger than memory is read by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/format/npy.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

/// Bytes in order. Throws DataError where there are fewer than asked for, or what was read is damaged.
class ByteStream {
public:
    virtual ~ByteStream() = default;
    virtual void read(std::span<std::byte> out) = 0;
};

class ArrayStream {
public:
    virtual ~ArrayStream() = default;
    /// As the file states it; rows are -1 where only reading tells how many there are (tables).
    virtual const std::vector<Index>& shape() const = 0;
    /// Values stand column by column.
    virtual bool column_major() const = 0;
    /// The next values in the file's order, `most` at most, as an array of rank 1; none at the end. Throws DataError.
    virtual NpyArray next(Index most) = 0;
    /// Passes over values.
    void skip(Index values);
};

/// The .npy array that `bytes` are, of which `size` are to come. Throws DataError as parse_npy does.
std::unique_ptr<ArrayStream> stream_npy(std::unique_ptr<ByteStream> bytes, std::uint64_t size, const std::string& name);
/// The array in a file.
std::unique_ptr<ArrayStream> stream_npy(const std::filesystem::path& path);
/// A table of whole numbers, in rows (csv.hpp), packed or not.
std::unique_ptr<ArrayStream> stream_csv(const std::filesystem::path& path);

}  // namespace pdadmm
