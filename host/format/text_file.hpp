// Lines of a text file, plain or packed by gzip, from untrusted files of any size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "host/format/file.hpp"

namespace pdadmm {

/// ASCII letters in lower case.
std::string lower(std::string_view text);

/// Reads line by line; the file is never in memory as a whole. Whether it is packed is told by its first two bytes.
/// "\n" and "\r\n" end a line, a byte order mark before the first is left out.
class TextFile {
public:
    /// Throws DataError: missing, unreadable, not a regular file, or empty.
    explicit TextFile(const std::filesystem::path& path);
    /// The same over memory, which must outlive the object. `name` goes into messages.
    static TextFile from_memory(std::span<const std::byte> file, const std::string& name);
    TextFile(TextFile&&) noexcept;
    TextFile& operator=(TextFile&&) noexcept;
    ~TextFile();

    /// The next line, without its end; it lasts until the next call. False behind the last one. Throws DataError: a
    /// line of more than 64 MiB, a byte 0, or packed data that are damaged or end too early.
    bool next(std::string_view& line);
    std::uint64_t number() const { return number_; }  // of the line that was read last, from 1
    const std::string& name() const { return name_; }

    /// DataError "<file>: line N: <problem>".
    [[noreturn]] void fail(const std::string& problem) const;

private:
    struct Unpacker;

    TextFile(ByteReader read_at, std::uint64_t size, std::string name);
    bool fill();
    std::size_t read_raw(std::span<std::byte> out);

    ByteReader read_at_;
    std::uint64_t size_ = 0, taken_ = 0, number_ = 0;
    std::string name_, buffer_;
    std::size_t begin_ = 0;
    bool ended_ = false;
    std::unique_ptr<Unpacker> unpacker_;
};

}  // namespace pdadmm
