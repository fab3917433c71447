// Files: checked reading of untrusted input, atomic writing of output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pdadmm {

/// A regular file opened for reading at any position. Anything else (directory, FIFO, device) is refused without
/// blocking.
class InputFile {
public:
    /// Throws DataError: missing, unreadable, not a regular file, or empty.
    explicit InputFile(const std::filesystem::path& path);
    InputFile(InputFile&& other) noexcept;
    InputFile& operator=(InputFile&& other) noexcept;
    ~InputFile();

    std::uint64_t size() const { return size_; }       // bytes when it was opened
    const std::string& name() const { return name_; }  // printable path, for messages
    /// Fills `out` from byte `offset` on. Throws DataError where the file ends before, or cannot be read.
    void read_at(std::uint64_t offset, std::span<std::byte> out) const;
    /// Throws DataError when size, modification time or identity differ from when the file was opened.
    void check_unchanged() const;
    /// All of it as memory that is read from the file when it is touched, and left again where room is short: it counts
    /// as address space, not as memory taken (file_map.cpp). Throws DeviceError where there is no room for it. Where
    /// another process shortens the file meanwhile, touching what is gone ends this one: with one line, and the exit
    /// code of DataError.
    std::shared_ptr<const std::byte> map() const;

private:
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
    std::int64_t modified_s_ = 0, modified_ns_ = 0;
    std::string name_;
};

/// Fills `out` from byte `offset` on.
using ByteReader = std::function<void(std::uint64_t offset, std::span<std::byte> out)>;
/// Of a file, which must stay unchanged, and of memory, which must outlive the reader.
ByteReader reader_of(std::shared_ptr<const InputFile> file);
ByteReader reader_of(std::span<const std::byte> memory);

/// The whole of a regular file of at most `max_bytes` bytes. Throws DataError (as InputFile, or larger).
std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes);
std::string read_text(const std::filesystem::path& path, std::uint64_t max_bytes);
/// What a file that another process may be appending to held when it was opened.
std::vector<std::byte> read_growing_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// Bytes that input files may unpack to by default: 16 GiB, or half of the memory that is free now where that is less.
std::uint64_t default_input_budget();

/// What the names of unfinished files of AtomicFile begin with; one that is met belongs to a dead process, or to one
/// that is writing.
inline constexpr const char* atomic_file_prefix = ".pdadmm-tmp-";

/// Writes all of `bytes` to an open file, from byte `offset` on, or where it stands. 0, or the error number; ENOSPC
/// where nothing more is taken.
int write_whole(int file, std::span<const std::byte> bytes, std::optional<std::uint64_t> offset = {});

/// A file that appears whole or not at all: a temporary file beside `path`, fsync, rename, fsync of the directory.
/// After a crash at any point the old or the new content is there, never a mixture. A symbolic link at `path` is itself
/// replaced, what it points to stays. Errors are OutputErrors with the system's words; the temporary file
/// (".pdadmm-tmp-*") is then removed. The first failed write, fsync or rename is final. Large files need SIGXFSZ
/// ignored to be refused instead of killed.
class AtomicFile {
public:
    /// Opens the temporary file. Throws OutputError.
    explicit AtomicFile(const std::filesystem::path& path);
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    /// Removes the temporary file where nothing was committed.
    ~AtomicFile();

    /// Appends, or writes from byte `offset` on, wherever the file ends; what is appended goes on where it was. Throws
    /// OutputError.
    void write(std::span<const std::byte> bytes, std::optional<std::uint64_t> offset = {});
    /// Puts the file in its place; the last call. Throws OutputError.
    void commit();

private:
    struct Place;
    std::unique_ptr<Place> place_;
};

/// An AtomicFile of `bytes`, or of parts that follow one another: what is large need not be copied to be one.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::initializer_list<std::span<const std::byte>> parts);

}  // namespace pdadmm
