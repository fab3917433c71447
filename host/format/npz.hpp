// Arrays in an .npz archive (zip of .npy members), read from untrusted files of any size, one member at a time.
//
// Everything is taken from the central directory and then compared with what each member says of itself: another zip
// reader must not see other arrays than this one does. The archive's structure is checked when it is opened, a member's
// content (exact sizes, CRC of every byte) when it is read; members that are not read are not unpacked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/format/array_stream.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"

namespace pdadmm {

class NpzFile {
public:
    /// Opens a file; all reads together unpack to at most `max_bytes`. Throws DataError: not a regular file, or not an
    /// archive of the kind described in npz.cpp.
    explicit NpzFile(const std::filesystem::path& path, std::uint64_t max_bytes = default_input_budget());
    /// The same over memory, which must outlive the object. `name` goes into messages.
    static NpzFile from_memory(std::span<const std::byte> archive, const std::string& name, std::uint64_t max_bytes);

    /// Names are without ".npy"; members that do not end in it are left out.
    bool has(std::string_view name) const;
    std::vector<std::string> names() const;  // in the order of the directory
    /// Unpacks and parses one array; its `name` is "<file>: <member>". Throws DataError: no such member, damaged, over
    /// the budget, or not a numeric array (npy.hpp). Not for two threads at once.
    NpyArray read(std::string_view name) const;
    /// One array piece by piece, of any size; the file must outlive it. Damage is found when its last piece is read.
    /// Throws DataError as read() does.
    std::unique_ptr<ArrayStream> stream(std::string_view name) const;
    /// What all reads together may unpack to.
    std::uint64_t max_bytes() const { return max_bytes_; }
    /// Bytes that one array unpacks to. Throws DataError where there is none of that name.
    std::uint64_t bytes_of(std::string_view name) const;

private:
    struct Member {
        std::string name;  // as stored, with ".npy"
        std::uint16_t flags = 0, method = 0;
        std::uint32_t crc = 0;
        std::uint64_t packed = 0, unpacked = 0;  // bytes
        std::uint64_t header = 0, data = 0;      // offsets of the local header and of the packed bytes
    };

    NpzFile(ByteReader read_at, std::uint64_t size, std::string name, std::uint64_t max_bytes);
    struct Directory {
        std::uint64_t offset = 0, size = 0, entries = 0;
    };
    Directory find_directory() const;
    void read_directory(const Directory& directory);
    std::uint64_t check_local_header(Member& member, std::uint64_t directory_offset) const;  // returns the extent's end
    std::uint64_t descriptor_size(const Member& member, std::uint64_t directory_offset) const;
    const Member* find(std::string_view name) const;
    const Member& at(std::string_view name) const;
    std::vector<std::byte> unpack(const Member& member, const std::string& label) const;
    [[noreturn]] void fail(const std::string& problem) const;

    ByteReader read_at_;
    std::uint64_t size_ = 0;
    std::string name_;
    std::uint64_t max_bytes_ = 0;
    mutable std::uint64_t unpacked_ = 0;  // bytes handed out so far
    std::vector<Member> members_;
};

}  // namespace pdadmm
